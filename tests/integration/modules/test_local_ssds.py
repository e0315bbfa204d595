# SPDX-License-Identifier: Apache-2.0
"""Machines that bring local SSDs: stopped, changed, moved, taken away, recreated and limited."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Api, Emulator, instance_body

# Machine type, its zone and another that has it, how it is sold, its quota, its local SSDs.
MACHINES = [
    ("a2-ultragpu-1g", "us-central1-a", "us-central1-c", "STANDARD", "NVIDIA_A100_80GB_GPUS", 1),
    ("a3-highgpu-1g", "us-central1-a", "us-central1-c", "SPOT", "NVIDIA_H100", 2),
    ("a3-highgpu-8g", "us-central1-a", "us-central1-c", "SPOT", "NVIDIA_H100", 16),
    ("a3-megagpu-8g", "us-east4-a", "", "STANDARD", "NVIDIA_H100_MEGA", 16),
    ("a3-ultragpu-8g", "us-central1-b", "", "SPOT", "NVIDIA_H200", 32),
    ("a4-highgpu-8g", "europe-west1-b", "", "SPOT", "NVIDIA_B200", 32),
]
IDS = [one[0] for one in MACHINES]
ENDS = [MACHINES[0], MACHINES[-1]]
TWO_ZONES = MACHINES[:2]


@pytest.fixture
def cloud(emulator: Emulator) -> m.Cloud:
    found = m.Cloud(emulator)
    for _, zone, _, _, metric, _ in MACHINES:
        region = zone.rsplit("-", 1)[0]
        limits = f"projects/{emulator.project}/regions/{region}/quotas"
        found.admin("PUT", f"{limits}/{metric}", {"limit": 8})
    return found


def options(machine: tuple[Any, ...], **changes: Any) -> m.Json:
    """A task that wants this machine."""
    kind, zone, _, model, _, _ = machine
    return m.machine(
        "llm",
        **{
            "zone": zone,
            "machine_type": kind,
            "boot_disk": {"image_project": m.IMAGES, "image_family": m.FAMILY},
            "scheduling": {"provisioning_model": model},
            **changes,
        },
    )


def scratch(instance: m.Json) -> list[m.Json]:
    return [disk for disk in instance["disks"] if disk["type"] == "SCRATCH"]


@pytest.mark.parametrize("machine", MACHINES, ids=IDS)
def test_stopped_started_and_stopped_from_the_beginning(
    cloud: m.Cloud, api: Api, machine: tuple[Any, ...]
) -> None:
    made = cloud.ok("gce_instance", **options(machine))
    assert len(scratch(made["instance"])) == machine[5]
    again = cloud.ok("gce_instance", **options(machine))
    assert again["changed"] is False
    stopped = cloud.ok("gce_instance", state="stopped", **options(machine))
    assert stopped["instance"]["status"] == "TERMINATED"
    assert cloud.ok("gce_instance", **options(machine))["instance"]["status"] == "RUNNING"
    cloud.ok("gce_instance", state="absent", **options(machine))
    assert cloud.stored("disks") == []


@pytest.fixture
def urls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Method and address of all that is asked."""
    import requests

    asked: list[str] = []
    send = requests.Session.send

    def noted(session: Any, request: Any, **rest: Any) -> Any:
        asked.append(f"{request.method} {request.url}")
        return send(session, request, **rest)

    monkeypatch.setattr(requests.Session, "send", noted)
    return asked


@pytest.mark.parametrize("keep", [False, True])
def test_what_is_said_about_them_at_a_stop(cloud: m.Cloud, keep: bool, urls: list[str]) -> None:
    """Emptied, unless the task says otherwise; of a machine without them nothing is said."""
    word = {"discard_local_ssd": False} if keep else {}
    cloud.ok("gce_instance", **options(MACHINES[0], **word))
    cloud.ok("gce_instance", state="stopped", **options(MACHINES[0], **word))
    cloud.ok("gce_instance", **m.machine("plain"))
    cloud.ok("gce_instance", state="stopped", **m.machine("plain", **word))
    stops = [url.split("?")[1] for url in urls if "/stop?" in url]
    assert [f"discardLocalSsd={'false' if keep else 'true'}" in one for one in stops] == [
        True,
        False,
    ]
    assert "discardLocalSsd" not in stops[1]


def test_a_change_that_needs_a_stop(cloud: m.Cloud) -> None:
    before = options(MACHINES[0])
    cloud.ok("gce_instance", **before)
    after = before | {"shielded": {"secure_boot": True}}
    refused = cloud.fails("gce_instance", **after)
    assert "loses what is on its local SSDs" in refused["msg"]
    done = cloud.ok("gce_instance", allow_stop=True, **after)
    assert [one["how"] for one in done["changes"]] == ["stop"]
    assert done["instance"]["status"] == "RUNNING"


