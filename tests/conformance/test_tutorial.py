# SPDX-License-Identifier: Apache-2.0
"""The tutorials' way to an L4 and a T4 machine with gcloud, from looking around to deleting."""

from __future__ import annotations

from typing import Any

from tests.conformance.gcloud_runner import FAMILY, IMAGES, Gcloud
from tests.support.emulator_fixture import ZONE

T4 = ("--accelerator=type=nvidia-tesla-t4,count=1",)


def names(listed: list[dict[str, Any]]) -> list[str]:
    return sorted(one["name"] for one in listed)


def test_gpu_machines_from_first_look_to_last(gcloud: Gcloud) -> None:
    region = gcloud("regions", "describe", "us-central1")
    quotas = {one["metric"]: one for one in region["quotas"]}
    assert quotas["NVIDIA_T4_GPUS"]["limit"] >= 1
    image = gcloud("images", "describe-from-family", FAMILY, f"--project={IMAGES}")
    assert image["name"].startswith(FAMILY) and image["status"] == "READY"

    [l4] = gcloud.tutorial("vllm-l4")
    [t4] = gcloud.tutorial("vllm-t4", *T4, machine_type="n1-standard-4")
    for instance, gpu in ((l4, "nvidia-l4"), (t4, "nvidia-tesla-t4")):
        assert instance["status"] == "RUNNING"
        [card] = instance["guestAccelerators"]
        assert card["acceleratorType"].endswith(f"/{gpu}") and card["acceleratorCount"] == 1
        assert instance["scheduling"]["onHostMaintenance"] == "TERMINATE"
        assert instance["disks"][0]["diskSizeGb"] == "100"
        [account] = instance["serviceAccounts"]
        assert account["scopes"] == ["https://www.googleapis.com/auth/cloud-platform"]
    seen = gcloud("instances", "describe", "vllm-t4")
    assert {"key": "install-nvidia-driver", "value": "True"} in seen["metadata"]["items"]
    assert seen["tags"]["items"] == ["llm-server"]
    used = {
        one["metric"]: one["usage"]
        for one in gcloud("regions", "describe", "us-central1")["quotas"]
    }
    assert (used["NVIDIA_L4_GPUS"], used["NVIDIA_T4_GPUS"], used["SSD_TOTAL_GB"]) == (1, 1, 200)

    gcloud("instances", "stop", "vllm-l4")
    for condition, expected in (
        ("--filter=status=RUNNING", ["vllm-t4"]),
        ("--filter=name~^vllm AND status=TERMINATED", ["vllm-l4"]),
        (f"--filter=zone:({ZONE}) AND machineType:g2-standard-4", ["vllm-l4"]),
        ("--filter=tags.items=llm-server", ["vllm-l4", "vllm-t4"]),
    ):
        assert names(gcloud("instances", "list", condition)) == expected, condition
    gcloud("instances", "start", "vllm-l4")
    assert gcloud("instances", "describe", "vllm-l4")["status"] == "RUNNING"
    gcloud("instances", "delete", "vllm-l4", "vllm-t4")
    assert gcloud("instances", "list") == gcloud("disks", "list") == []


def test_static_address(gcloud: Gcloud) -> None:
    gcloud("addresses", "create", "vllm-ip", "--region=us-central1")
    reserved = gcloud("addresses", "describe", "vllm-ip", "--region=us-central1")
    assert (reserved["status"], reserved["addressType"]) == ("RESERVED", "EXTERNAL")
    [instance] = gcloud.tutorial("vllm-l4", f"--address={reserved['address']}")
    access = instance["networkInterfaces"][0]["accessConfigs"][0]
    assert access["natIP"] == reserved["address"]
    [listed] = gcloud("addresses", "list")
    assert listed["status"] == "IN_USE" and listed["users"][0].endswith("/vllm-l4")
    gcloud("instances", "delete", "vllm-l4")
    gcloud("addresses", "delete", "vllm-ip", "--region=us-central1")
    assert gcloud("addresses", "list") == []


def test_office_hours(gcloud: Gcloud) -> None:
    where = "--region=us-central1"
    gcloud(
        *("resource-policies", "create", "instance-schedule", "office", where),
        *("--vm-start-schedule=0 8 * * 1-5", "--vm-stop-schedule=0 18 * * 1-5"),
        "--timezone=Europe/Zurich",
    )
    policy = gcloud("resource-policies", "describe", "office", where)
    assert policy["instanceSchedulePolicy"]["vmStopSchedule"]["schedule"] == "0 18 * * 1-5"
    gcloud.tutorial("vllm-l4")
    gcloud("instances", "add-resource-policies", "vllm-l4", "--resource-policies=office")
    [used] = gcloud("instances", "describe", "vllm-l4")["resourcePolicies"]
    assert used.endswith("/resourcePolicies/office")
    gcloud("instances", "remove-resource-policies", "vllm-l4", "--resource-policies=office")
    gcloud("resource-policies", "delete", "office", where)
    assert gcloud("resource-policies", "list") == []
