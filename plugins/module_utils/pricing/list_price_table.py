# SPDX-License-Identifier: Apache-2.0
"""List prices in USD before discounts and taxes: data only, each with its date and source.

What is not here was not found: it is unknown, not free. Spot prices change from day to day; those
here are of the date that they carry.
"""

from __future__ import annotations

DATED = "2025-03-06"
SOURCE = (
    "Cloud Billing catalog, as published in pricing.yml of "
    "github.com/Cyclenerd/google-cloud-pricing-cost-calculator, commit 0166a59"
)

# Four prices everywhere below: an hour on demand, an hour on Spot, a month with a commitment of one
# year and a month with one of three years; None where there is none.
Four = tuple[float, float, float | None, float | None]

# g2-standard-12 and g2-standard-16: they differ by 4 vCPUs and 16 GB, so that both together tell
# the price of those and of the L4; all other G2 types are exact sums of them.
G2: dict[str, tuple[Four, Four]] = {
    **dict.fromkeys(
        ("us-central1", "us-east1", "us-west1"),
        (
            (1.000416287, 0.393596, 460.09144542, 328.63672535),
            (1.147208303, 0.450428, 527.60109206, 376.85789443),
        ),
    ),
    "us-east4": (
        (0.997140504, 0.398836, 458.58497216, 327.56067688),
        (1.143451852, 0.457348, 525.8735748, 375.62395864),
    ),
    "us-west4": (
        (1.12676882, 0.352152, 518.20102368, 370.14356832),
        (1.29210066, 0.401736, 594.23714624, 424.45507776),
    ),
    "europe-west1": (
        (1.101558412, 0.386796, 506.60674904, 361.86186724),
        (1.263191116, 0.433828, 580.94163872, 414.95819532),
    ),
    "europe-west4": (
        (1.051487566, 0.376708, 483.5791633, 345.41357951),
        (1.205773326, 0.438444, 554.5351925, 396.09643123),
    ),
    "asia-southeast1": (
        (1.234213584, 0.45572, 567.61479376, 405.43913548),
        (1.415310912, 0.52816, 650.90144568, 464.92960364),
    ),
}
# One vCPU with 3.75 GB; n1-standard types are exact multiples.
N1_STANDARD: dict[str, Four] = {
    **dict.fromkeys(
        ("us-central1", "us-east1", "us-west1"), (0.04749975, 0.0130025, 21.8443375, 15.6046625)
    ),
    "us-east4": (0.05349625, 0.01076375, 23.37387, 16.69583),
    "us-west4": (0.05349625, 0.0112025, 23.37387, 16.69583),
    "europe-west1": (0.05225175, 0.01434625, 24.02941, 17.1635775),
    "europe-west4": (0.052292, 0.013455, 24.048025, 17.1785425),
    "asia-southeast1": (0.0585965, 0.01153875, 26.94576, 19.24864),
}
# Whole machines, with the GPUs and local SSDs that come with them.
WHOLE: dict[str, dict[str, Four]] = {
    region: {
        "a2-highgpu-1g": (3.673385, 1.293355, 1689.3711392, 938.56707798),
        "a2-highgpu-2g": (7.34677, 2.58671, 3378.7422784, 1877.13415596),
        "a2-ultragpu-1g": (5.06879789, 2.02746836, None, None),
        "a2-ultragpu-2g": (10.13759578, 4.05493671, None, None),
        "a2-ultragpu-4g": (20.27519156, 8.10987342, None, None),
        "a3-highgpu-1g": (11.06124999, 4.42446871, 5601.26008308, 3546.37477674),
        "a3-highgpu-2g": (22.12249998, 8.84893742, 11202.52016616, 7092.74955348),
    }
    for region in ("us-central1", "us-east1", "us-west1")
}

# GPUs that are attached to N1, each an hour: on demand, Spot, one and three years.
GPUS: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "us-central1": {"nvidia-tesla-t4": (0.35, 0.14, 0.22, 0.16)},
    "europe-west4": {"nvidia-tesla-t4": (0.35, 0.14, 0.22, 0.15)},
}
GPUS_DATED = "2025-11-15"
GPUS_SOURCE = (
    "Cloud Billing catalog, as noted to a whole cent in github.com/djwar42/arr-coc-0-1 on that day"
)

# Region to disk type to USD a GB and month.
DISKS_GB_MONTH: dict[str, dict[str, float]] = {
    "us-central1": {
        "pd-standard": 0.04,
        "pd-balanced": 0.1,
        "pd-ssd": 0.17,
        "pd-extreme": 0.125,
    },
}

# USD an hour for an external IPv4 address in use by an instance, any region: standard and Spot;
# from a third-party page that quotes Google's network prices and has a date of its own.
EXTERNAL_IPV4 = 0.005
EXTERNAL_IPV4_SPOT = 0.0025
EXTERNAL_IPV4_DATED = "2026-10-16"
EXTERNAL_IPV4_SOURCE = "a third-party page that quotes Google's network prices"
# USD an hour for a static address that no running instance uses.
IDLE_IPV4: dict[str, float] = {
    **dict.fromkeys(("us-central1", "us-east1", "us-west1"), 0.01),
    "asia-southeast1": 0.011,
}
IDLE_IPV4_DATED = "2026-09-04"
IDLE_IPV4_SOURCE = "Cloud Billing catalog, as noted by a third party who read all of its SKUs"