def test_a_whole_update_says_what_becomes_of_them(cloud: m.Cloud, urls: list[str]) -> None:
    """`instances.update` takes the whole instance, and asks for the same word as a stop."""
    cloud.ok("gce_instance", **options(MACHINES[0]))
    other = options(MACHINES[0], reservation_affinity={"type": "none"})
    changed = cloud.ok("gce_instance", allow_stop=True, **other)
    assert [one["field"] for one in changed["changes"]] == ["reservation_affinity"]
    [update] = [url for url in urls if url.startswith("PUT ")]
    assert "discardLocalSsd=true" in update


def test_another_machine_type_is_another_machine(cloud: m.Cloud) -> None:
    """Google changes the type of no instance with local SSDs; its further disks follow it."""
    data = [{"name": "weights", "size_gb": 20}]
    cloud.ok("gce_instance", **options(MACHINES[0], disks=data))
    bigger = options(MACHINES[0], disks=data, machine_type="a2-ultragpu-2g")
    refused = cloud.fails("gce_instance", allow_stop=True, **bigger)
    assert "allow_recreate: true" in refused["msg"]
    done = cloud.ok("gce_instance", allow_recreate=True, **bigger)
    assert len(scratch(done["instance"])) == 2
    assert [d["name"] for d in cloud.stored("disks")] == ["llm", "weights"]
    assert cloud.ok("gce_instance", **bigger)["changed"] is False


def test_local_ssds_of_ones_own_keep_the_machine_as_it_is(cloud: m.Cloud, api: Api) -> None:
    body = instance_body("llm", "n1-standard-4")
    body["disks"].append({"type": "SCRATCH", "initializeParams": {"diskType": "local-ssd"}})
    api.must("POST", f"zones/{m.ZONE}/instances", body)
    desired = {"zone": m.ZONE, "name": "llm", "allow_recreate": True, "allow_stop": True}
    refused = cloud.fails("gce_instance", **desired, machine_type="n1-standard-8")
    assert "did not come with its machine type" in refused["msg"]
    assert "(local-ssd-0)" in refused["msg"]
    assert cloud.ok("gce_instance", **desired, state="stopped")["changed"]


@pytest.mark.parametrize("machine", ENDS, ids=[one[0] for one in ENDS])
def test_recreated_from_another_image(cloud: m.Cloud, machine: tuple[Any, ...]) -> None:
    before = options(machine)
    cloud.ok("gce_instance", **before)
    other = {"image_project": m.IMAGES, "image_family": "common-cu129-ubuntu-2204-nvidia-580"}
    done = cloud.ok("gce_instance", allow_recreate=True, **before | {"boot_disk": other})
    assert len(scratch(done["instance"])) == machine[5]


def test_what_is_to_be_kept_is_not_recreated(cloud: m.Cloud) -> None:
    before = options(MACHINES[0], discard_local_ssd=False)
    cloud.ok("gce_instance", **before)
    other = {"image_project": m.IMAGES, "image_family": "common-cu129-ubuntu-2204-nvidia-580"}
    after = before | {"boot_disk": other}
    refused = cloud.fails("gce_instance", allow_recreate=True, **after)
    assert "discard_local_ssd is false" in refused["msg"]


@pytest.mark.parametrize("machine", TWO_ZONES, ids=[one[0] for one in TWO_ZONES])
def test_a_stopped_one_moves_where_there_is_room(
    cloud: m.Cloud, api: Api, machine: tuple[Any, ...]
) -> None:
    kind, zone, near, model, _, count = machine
    desired = options(machine, zone=None, placements=[{"zone": zone}, {"zone": near}])
    assert cloud.ok("gce_instance", **desired)["zone"] == zone
    if model == "SPOT":
        where = {"project": cloud.emulator.project, "zone": zone, "instance": "llm"}
        api.wait(cloud.admin("POST", "preempt", where))
    else:
        cloud.ok("gce_instance", state="stopped", **options(machine))
    cloud.admin("PUT", "stockouts", {"zone": zone, "machine_type": kind, "details": True})
    left = cloud.fails("gce_instance", **desired)
    assert "allow_recreate: true" in left["msg"]
    assert "detach" not in left["msg"], "local SSDs hold it nowhere"
    moved = cloud.ok("gce_instance", allow_recreate=True, **desired)
    assert moved["zone"] == near
    assert len(scratch(moved["instance"])) == count


