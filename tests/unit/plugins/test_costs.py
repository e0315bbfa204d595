# SPDX-License-Identifier: Apache-2.0
"""Sums over parts whose prices are known, and over those whose are not."""

from __future__ import annotations

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils import costs, prices

REGION = "us-central1"
L4 = [{"type": "nvidia-l4", "count": 1}]


def test_agrees_with_the_price_that_preflight_shows() -> None:
    parts = [
        *costs.machine_parts("g2-standard-4", L4, REGION),
        costs.disk_part(100, "pd-balanced", REGION),
        costs.address_part(),
    ]
    plan = {"disk_gb": 100, "disk_type": "pd-balanced", "external_ip": True}
    shown = prices.price("g2-standard-4", L4, REGION, **plan)  # type: ignore[arg-type]
    assert shown is not None
    assert costs.total(parts, "on_demand")["hourly"] == pytest.approx(shown["hourly"], abs=1e-4)
    assert "0.726 USD an hour" in costs.said(costs.total(parts, "on_demand"))


def test_unknown_is_never_zero() -> None:
    parts = [
        *costs.machine_parts("n1-standard-8", [{"type": "nvidia-tesla-t4", "count": 2}], REGION),
        costs.disk_part(100, "hyperdisk-balanced", REGION),
    ]
    total = costs.total(parts, "on_demand")
    assert total["hourly"] is total["monthly"] is None
    assert total["known_hourly"] == pytest.approx(0.38)
    assert total["unknown"] == ["2 x nvidia-tesla-t4", "disk 100 GB hyperdisk-balanced"]
    assert "2 x nvidia-tesla-t4" in costs.said(total)
    assert costs.said(costs.total(parts, "spot")).startswith("unknown")


def test_spot_machines_have_no_price_but_disks_do() -> None:
    assert costs.machine_parts("g2-standard-4", L4, REGION)[0]["spot"] is None
    disk = costs.disk_part(730, "pd-balanced", REGION)
    assert disk["spot"] == disk["on_demand"] == {"hourly": 0.1, "monthly": 73.0}


def test_a_reserved_address_that_nothing_uses_has_a_price_that_is_not_known() -> None:
    assert costs.address_part(in_use=False)["on_demand"] is None
