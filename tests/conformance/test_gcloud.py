# SPDX-License-Identifier: Apache-2.0
"""What people do with gcloud, one verb after the other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.gcloud_runner import Gcloud, GcloudError
from tests.support.emulator_fixture import ZONE, Api, Emulator


def _create(gcloud: Gcloud, *names: str, machine_type: str = "g2-standard-4") -> Any:
    return gcloud(
        *("instances", "create", *names, f"--machine-type={machine_type}"),
        *("--image-project=deeplearning-platform-release", "--maintenance-policy=TERMINATE"),
        "--image-family=pytorch-2-9-cu129-ubuntu-2404-nvidia-580",
        *("--boot-disk-size=50GB", "--boot-disk-type=pd-balanced", "--labels=app=llm"),
        *("--metadata=enable-guest-attributes=TRUE", "--tags=llm"),
    )


def test_life_of_an_instance(gcloud: Gcloud) -> None:
    [created] = _create(gcloud, "vm-one")
    assert created["status"] == "RUNNING"
    assert created["guestAccelerators"][0]["acceleratorType"].endswith("/nvidia-l4")

    listed = gcloud("instances", "list")
    assert [i["name"] for i in listed] == ["vm-one"]
    gcloud("instances", "add-labels", "vm-one", "--labels=stage=test")
    gcloud("instances", "add-metadata", "vm-one", "--metadata=note=hello")
    gcloud("instances", "add-tags", "vm-one", "--tags=more")
    seen = gcloud("instances", "describe", "vm-one")
    assert seen["labels"] == {"app": "llm", "stage": "test"}
    assert {"key": "note", "value": "hello"} in seen["metadata"]["items"]
    assert seen["tags"]["items"] == ["llm", "more"]
    keys = gcloud("instances", "get-guest-attributes", "vm-one", "--query-path=hostkeys/")
    assert keys[0]["key"] == "ssh-ed25519"

    gcloud("instances", "stop", "vm-one")
    assert gcloud("instances", "describe", "vm-one")["status"] == "TERMINATED"
    gcloud("instances", "set-machine-type", "vm-one", "--machine-type=g2-standard-8")
    gcloud("instances", "start", "vm-one")
    again = gcloud("instances", "describe", "vm-one")
    assert again["status"] == "RUNNING"
    assert again["machineType"].endswith("/g2-standard-8")

    gcloud("instances", "delete", "vm-one")
    assert gcloud("instances", "list") == []
    assert gcloud("disks", "list") == []


def test_several_at_once_go_in_a_batch(gcloud: Gcloud) -> None:
    created = _create(gcloud, "vm-a", "vm-b")
    assert sorted(i["name"] for i in created) == ["vm-a", "vm-b"]
    gcloud("instances", "delete", "vm-a", "vm-b")
    assert gcloud("instances", "list") == []


def test_life_of_a_firewall_rule(gcloud: Gcloud) -> None:
    gcloud(
        *("firewall-rules", "create", "llm-api", "--allow=tcp:8000", "--target-tags=llm"),
        "--source-ranges=192.0.2.0/24",
    )
    seen = gcloud("firewall-rules", "describe", "llm-api")
    assert seen["allowed"] == [{"IPProtocol": "tcp", "ports": ["8000"]}]
    gcloud("firewall-rules", "update", "llm-api", "--source-ranges=198.51.100.0/24")
    listed = {rule["name"]: rule for rule in gcloud("firewall-rules", "list")}
    assert listed["llm-api"]["sourceRanges"] == ["198.51.100.0/24"]
    gcloud("firewall-rules", "delete", "llm-api")
    assert len(gcloud("firewall-rules", "list")) == 4


def test_debian_by_default_and_operations(gcloud: Gcloud) -> None:
    """Without an image gcloud asks debian-cloud for a family view."""
    gcloud("instances", "create", "plain", "--machine-type=e2-small")
    operations = gcloud("operations", "list", "--filter=operationType=insert")
    assert [o["targetLink"].rsplit("/", 1)[1] for o in operations] == ["plain"]


def test_what_is_there(gcloud: Gcloud) -> None:
    region = gcloud("regions", "describe", "us-central1")
    assert {"NVIDIA_L4_GPUS", "NVIDIA_T4_GPUS"} <= {q["metric"] for q in region["quotas"]}
    assert "GPUS_ALL_REGIONS" in {q["metric"] for q in gcloud("project-info", "describe")["quotas"]}
    types = gcloud("accelerator-types", "list", f"--filter=zone:{ZONE}")
    assert "nvidia-l4" in {t["name"] for t in types}
    machine = gcloud("machine-types", "describe", "g2-standard-4")
    assert machine["accelerators"][0]["guestAcceleratorType"] == "nvidia-l4"
    images = gcloud(
        "images", "list", "--project=deeplearning-platform-release", "--no-standard-images"
    )
    assert any(i["family"] == "common-cu129-ubuntu-2404-nvidia-580" for i in images)


def test_quota_and_stockout_are_told(emulator: Emulator, api: Api, gcloud: Gcloud) -> None:
    base = f"projects/{emulator.project}/regions/us-central1/quotas"
    emulator.admin("PUT", f"{base}/NVIDIA_L4_GPUS", {"limit": 0})
    with pytest.raises(GcloudError, match="NVIDIA_L4_GPUS"):
        _create(gcloud, "vm-one")
    emulator.admin("PUT", f"{base}/NVIDIA_L4_GPUS", {"limit": 1})
    emulator.admin("PUT", "stockouts", {"zone": ZONE, "machine_type": "g2-standard-4"})
    with pytest.raises(GcloudError, match=r"does not have enough\s+resources"):
        _create(gcloud, "vm-one")
    assert "items" not in api.get(f"zones/{ZONE}/instances")
