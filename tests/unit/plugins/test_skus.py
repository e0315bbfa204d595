# SPDX-License-Identifier: Apache-2.0
"""SKUs by their descriptions: what they price, and the look-alikes that are something else."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.pricing import skus


def sku(description: str, usage: str = "OnDemand", **changes: Any) -> dict[str, Any]:
    expression: dict[str, Any] = {
        "usageUnit": changes.get("unit", "h"),
        "tieredRates": changes.get(
            "tiers", [{"startUsageAmount": 0, "unitPrice": {"units": "1", "nanos": 500_000_000}}]
        ),
    }
    return {
        "description": description,
        "category": {"usageType": usage},
        "serviceRegions": ["us-central1"],
        "pricingInfo": changes.get("infos", [{"pricingExpression": expression}]),
    }


@pytest.mark.parametrize(
    ("description", "usage", "component", "model"),
    [
        ("G2 Instance Core running in Iowa", "OnDemand", "cpu:g2", "on_demand"),
        ("G2 Instance Ram running in Sao Paulo", "OnDemand", "ram:g2", "on_demand"),
        ("Spot Preemptible G2 Instance Ram running in Iowa", "Preemptible", "ram:g2", "spot"),
        ("Commitment v1: G2 Cpu in Berlin for 1 Year", "Commit1Yr", "cpu:g2", "commit_1y"),
        ("Commitment v1: G2 Ram in Iowa for 3 Years", "Commit3Yr", "ram:g2", "commit_3y"),
        ("N1 Predefined Instance Core running in Americas", "OnDemand", "cpu:n1", "on_demand"),
        ("Commitment v1: Cpu in Americas for 3 Year", "Commit3Yr", "cpu:n1", "commit_3y"),
        ("N2D AMD Instance Core running in Paris", "OnDemand", "cpu:n2d", "on_demand"),
        ("Nvidia L4 GPU running in Americas", "OnDemand", "gpu:nvidia-l4", "on_demand"),
        ("NVIDIA L4 GPU running in Virginia", "OnDemand", "gpu:nvidia-l4", "on_demand"),
        (
            "Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Warsaw",
            "Preemptible",
            "gpu:nvidia-tesla-t4",
            "spot",
        ),
        (
            "Commitment v1: Nvidia Tesla A100 80GB GPU running in Iowa for 1 Year",
            "Commit1Yr",
            "gpu:nvidia-a100-80gb",
            "commit_1y",
        ),
        ("Nvidia Tesla A100 GPU running in EMEA", "OnDemand", "gpu:nvidia-tesla-a100", "on_demand"),
        # Of this one the usage type says that it is on demand.
        (
            "Spot Preemptible A4 Nvidia B200 (1 gpu slice) running in Americas",
            "OnDemand",
            "gpu:nvidia-b200",
            "spot",
        ),
        ("RTX 6000 96GB running in Oregon", "OnDemand", "gpu:nvidia-rtx-pro-6000", "on_demand"),
        ("Balanced PD Capacity", "OnDemand", "disk:pd-balanced", "on_demand"),
        ("Balanced PD Capacity in Japan", "OnDemand", "disk:pd-balanced", "on_demand"),
        ("SSD backed PD Capacity in Japan", "OnDemand", "disk:pd-ssd", "on_demand"),
        ("External IP Charge on a Standard VM", "OnDemand", "address", "on_demand"),
        ("External IP Charge on a Spot Preemptible VM", "OnDemand", "address", "spot"),
        ("Static Ip Charge in Singapore", "OnDemand", "address-idle", "on_demand"),
    ],
)
def test_what_a_sku_prices(description: str, usage: str, component: str, model: str) -> None:
    found = skus.rate(sku(description, usage))
    assert found is not None
    assert (found.component, found.model, found.hourly) == (component, model, 1.5)


@pytest.mark.parametrize(
    "description",
    [
        "G2 Custom Instance Core running in Americas",
        "Sole Tenancy Premium for N1 Sole Tenancy Instance Core running in Americas",
        "C3 Sole Tenancy Instance Core running in Americas",
        "Nvidia L4 Virtual Workstation GPU running in Netherlands",
        "Nvidia L4 GPU Virtual Workstation running in Americas",
        "Nvidia L40 GPU running in Netherlands",
        "Nvidia Tesla T4 GPU attached to DWS Defined Duration VMs running in Americas",
        "Reserved Nvidia Tesla A100 GPU in Americas",
        "Reserved M4 Core in Americas",
        "Regional Balanced PD Capacity",
        "Regional Balanced PD Capacity in Iowa",
        "Storage PD Snapshot in US",
        "Network Internet Egress from Americas to Americas",
        "Commitment v1: G2 Cpu in Iowa for 5 Years",
        "",
    ],
)
def test_look_alikes_price_nothing(description: str) -> None:
    assert skus.rate(sku(description)) is None


def test_units_and_tiers() -> None:
    free_first = [
        {"startUsageAmount": 0, "unitPrice": {"units": "0", "nanos": 0}},
        {"startUsageAmount": 744, "unitPrice": {"units": "0", "nanos": 5_000_000}},
    ]
    address = skus.rate(sku("External IP Charge on a Standard VM", tiers=free_first))
    assert address is not None and address.hourly == 0.005
    monthly = skus.rate(sku("Balanced PD Capacity", unit="GiBy.mo"))
    assert monthly is not None and monthly.hourly == pytest.approx(1.5 / 730)
    # What has no price or an unknown unit is unknown, not free.
    zero = [{"startUsageAmount": 0, "unitPrice": {"units": "0"}}]
    assert skus.rate(sku("Balanced PD Capacity", tiers=zero)) is None
    assert skus.rate(sku("Balanced PD Capacity", unit="count")) is None
    assert skus.rate(sku("Balanced PD Capacity", infos=[])) is None


@pytest.mark.parametrize(
    ("machine", "family"),
    [("g2-standard-4", "g2"), ("a3-highgpu-8g", "a3"), ("a3-megagpu-8g", "a3plus")],
)
def test_family(machine: str, family: str) -> None:
    assert skus.family(machine) == family
