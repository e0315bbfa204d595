# SPDX-License-Identifier: Apache-2.0
"""Instances from insert to delete, by raw requests."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

from tests.support.emulator_fixture import IMAGE, ZONE, Api, Emulator, instance_body

VMS = f"zones/{ZONE}/instances"
CPU: dict[str, Any] = {"scheduling": {}}


def _nat(instance: dict[str, Any]) -> str | None:
    nat: str | None = instance["networkInterfaces"][0]["accessConfigs"][0].get("natIP")
    return nat


def test_a_new_instance_is_complete(api: Api) -> None:
    operation = api.must("POST", VMS, instance_body("vm", labels={"app": "llm"}))
    vm = api.get(f"{VMS}/vm")
    assert operation["targetLink"] == vm["selfLink"]
    assert operation["targetId"] == vm["id"]
    assert vm["selfLink"].startswith("https://www.googleapis.com/compute/v1/projects/")
    assert vm["status"] == "RUNNING"
    assert vm["guestAccelerators"][0]["acceleratorCount"] == 1
    assert vm["networkInterfaces"][0]["networkIP"] == "10.128.0.2"
    nat = _nat(vm)
    assert nat is not None
    assert nat.startswith("203.0.113.")
    disk = api.get(f"zones/{ZONE}/disks/vm")
    assert disk["users"] == [vm["selfLink"]]
    assert disk["type"].endswith("/pd-balanced")  # g2 machines have no pd-standard
    assert api.get(f"{VMS}/{vm['id']}")["name"] == "vm"  # by number, too


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"machineType": f"zones/{ZONE}/machineTypes/g2-standard-5"}, "does not exist in zone"),
        ({"scheduling": {}}, "onHostMaintenance to TERMINATE"),
        ({"disks": []}, "resource.disks"),
        ({"disks": [{"boot": True}]}, "initializeParams"),
        ({"disks": [{"boot": True, "initializeParams": {}}]}, "sourceImage"),
        (
            {"disks": [{"boot": True, "initializeParams": {"sourceImage": IMAGE + "x"}}]},
            "image resource cannot be found",
        ),
        (
            {
                "disks": [
                    {"boot": True, "initializeParams": {"sourceImage": IMAGE, "diskSizeGb": "9"}}
                ]
            },
            "cannot be smaller than",
        ),
        (
            {
                "disks": [
                    {
                        "boot": True,
                        "initializeParams": {
                            "sourceImage": IMAGE,
                            "diskType": f"zones/{ZONE}/diskTypes/pd-standard",
                        },
                    }
                ]
            },
            "can't boot from it",
        ),
        ({"networkInterfaces": [{"network": "global/networks/none"}]}, "network resource"),
        ({"networkInterfaces": [{"networkIP": "10.1.1.1"}]}, "not free for use"),
        ({"labels": {"App": "x"}}, "Label keys"),
        ({"tags": {"items": ["a_b"]}}, "regex"),
        ({"guestAccelerators": [{"acceleratorType": "nvidia-b200"}]}, "has no such type"),
    ],
)
def test_wrong_requests_create_nothing(api: Api, change: dict[str, Any], words: str) -> None:
    error = api.error("POST", VMS, instance_body("vm", **change))
    assert error["code"] == 400
    assert words in error["message"]
    assert "items" not in api.get(VMS)
    assert "items" not in api.get(f"zones/{ZONE}/disks")


def test_a_name_is_taken_once(api: Api) -> None:
    api.must("POST", VMS, instance_body("vm"))
    error = api.error("POST", VMS, instance_body("vm"))
    assert (error["code"], error["errors"][0]["reason"]) == (409, "alreadyExists")


def test_the_same_request_id_creates_once(api: Api) -> None:
    request_id = str(uuid.uuid4())
    found: list[str] = []

    def insert() -> None:
        status, answer = api.call("POST", VMS, instance_body("vm"), {"requestId": request_id})
        found.append(answer["name"] if status == 200 else str(answer))

    threads = [threading.Thread(target=insert) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1, found
    error = api.error("POST", VMS, instance_body("other"), requestId=str(uuid.UUID(int=0)))
    assert "requestId" in error["message"]


def test_a_change_takes_effect_in_its_operation(emulator: Emulator, api: Api) -> None:
    """A client that does not wait sees the old state."""
    api.must("POST", VMS, instance_body("vm"))
    vm = api.get(f"{VMS}/vm")
    emulator.admin("PUT", "operation-delay", {"seconds": 5})
    body = {"labels": {"a": "b"}, "labelFingerprint": vm["labelFingerprint"]}
    status, operation = api.call("POST", f"{VMS}/vm/setLabels", body)
    assert (status, operation["status"]) == (200, "RUNNING")
    assert "labels" not in api.get(f"{VMS}/vm")
    assert api.wait(operation)["progress"] == 100
    assert api.get(f"{VMS}/vm")["labels"] == {"a": "b"}


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        ("setLabels", {"labels": {"a": "b"}}, "labelFingerprint"),
        ("setTags", {"items": ["a"]}, "fingerprint"),
        ("setMetadata", {"items": [{"key": "a", "value": "b"}]}, "fingerprint"),
    ],
)
def test_stale_fingerprints(api: Api, method: str, body: dict[str, Any], field: str) -> None:
    first = {"items": [{"key": "first", "value": "1"}]}
    api.must("POST", VMS, instance_body("vm", metadata=first))
    vm = api.get(f"{VMS}/vm")
    current = {
        "setLabels": vm["labelFingerprint"],
        "setTags": vm["tags"]["fingerprint"],
        "setMetadata": vm["metadata"]["fingerprint"],
    }[method]
    error = api.error("POST", f"{VMS}/vm/{method}", body)
    assert (error["code"], error["errors"][0]["reason"]) == (412, "conditionNotMet")
    api.must("POST", f"{VMS}/vm/{method}", body | {field: current})
    error = api.error("POST", f"{VMS}/vm/{method}", {field: current})
    assert error["code"] == 412


def test_stop_and_start(api: Api) -> None:
    api.must("POST", VMS, instance_body("vm"))
    before = api.get(f"{VMS}/vm")
    usage = {q["metric"]: q["usage"] for q in api.get("regions/us-central1")["quotas"]}
    assert (usage["NVIDIA_L4_GPUS"], usage["CPUS"], usage["IN_USE_ADDRESSES"]) == (1, 0, 1)
    error = api.error(
        "POST", f"{VMS}/vm/setMachineType", {"machineType": "zones/x/machineTypes/e2-small"}
    )
    assert "must be in the zone" in error["message"]
    wanted = {"machineType": f"zones/{ZONE}/machineTypes/g2-standard-24"}
    assert "must be stopped" in api.error("POST", f"{VMS}/vm/setMachineType", wanted)["message"]

    api.must("POST", f"{VMS}/vm/stop")
    stopped = api.get(f"{VMS}/vm")
    assert stopped["status"] == "TERMINATED"
    assert _nat(stopped) is None
    usage = {q["metric"]: q["usage"] for q in api.get("regions/us-central1")["quotas"]}
    assert (usage["NVIDIA_L4_GPUS"], usage["CPUS"], usage["IN_USE_ADDRESSES"]) == (0, 0, 0)
    assert usage["SSD_TOTAL_GB"] == 50  # its disk stays
    api.must("POST", f"{VMS}/vm/stop")  # nothing to do, no error
    api.must("POST", f"{VMS}/vm/setMachineType", wanted)

    api.must("POST", f"{VMS}/vm/start")
    after = api.get(f"{VMS}/vm")
    assert after["guestAccelerators"][0]["acceleratorCount"] == 2
    assert _nat(after) not in {None, _nat(before)}
    same = after["networkInterfaces"][0]["networkIP"]
    assert same == before["networkInterfaces"][0]["networkIP"]


@pytest.mark.parametrize(
    ("verb", "method", "body"),
    [
        ("POST", "setServiceAccount", {"email": "a@b.c", "scopes": []}),
        ("PATCH", "updateShieldedInstanceConfig", {"enableSecureBoot": True}),
        ("POST", "setScheduling", {"provisioningModel": "SPOT", "automaticRestart": False}),
    ],
)
def test_what_a_running_instance_does_not_take(
    api: Api, verb: str, method: str, body: dict[str, Any]
) -> None:
    api.must("POST", VMS, instance_body("vm"))
    assert "must be stopped" in api.error(verb, f"{VMS}/vm/{method}", body)["message"]
    api.must("POST", f"{VMS}/vm/stop")
    api.must(verb, f"{VMS}/vm/{method}", body)
    vm = api.get(f"{VMS}/vm")
    found = [*vm.get("serviceAccounts", []), vm["shieldedInstanceConfig"], vm["scheduling"]]
    assert any(body.items() <= item.items() for item in found)


def test_quota(emulator: Emulator, api: Api) -> None:
    base = f"projects/{emulator.project}"
    emulator.admin("PUT", f"{base}/regions/us-central1/quotas/NVIDIA_L4_GPUS", {"limit": 1})
    api.must("POST", VMS, instance_body("first"))
    done = api.run("POST", VMS, instance_body("second"))
    [error] = done["error"]["errors"]
    assert (error["code"], done["httpErrorStatusCode"]) == ("QUOTA_EXCEEDED", 403)
    info = error["errorDetails"][0]["quotaInfo"]
    assert info["dimensions"] == {"region": "us-central1"}
    assert (info["limit"], info["metricName"]) == (1, "compute.googleapis.com/nvidia_l4_gpus")
    assert api.call("GET", f"{VMS}/second")[0] == 404
    # Spot has a quota of its own, unless that is 0.
    spot: dict[str, Any] = {"scheduling": {"provisioningModel": "SPOT"}}
    api.must("POST", VMS, instance_body("spot", **spot))
    twin = "PREEMPTIBLE_NVIDIA_L4_GPUS"
    emulator.admin("PUT", f"{base}/regions/us-central1/quotas/{twin}", {"limit": 0})
    assert "error" in api.run("POST", VMS, instance_body("spot-2", **spot))
    emulator.admin("PUT", f"{base}/regions/us-central1/quotas/NVIDIA_L4_GPUS", {"limit": 9})
    emulator.admin("PUT", f"{base}/global/quotas/GPUS_ALL_REGIONS", {"limit": 2})
    done = api.run("POST", VMS, instance_body("third"))
    assert "GPUS_ALL_REGIONS" in done["error"]["errors"][0]["message"]


def test_stockout_at_insert_and_start(emulator: Emulator, api: Api) -> None:
    api.must("POST", VMS, instance_body("vm"))
    api.must("POST", f"{VMS}/vm/stop")
    emulator.admin("PUT", "stockouts", {"zone": ZONE, "machine_type": "g2-standard-4"})
    for path, body in ((f"{VMS}/vm/start", None), (VMS, instance_body("other"))):
        done = api.run("POST", path, body)
        [error] = done["error"]["errors"]
        assert error["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"
        assert done["httpErrorStatusCode"] == 503
        available = error["errorDetails"][0]["errorInfo"]["metadatas"]["zonesAvailable"]
        assert available == "us-central1-b,us-central1-c"
    assert api.get(f"{VMS}/vm")["status"] == "TERMINATED"
    api.must("POST", VMS, instance_body("small", "e2-small", **CPU))
    emulator.admin("DELETE", "stockouts")
    api.must("POST", f"{VMS}/vm/start")


def test_suspend_and_resume(emulator: Emulator, api: Api) -> None:
    api.must("POST", VMS, instance_body("gpu"))
    assert "GPUs" in api.error("POST", f"{VMS}/gpu/suspend")["message"]
    api.must("POST", VMS, instance_body("vm", "n1-standard-4"))
    resumed = api.error("POST", f"{VMS}/vm/resume")
    assert resumed["errors"][0]["reason"] == "resourceNotReady"
    api.must("POST", f"{VMS}/vm/suspend")
    down = api.get(f"{VMS}/vm")
    assert down["status"] == "SUSPENDED" and down["lastSuspendedTimestamp"]
    assert "resume it" in api.error("POST", f"{VMS}/vm/start")["message"]
    emulator.admin("PUT", "stockouts", {"zone": ZONE})
    failed = api.run("POST", f"{VMS}/vm/resume")
    assert failed["error"]["errors"][0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"
    assert api.get(f"{VMS}/vm")["status"] == "SUSPENDED"
    emulator.admin("DELETE", "stockouts")
    api.must("POST", f"{VMS}/vm/resume")
    assert api.get(f"{VMS}/vm")["status"] == "RUNNING"


def test_delete(api: Api) -> None:
    keep = instance_body("vm", deletionProtection=True)
    keep["disks"].append({"initializeParams": {"diskSizeGb": "20", "diskType": "pd-ssd"}})
    api.must("POST", VMS, keep)
    assert "protected" in api.error("DELETE", f"{VMS}/vm")["message"]
    api.must("POST", f"{VMS}/vm/setDeletionProtection", deletionProtection="false")
    assert "being used by" in api.error("DELETE", f"zones/{ZONE}/disks/vm-1")["message"]
    api.must("DELETE", f"{VMS}/vm")
    assert api.error("GET", f"{VMS}/vm")["errors"][0]["reason"] == "notFound"
    [left] = api.get(f"zones/{ZONE}/disks")["items"]
    assert left["name"] == "vm-1"  # autoDelete was not asked for
    assert "users" not in left
    api.must("DELETE", f"zones/{ZONE}/disks/vm-1")


def test_access_config(api: Api) -> None:
    body = instance_body("vm", networkInterfaces=[{"network": "global/networks/default"}])
    api.must("POST", VMS, body)
    assert "accessConfigs" not in api.get(f"{VMS}/vm")["networkInterfaces"][0]
    api.must("POST", f"{VMS}/vm/addAccessConfig", {"name": "nat"}, networkInterface="nic0")
    assert _nat(api.get(f"{VMS}/vm"))
    error = api.error("POST", f"{VMS}/vm/addAccessConfig", {}, networkInterface="nic0")
    assert "At most one" in error["message"]
    path = f"{VMS}/vm/deleteAccessConfig"
    api.must("POST", path, accessConfig="nat", networkInterface="nic0")
    assert "accessConfigs" not in api.get(f"{VMS}/vm")["networkInterfaces"][0]


def test_reserved_address(api: Api) -> None:
    api.must("POST", "regions/us-central1/addresses", {"name": "front"})
    address = api.get("regions/us-central1/addresses/front")
    nic = {"accessConfigs": [{"natIP": address["address"]}]}
    api.must("POST", VMS, instance_body("vm", networkInterfaces=[nic]))
    address = api.get("regions/us-central1/addresses/front")
    assert address["status"] == "IN_USE"
    assert "being used" in api.error("DELETE", "regions/us-central1/addresses/front")["message"]
    api.must("POST", f"{VMS}/vm/stop")
    api.must("POST", f"{VMS}/vm/start")
    assert _nat(api.get(f"{VMS}/vm")) == address["address"]
    api.must("DELETE", f"{VMS}/vm")
    assert api.get("regions/us-central1/addresses/front")["status"] == "RESERVED"
    api.must("DELETE", "regions/us-central1/addresses/front")


def test_guest_attributes(api: Api) -> None:
    enable: Any = {"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]}
    api.must("POST", VMS, instance_body("late"))
    late = f"{VMS}/late/getGuestAttributes"
    assert api.error("GET", late, queryPath="hostkeys/")["code"] == 404
    fingerprint = api.get(f"{VMS}/late")["metadata"]["fingerprint"]
    api.must("POST", f"{VMS}/late/setMetadata", {**enable, "fingerprint": fingerprint})
    # It made its keys before, and publishes them no more.
    assert api.error("GET", late, queryPath="hostkeys/")["code"] == 404
    api.must("POST", VMS, instance_body("vm", metadata=enable))
    path = f"{VMS}/vm/getGuestAttributes"
    [item] = api.get(path, queryPath="hostkeys/")["queryValue"]["items"]
    assert (item["namespace"], item["key"]) == ("hostkeys", "ssh-ed25519")
    assert item["value"].startswith("AAAAC3NzaC1lZDI1NTE5")
    assert api.error("GET", path, queryPath="other/")["code"] == 404


def test_project_metadata_is_inherited(api: Api) -> None:
    body = {"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]}
    api.must("POST", "setCommonInstanceMetadata", body)
    api.must("POST", VMS, instance_body("vm"))
    assert api.get("")["commonInstanceMetadata"]["items"] == body["items"]
    assert api.error("POST", "setCommonInstanceMetadata", body)["code"] == 412
    assert api.get(f"{VMS}/vm/getGuestAttributes", queryPath="hostkeys/")["queryValue"]["items"]
