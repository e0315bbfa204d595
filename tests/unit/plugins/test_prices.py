# SPDX-License-Identifier: Apache-2.0
"""The price table against the figures of its source, and what is said where it has none."""

from __future__ import annotations

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import machine_types
from ansible_collections.llmops.gce_vllm.plugins.module_utils.pricing import list_prices

L4 = [{"type": "nvidia-l4", "count": 1}]


@pytest.mark.parametrize(
    ("machine", "published"),
    [
        ("g2-standard-4", 0.706832255),
        ("g2-standard-8", 0.853624271),
        ("g2-standard-12", 1.000416287),
        ("g2-standard-32", 1.734376367),
        ("g2-standard-96", 8.003330296),
        ("n1-standard-8", 0.379998),
        ("n1-standard-64", 3.039984),
        ("n1-standard-96", 4.559976),
        ("a2-highgpu-1g", 3.673385),
        ("a2-highgpu-2g", 7.34677),
    ],
)
def test_table_agrees_with_its_source(machine: str, published: float) -> None:
    found = list_prices.price(machine, machine_types.bundled(machine), "us-central1")
    assert found is not None and found["hourly"] == pytest.approx(published, abs=1e-4)


def test_price_is_the_sum_of_its_parts() -> None:
    found = list_prices.price(
        "g2-standard-8",
        L4,
        "us-central1",
        disk_gb=100,
        disk_type="pd-balanced",
        external_ip=True,
    )
    assert found is not None
    assert [item["what"] for item in found["parts"]] == [
        "8 vCPUs and 32 GB of g2-standard-8",
        "1 x nvidia-l4",
        "disk 100 GB pd-balanced",
        "external IPv4 address",
    ]
    assert found["hourly"] == pytest.approx(0.853624 + 10 / 730 + 0.005, abs=1e-4)
    assert found["unknown"] == []
    assert found["currency"] == "USD"
    assert found["dated"] == "2025-03-06"


@pytest.mark.parametrize(
    ("machine", "gpus", "region", "model"),
    [
        ("g2-standard-8", L4, "asia-east1", "STANDARD"),
        ("a3-highgpu-8g", machine_types.bundled("a3-highgpu-8g"), "us-central1", "STANDARD"),
        # The GPU has no price, so the machine alone must not pass for the whole.
        ("n1-standard-8", [{"type": "nvidia-tesla-v100", "count": 1}], "us-central1", "STANDARD"),
        ("a2-megagpu-16g", machine_types.bundled("a2-megagpu-16g"), "us-central1", "SPOT"),
        # There is a rate for each of its parts, and nobody can buy it so.
        ("a3-highgpu-1g", machine_types.bundled("a3-highgpu-1g"), "us-central1", "STANDARD"),
    ],
)
def test_what_is_not_known_is_not_guessed(
    machine: str, gpus: list[dict[str, object]], region: str, model: str
) -> None:
    assert list_prices.price(machine, gpus, region, model=model) is None


@pytest.mark.parametrize(("model", "hourly"), [("SPOT", 4.42446871), ("FLEX_START", 11.06124999)])
def test_a_machine_that_is_sold_in_other_ways_has_their_price(model: str, hourly: float) -> None:
    gpus = machine_types.bundled("a3-highgpu-1g")
    found = list_prices.price("a3-highgpu-1g", gpus, "us-central1", model=model)
    assert found is not None and found["hourly"] == pytest.approx(hourly, abs=1e-4)


def test_part_without_a_price_is_named() -> None:
    found = list_prices.price(
        "g2-standard-4", L4, "us-central1", disk_gb=80, disk_type="hyperdisk-balanced"
    )
    assert found is not None
    assert found["unknown"] == ["disk 80 GB hyperdisk-balanced"]
    assert found["hourly"] == pytest.approx(0.7068, abs=1e-4)


def test_every_priced_machine_of_a_bundled_series_has_known_gpus() -> None:
    for machines in list_prices.table.WHOLE.values():
        assert all(machine_types.bundled(machine) for machine in machines)
