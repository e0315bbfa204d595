# SPDX-License-Identifier: Apache-2.0
"""Sums over parts whose prices are known, and over those whose are not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import machine_types
from ansible_collections.llmops.gce_vllm.plugins.module_utils.pricing import (
    catalog_prices,
    costs,
    list_prices,
    skus,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports import plan_cost

REGION = "us-central1"
L4 = [{"type": "nvidia-l4", "count": 1}]
TABLE = costs.Table()


def plan(machine_type: str, **changes: Any) -> dict[str, Any]:
    return {
        "machine_type": machine_type,
        "accelerators": [],
        "boot_disk_size_gb": 100,
        "boot_disk_type": "pd-balanced",
        "more_disks": [],
        "external_ip": True,
        "static_address": False,
        **changes,
    }


def test_agrees_with_the_price_of_the_machine_type() -> None:
    parts = [
        *TABLE.machine_parts("g2-standard-4", L4, REGION),
        TABLE.disk_part(100, "pd-balanced", REGION),
        TABLE.address_part(REGION),
    ]
    desired = {"disk_gb": 100, "disk_type": "pd-balanced", "external_ip": True}
    shown = list_prices.price("g2-standard-4", L4, REGION, **desired)  # type: ignore[arg-type]
    assert shown is not None
    assert costs.total(parts, "on_demand")["hourly"] == pytest.approx(shown["hourly"], abs=1e-4)
    assert "0.726 USD an hour" in costs.said(costs.total(parts, "on_demand"))


@pytest.mark.parametrize(
    ("machine", "gpus", "region", "model", "published"),
    [
        ("g2-standard-4", 1, REGION, "on_demand", 0.706832255),
        ("g2-standard-24", 2, "europe-west4", "on_demand", 2 * 1.051487566),
        ("g2-standard-24", 2, "asia-southeast1", "spot", 0.91144),
        ("g2-standard-24", 2, "asia-southeast1", "commit_1y", 1135.22958752 / 730),
        ("g2-standard-24", 2, "asia-southeast1", "commit_3y", 810.87827096 / 730),
    ],
)
def test_sums_of_parts_are_the_published_prices(
    machine: str, gpus: int, region: str, model: costs.Model, published: float
) -> None:
    cards = [{"type": "nvidia-l4", "count": gpus}]
    parts = TABLE.machine_parts(machine, cards, region)
    assert costs.total(parts, model)["hourly"] == pytest.approx(published, abs=1e-4)


def test_unknown_is_never_zero() -> None:
    parts = [
        *TABLE.machine_parts("n1-standard-8", [{"type": "nvidia-tesla-v100", "count": 2}], REGION),
        TABLE.disk_part(100, "hyperdisk-balanced", REGION),
    ]
    total = costs.total(parts, "on_demand")
    assert total["hourly"] is total["monthly"] is None
    assert total["known_hourly"] == pytest.approx(0.38)
    assert total["unknown"] == ["2 x nvidia-tesla-v100", "disk 100 GB hyperdisk-balanced"]
    assert "2 x nvidia-tesla-v100" in costs.said(total)
    nothing = TABLE.machine_parts("c4-standard-8", [], REGION)
    assert costs.said(costs.total(nothing, "on_demand")).startswith("unknown")


def test_disks_and_addresses() -> None:
    disk = TABLE.disk_part(730, "pd-balanced", REGION)
    assert all(disk[model] == {"hourly": 0.1, "monthly": 73.0} for model in costs.MODELS)
    used, idle = TABLE.address_part(REGION), TABLE.address_part(REGION, in_use=False)
    assert (used["on_demand"]["hourly"], used["spot"]["hourly"]) == (0.005, 0.0025)
    assert idle["on_demand"]["hourly"] == 0.01 and idle["dated"] != used["dated"]
    assert TABLE.address_part("europe-west4", in_use=False)["on_demand"] is None


def test_lines_are_a_table_that_names_what_is_unknown() -> None:
    desired = plan("a2-ultragpu-1g", static_address=True)
    found = plan_cost.price(desired, REGION, TABLE)
    head, machine, *rest = found["lines"]
    assert head.split() == ["USD", "an", "hour", "on", "demand", "Spot", "1", "year", "3", "years"]
    assert machine.split()[-4:] == ["5.0688", "2.0275", "unknown", "unknown"]
    month = next(line for line in rest if line.startswith("a month"))
    assert month.split()[-2:] == ["unknown", "unknown"]
    by_month = rest[rest.index(next(line for line in rest if line.startswith("USD a month"))) + 1]
    assert by_month.split()[-4:] == ["3700.22", "1480.05", "unknown", "unknown"]
    # A static address costs on while the instance is stopped: 100 GB and the address.
    assert found["total"]["stopped"]["hourly"] == pytest.approx(10 / 730 + 0.01, abs=1e-4)
    assert any("2025-03-06" in line for line in rest)
    assert any("2026-10-16" in line for line in rest)


def test_flex_start_says_how_it_is_priced() -> None:
    desired = plan("g2-standard-4")
    flex = plan_cost.price({**desired, "provisioning_model": "FLEX_START"}, REGION, TABLE)
    assert flex["lines"][-1] == f"{costs.FLEX_NOTE}: {costs.said(flex['total']['on_demand'])}"
    assert flex["total"]["planned"] == flex["total"]["on_demand"]
    spot = plan_cost.price({**desired, "provisioning_model": "SPOT"}, REGION, TABLE)
    assert costs.FLEX_NOTE not in " ".join(spot["lines"])
    assert spot["total"]["planned"] == spot["total"]["spot"]


def test_what_is_not_sold_on_demand_has_no_price_on_demand() -> None:
    desired = plan("a3-highgpu-1g", external_ip=False)
    found = plan_cost.price(desired, REGION, TABLE)
    machine, _disk = found["parts"]
    assert machine["not_sold"] == ["on_demand", "commit_1y", "commit_3y"]
    assert machine["on_demand"] is machine["commit_1y"] is machine["commit_3y"] is None
    for model in machine["not_sold"]:
        total = found["total"][model]
        assert (total["hourly"], total["monthly"], total["unknown"]) == (None, None, [])
        assert total["not_sold"] == [machine["what"]]
    assert costs.said(found["total"]["planned"]) == "not sold so"
    assert found["total"]["spot"]["hourly"] == pytest.approx(4.42446871 + 10 / 730, abs=1e-4)
    row, total_row = found["lines"][1], found["lines"][3]
    assert row.endswith("not sold   4.4245  not sold  not sold")
    assert total_row.endswith("not sold   4.4382  not sold  not sold")
    only = "Google sells a3-highgpu-1g as SPOT or FLEX_START, and not as STANDARD"
    assert found["lines"][-1] == only
    flex = plan_cost.price({**desired, "provisioning_model": "FLEX_START"}, REGION, TABLE)
    assert flex["total"]["planned"]["hourly"] == pytest.approx(11.06125 + 10 / 730, abs=1e-4)
    assert flex["lines"][-1] == f"{costs.FLEX_NOTE}: {costs.said(flex['total']['planned'])}"


def test_what_is_sold_reserved_can_be_committed() -> None:
    rates = [
        skus.Rate(f"{kind}:a4", model, (REGION,), 1.0)
        for kind in ("cpu", "ram")
        for model in costs.MODELS
    ]
    source = catalog_prices.Catalog(rates, "2026-11-23", "https://example.com")
    found = plan_cost.price(plan("a4-highgpu-8g"), REGION, source)
    cpu = found["parts"][0]
    assert cpu["not_sold"] == ["on_demand"]
    assert (cpu["on_demand"], cpu["commit_1y"]["hourly"]) == (None, 224.0)
    reserved = {**plan("a4-highgpu-8g"), "provisioning_model": "RESERVATION_BOUND"}
    planned = plan_cost.price(reserved, REGION, source)["total"]["planned"]
    assert planned["known_hourly"] == pytest.approx(224.0 + 3968.0)
    assert (planned["hourly"], planned["not_sold"]) == (None, [])
    assert "8 x nvidia-b200" in planned["unknown"]


@pytest.mark.parametrize(
    ("machine", "kind"), [("g2-standard-4", "pd-balanced"), ("a4-highgpu-8g", "hyperdisk-balanced")]
)
def test_a_disk_without_a_type_is_priced_as_what_it_will_be(machine: str, kind: str) -> None:
    found = plan_cost.price(plan(machine, more_disks=[{"size_gb": 7}]), REGION, TABLE)
    assert f"disk 7 GB {kind}" in [part["what"] for part in found["parts"]]


def rate(component: str, model: costs.Model, hourly: float, *regions: str) -> skus.Rate:
    return skus.Rate(component, model, regions or (REGION,), hourly)


def test_catalog_prices_parts_and_never_mixes_regions() -> None:
    rates = [
        rate("cpu:g2", "on_demand", 0.02),
        rate("cpu:g2", "on_demand", 0.03),  # of two the higher
        rate("ram:g2", "on_demand", 0.003),
        rate("gpu:nvidia-l4", "on_demand", 0.5),
        rate("gpu:nvidia-l4", "spot", 0.2, "us-east1"),
        rate("disk:pd-balanced", "on_demand", 0.1 / 730),
        rate("address", "on_demand", 0.005, "global"),
        rate("address", "spot", 0.0025, "global"),
    ]
    source = catalog_prices.Catalog(rates, "2026-11-23", "https://example.com")
    found = plan_cost.price(plan("g2-standard-4"), REGION, source)
    assert [part["kind"] for part in found["parts"]] == ["cpu", "memory", "gpu", "disk", "address"]
    expected = 4 * 0.03 + 16 * 0.003 + 0.5 + 10 / 730 + 0.005
    assert found["total"]["on_demand"]["hourly"] == pytest.approx(expected, abs=1e-4)
    spot = found["total"]["spot"]
    assert spot["hourly"] is None and "1 x nvidia-l4" in spot["unknown"]
    assert found["parts"][-1]["spot"]["hourly"] == 0.0025
    assert found["parts"][-1]["commit_1y"]["hourly"] == 0.005
    assert found["prices"]["dated"] == "2026-11-23"


def test_shapes_of_machines_with_gpus() -> None:
    assert machine_types.shape("g2-standard-96") == (96, 384, 0)
    assert machine_types.shape("a3-highgpu-8g") == (208, 1872, 6000)
    assert machine_types.shape("n1-standard-4") == (4, 15, 0)
    assert machine_types.shape("a2-highgpu-3g") is None
    assert machine_types.shape("weird") is None
