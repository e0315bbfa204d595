# SPDX-License-Identifier: Apache-2.0
"""Machine types by name: custom ones, parts of a GPU, how they are sold, what they draw on."""

from __future__ import annotations

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import change_table
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.quota import cloud_quotas
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.quota.needs import quota_needs
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import (
    machine_types,
    provisioning,
)

from emulator.world import catalog_data as data

T4 = [{"type": "nvidia-tesla-t4", "count": 1}]
L4 = [{"type": "nvidia-l4", "count": 1}]


@pytest.mark.parametrize(
    ("name", "series", "canonical", "takes_t4"),
    [
        ("custom-8-30720", "n1", "custom-8-30720", True),
        ("n1-custom-8-30720", "n1", "custom-8-30720", True),
        ("custom-2-15360-ext", "n1", "custom-2-15360-ext", True),
        ("n1-custom-2-15360-ext", "n1", "custom-2-15360-ext", True),
        ("n2-custom-4-8192", "n2", "n2-custom-4-8192", False),
        ("e2-custom-small-2048", "e2", "e2-custom-small-2048", False),
        ("n4-custom-8-16384-ext", "n4", "n4-custom-8-16384-ext", False),
        ("n1-standard-8", "n1", "n1-standard-8", True),
    ],
)
def test_custom_types(name: str, series: str, canonical: str, takes_t4: bool) -> None:
    assert machine_types.series(name) == series
    assert machine_types.canonical(name) == canonical
    problem = machine_types.combination_problem({"name": name, "guestCpus": 8}, T4)
    assert (problem == "") is takes_t4
    assert data.canonical(name) == canonical


def test_custom_types_count_and_change_as_n1() -> None:
    needs = quota_needs({"name": "custom-8-30720", "guestCpus": 8}, T4)
    assert needs["CPUS"] == 8 and needs["NVIDIA_T4_GPUS"] == 1
    assert change_table.way("machine_type", "n1-standard-8", "custom-8-30720") == "stop"
    assert change_table.way("machine_type", "n1-standard-8", "n4-standard-8") == "recreate"


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("a3-highgpu-1g", "SPOT FLEX_START"),
        ("a3-highgpu-2g", "SPOT FLEX_START"),
        ("a3-highgpu-4g", "SPOT FLEX_START"),
        ("a3-highgpu-8g", "STANDARD SPOT FLEX_START RESERVATION_BOUND"),
        ("a3-megagpu-8g", "STANDARD SPOT FLEX_START RESERVATION_BOUND"),
        ("a3-ultragpu-8g", "SPOT FLEX_START RESERVATION_BOUND"),
        ("a4-highgpu-8g", "SPOT FLEX_START RESERVATION_BOUND"),
        ("a4x-highgpu-4g", "RESERVATION_BOUND"),
        ("a2-ultragpu-1g", "STANDARD SPOT FLEX_START RESERVATION_BOUND"),
        ("g2-standard-4", "STANDARD SPOT FLEX_START RESERVATION_BOUND"),
        ("n1-standard-8", "STANDARD SPOT FLEX_START RESERVATION_BOUND"),
    ],
)
def test_how_they_are_sold(name: str, models: str) -> None:
    assert provisioning.sold_as(name) == tuple(models.split())
    for model in provisioning.MODELS:
        words = provisioning.not_sold(name, model)
        assert (words == "") is (model in models.split())
    if name in data.MACHINES:
        assert data.MACHINES[name].sold_as == provisioning.sold_as(name)


@pytest.mark.parametrize("name", ["g4-standard-6", "g4-standard-12", "g4-standard-24"])
def test_parts_of_a_gpu_need_another_driver(name: str) -> None:
    assert "vGPU" in machine_types.driver_warning(name)
    assert machine_types.driver_warning("g4-standard-48") == ""
    assert machine_types.bundled(name) == [], "none is whole"


@pytest.mark.parametrize(
    ("name", "family", "amount"),
    [
        ("a2-ultragpu-1g", "A2", 375),
        ("a3-highgpu-8g", "A3", 6000),
        ("a4-highgpu-8g", "A4", 12000),
        ("g2-standard-4", "G2", None),
    ],
)
def test_quota_of_local_ssds(name: str, family: str, amount: int | None) -> None:
    metric = f"LOCAL_SSD_TOTAL_GB_PER_VM_FAMILY/{family}"
    assert quota_needs({"name": name}, []).get(metric) == amount
    assert metric not in quota_needs({"name": name}, [], spot=True)
    assert cloud_quotas.target(metric, "us-central1") == (
        "LOCAL-SSD-TOTAL-GB-PER-VM-FAMILY-per-project-region",
        {"region": "us-central1", "vm_family": family},
    )


def test_a_reservation_has_its_own_quota() -> None:
    h100 = [{"type": "nvidia-h100-80gb", "count": 8}]
    plan = {"disk_gb": 100, "disk_type": "pd-balanced", "external_ip": True}
    needs = quota_needs({"name": "a3-highgpu-8g"}, h100, reserved=True, **plan)  # type: ignore[arg-type]
    assert needs == {"SSD_TOTAL_GB": 100, "IN_USE_ADDRESSES": 1, "INSTANCES": 1}
