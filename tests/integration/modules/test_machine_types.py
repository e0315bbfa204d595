# SPDX-License-Identifier: Apache-2.0
"""Custom machine types, and machines that are sold in some ways only."""

from __future__ import annotations

import pytest

from tests.support import modules_fixtures as m

T4 = [{"type": "nvidia-tesla-t4", "count": 1}]
RESERVED = {
    "scheduling": {"provisioning_model": "RESERVATION_BOUND"},
    "reservation_affinity": {"type": "specific", "reservations": ["mine"]},
}
HYPERDISK = {"image_project": m.IMAGES, "image_family": m.FAMILY, "type": "hyperdisk-balanced"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("custom-8-30720", "n1-custom-8-30720"),
        ("n1-custom-8-30720", "custom-8-30720"),
        ("n1-custom-2-15360-ext", "custom-2-15360-ext"),
    ],
)
def test_n1_custom_with_a_gpu(cloud: m.Cloud, first: str, second: str) -> None:
    desired = m.machine("llm", machine_type=first, accelerators=T4)
    made = cloud.ok("gce_instance", **desired)
    assert made["instance"]["machineType"].endswith(f"/{first.removeprefix('n1-')}")
    assert cloud.ok("gce_instance", **desired)["changed"] is False
    assert cloud.ok("gce_instance", **desired | {"machine_type": second})["changed"] is False
    found = cloud.ok("gce_machine_type_info", zone=m.ZONE, machine_type=first)
    assert found["quota_needs"]["CPUS"] == found["machine_type"]["guestCpus"]


@pytest.mark.parametrize("name", ["custom-7-30720", "custom-8-1024", "custom-2-15360"])
def test_custom_types_that_there_are_none_of(cloud: m.Cloud, name: str) -> None:
    refused = cloud.fails("gce_instance", **m.machine("llm", machine_type=name))
    assert "has no machine type" in refused["msg"]


@pytest.mark.parametrize(
    ("zone", "machine", "models"),
    [
        ("us-central1-a", "a3-highgpu-1g", "SPOT or FLEX_START"),
        ("us-central1-b", "a3-ultragpu-8g", "SPOT or FLEX_START or RESERVATION_BOUND"),
        ("europe-west1-b", "a4-highgpu-8g", "SPOT or FLEX_START or RESERVATION_BOUND"),
    ],
)
def test_not_sold_on_demand(cloud: m.Cloud, zone: str, machine: str, models: str) -> None:
    where = {"zone": zone, "machine_type": machine}
    found = cloud.ok("gce_machine_type_info", **where)
    assert found["not_sold"] == f"Google sells {machine} as {models}, and not as STANDARD"
    assert cloud.ok("gce_machine_type_info", provisioning_model="SPOT", **where)["not_sold"] == ""
    desired = m.machine("llm", boot_disk=HYPERDISK, **where)
    for check in (True, False):
        refused = cloud.fails("gce_instance", check, **desired)
        assert refused["reason"] == "notSold"
        assert f"provisioning_model to {models}" in refused["msg"]


def test_reserved(cloud: m.Cloud) -> None:
    """No quota of its own, and left as it is where nothing, or the default, is desired."""
    a4 = {"zone": "europe-west1-b", "machine_type": "a4-highgpu-8g", "boot_disk": HYPERDISK}
    without = m.machine("llm", **a4, scheduling=RESERVED["scheduling"])
    assert "reservation_affinity" in cloud.fails("gce_instance", **without)["msg"]
    made = cloud.ok("gce_instance", **m.machine("llm", **a4, **RESERVED))
    assert made["instance"]["scheduling"]["provisioningModel"] == "RESERVATION_BOUND"
    assert made["instance"]["scheduling"]["onHostMaintenance"] == "TERMINATE"
    again = cloud.ok("gce_instance", **m.machine("llm", **a4, **RESERVED))
    assert again["changed"] is False
    default = m.machine("llm", **a4, scheduling={"provisioning_model": "STANDARD"})
    kept = cloud.ok("gce_instance", allow_recreate=True, **default)
    assert kept["changed"] is False
    assert "was left so" in str(kept["warnings"])
    found = cloud.ok(
        "gce_machine_type_info",
        zone="europe-west1-b",
        machine_type="a4-highgpu-8g",
        provisioning_model="RESERVATION_BOUND",
    )
    assert not [metric for metric in found["quota_needs"] if "GPU" in metric or "SSD" in metric]


def test_a_part_of_a_gpu_is_warned_of(cloud: m.Cloud) -> None:
    where = {"zone": "us-central1-b", "machine_type": "g4-standard-6"}
    assert "vGPU (GRID) driver" in str(cloud.ok("gce_machine_type_info", **where)["warnings"])
