# SPDX-License-Identifier: Apache-2.0
"""List prices in USD: data only.

Read from the published build of an open price list that is generated from Google's Cloud Billing
catalog. On demand, before sustained-use and committed-use discounts and taxes. What is not here was not found there.
"""

from __future__ import annotations

DATED = "2025-03-06"
SOURCE = (
    "Cloud Billing catalog as published by "
    "github.com/Cyclenerd/google-cloud-pricing-cost-calculator (pricing.yml, commit 0166a59)"
)

# Region to machine type to USD an hour.
MACHINES: dict[str, dict[str, float]] = {
    "us-central1": {
        "a2-highgpu-1g": 3.673385,
        "a2-highgpu-2g": 7.34677,
    },
}
# Machine types whose price above already holds that of their GPUs.
GPUS_INCLUDED: frozenset[str] = frozenset({"a2-highgpu-1g", "a2-highgpu-2g"})
# Region to accelerator to USD an hour, each.
GPUS: dict[str, dict[str, float]] = {}
# Region to disk type to USD a GB and month.
DISKS_GB_MONTH: dict[str, dict[str, float]] = {}
# USD an hour for an external IPv4 address in use; None where not known.
EXTERNAL_IPV4: float | None = None
