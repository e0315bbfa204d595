# SPDX-License-Identifier: Apache-2.0
"""List prices in USD, on demand, before discounts and taxes: data only.

All but the last were read from one published build of an open price list that is generated from
Google's Cloud Billing catalog. What is not here was not found there: it is unknown, not free.
"""

from __future__ import annotations

DATED = "2025-03-06"
SOURCE = (
    "Cloud Billing catalog, as published in pricing.yml of "
    "github.com/Cyclenerd/google-cloud-pricing-cost-calculator, commit 0166a59"
)

# Parts that the catalog charges for, us-central1. The machine prices in the source (g2-standard-4,
# -8, -12, -32 and -96; n1-standard-8, -64 and -96) are exact sums of them.
_G2_PER_4_CPUS_16_GB = 0.146792016
_L4 = 0.560040239
_N1_STANDARD_PER_CPU = 0.04749975

# Region to machine type to USD an hour.
MACHINES: dict[str, dict[str, float]] = {
    "us-central1": {
        **{
            f"g2-standard-{cpus}": round(cpus / 4 * _G2_PER_4_CPUS_16_GB + gpus * _L4, 9)
            for cpus, gpus in (
                (4, 1),
                (8, 1),
                (12, 1),
                (16, 1),
                (24, 2),
                (32, 1),
                (48, 4),
                (96, 8),
            )
        },
        **{
            f"n1-standard-{cpus}": round(cpus * _N1_STANDARD_PER_CPU, 9)
            for cpus in (1, 2, 4, 8, 16, 32, 64, 96)
        },
        "a2-highgpu-1g": 3.673385,
        "a2-highgpu-2g": 7.34677,
    },
}
# Region to accelerator to USD an hour, each, for those attached to N1. Bundled ones are in the
# machine's price.
GPUS: dict[str, dict[str, float]] = {}
# Region to disk type to USD a GB and month.
DISKS_GB_MONTH: dict[str, dict[str, float]] = {
    "us-central1": {
        "pd-standard": 0.04,
        "pd-balanced": 0.1,
        "pd-ssd": 0.17,
        "pd-extreme": 0.125,
    },
}
# USD an hour for an external IPv4 address in use by an instance, any region; from a third-party
# page that quotes Google's network prices and has a date of its own.
EXTERNAL_IPV4 = 0.005
EXTERNAL_IPV4_DATED = "2026-10-16"