@pytest.mark.parametrize(("machine", "discard"), [(ENDS[0], None), (ENDS[1], False)])
def test_limited_run_time(cloud: m.Cloud, machine: tuple[Any, ...], discard: bool | None) -> None:
    flex = {"provisioning_model": "FLEX_START", "max_run_duration": 86400}
    stops = flex | {"instance_termination_action": "STOP"}
    desired = options(machine, scheduling=stops, discard_local_ssd=discard)
    made = cloud.ok("gce_instance", **desired)
    said = made["instance"]["scheduling"]["onInstanceStopAction"]
    assert said == {"discardLocalSsd": discard is None}
    assert cloud.ok("gce_instance", **desired)["changed"] is False
    goes = options(machine, scheduling=flex | {"instance_termination_action": "DELETE"})
    done = cloud.ok("gce_instance", allow_stop=True, **goes)
    assert "onInstanceStopAction" not in done["instance"]["scheduling"]


def test_a_machine_without_them_says_nothing(cloud: m.Cloud) -> None:
    limit = {"scheduling": {"max_run_duration": 3600}, "discard_local_ssd": True}
    made = cloud.ok("gce_instance", **m.machine("plain", **limit))
    assert "onInstanceStopAction" not in made["instance"]["scheduling"]
    assert cloud.ok("gce_instance", **m.machine("plain", **limit))["changed"] is False


# What others set in the scheduling of an instance, and no option of the module names.
OTHERS = {
    "availabilityDomain": 2,
    "gracefulShutdown": {"enabled": True, "maxDuration": {"seconds": "120"}},
    "hostErrorTimeoutSeconds": 120,
    "localSsdRecoveryTimeout": {"seconds": "7200"},
    "minNodeCpus": 4,
    "preemptionNoticeDuration": {"seconds": "60"},
    "skipGuestOsShutdown": False,
}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"max_run_duration": 7200}, "maxRunDuration"),
        ({"instance_termination_action": "DELETE"}, "instanceTerminationAction"),
        ({"automatic_restart": True}, "automaticRestart"),
        ({"max_run_duration": 0}, "maxRunDuration"),
    ],
)
def test_a_change_of_scheduling_keeps_what_others_set(
    cloud: m.Cloud, api: Api, change: m.Json, field: str
) -> None:
    ours = {
        "onHostMaintenance": "TERMINATE",
        "automaticRestart": False,
        "maxRunDuration": {"seconds": "3600"},
        "instanceTerminationAction": "STOP",
    }
    body = instance_body("llm", scheduling=ours | OTHERS)
    api.must("POST", f"zones/{m.ZONE}/instances", body)
    before = api.get(f"zones/{m.ZONE}/instances/llm")["scheduling"]
    desired = {"zone": m.ZONE, "name": "llm", "scheduling": change}
    cloud.ok("gce_instance", allow_stop=True, **desired)
    after = api.get(f"zones/{m.ZONE}/instances/llm")["scheduling"]
    assert before.get(field) != after.get(field)
    assert {name: after.get(name) for name in OTHERS} == OTHERS
    assert cloud.ok("gce_instance", **desired)["changed"] is False


def refusals(api: Api, machine: str, verb: str) -> m.Json:
    return api.error("POST", f"zones/{m.ZONE}/instances/{machine}/{verb}")


def test_the_emulator_demands_what_google_demands(cloud: m.Cloud, api: Api) -> None:
    path = f"zones/{m.ZONE}/instances"
    api.must("POST", path, instance_body("ssd", "a2-ultragpu-1g"))
    said = refusals(api, "ssd", "stop")
    assert said["code"] == 400 and "`discard-local-ssd`" in said["message"]
    device = {"deviceName": "local-ssd-0"}
    assert api.error("POST", f"{path}/ssd/detachDisk", None, **device)["code"] == 400
    api.must("POST", f"{path}/ssd/stop", None, discardLocalSsd="false")
    other = {"machineType": f"zones/{m.ZONE}/machineTypes/a2-ultragpu-2g"}
    assert api.error("POST", f"{path}/ssd/setMachineType", other)["code"] == 400
    limit = {"maxRunDuration": {"seconds": "600"}, "onHostMaintenance": "TERMINATE"}
    refused = api.error("POST", path, instance_body("x", "a2-ultragpu-1g", scheduling=limit))
    assert "onInstanceStopAction" in refused["message"]
    unasked = limit | {"onInstanceStopAction": {"discardLocalSsd": True}}
    refused = api.error("POST", path, instance_body("x", scheduling=unasked))
    assert "onInstanceStopAction" in refused["message"]
    kind = api.get(f"zones/{m.ZONE}/machineTypes/a3-highgpu-8g")
    assert kind["bundledLocalSsds"] == {"defaultInterface": "NVME", "partitionCount": 16}
