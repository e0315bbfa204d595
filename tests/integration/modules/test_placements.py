# SPDX-License-Identifier: Apache-2.0
"""gce_instance with placements: the next where there is no room, one instance, whatever happens."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Any

import pytest

from tests.support import modules_fixtures as m

A, B, C = "us-central1-a", "us-central1-b", "us-central1-c"
G2, N1 = "g2-standard-8", "n1-standard-8"
T4 = [{"type": "nvidia-tesla-t4", "count": 1}]
Json = dict[str, Any]


def placed(name: str, *places: Json | str, **changes: Any) -> Json:
    """Options with placements; a place by its zone alone is an L4 machine."""
    entries = [
        {"zone": place, "machine_type": G2} if isinstance(place, str) else place for place in places
    ]
    return m.machine(name, zone=None, machine_type=None, placements=entries, **changes)


def stockout(cloud: m.Cloud, zone: str, machine_type: str = "*", **more: Any) -> None:
    cloud.admin("PUT", "stockouts", {"zone": zone, "machine_type": machine_type, **more})


def where(cloud: m.Cloud, name: str) -> list[str]:
    """Zones in which an instance of that name is."""
    return [one["zone"][-13:] for one in cloud.stored("instances") if one["name"] == name]


def outcomes(result: Json) -> list[tuple[str, str]]:
    return [(one["zone"], one["outcome"]) for one in result["attempts"]]


def settled(cloud: m.Cloud, **options: Any) -> None:
    """Neither a prediction nor a run finds anything to do."""
    for check in (True, False):
        again = cloud.ok("gce_instance", check=check, **options)
        assert again["changed"] is False, again["changes"]
        assert again["attempts"] == []


def test_first_choice_where_there_is_room(cloud: m.Cloud, name: str) -> None:
    options = placed(name, A, B)
    planned = cloud.ok("gce_instance", check=True, **options)
    assert (planned["zone"], outcomes(planned)) == (A, [(A, "planned")])
    assert where(cloud, name) == []
    made = cloud.ok("gce_instance", **options)
    assert (made["zone"], outcomes(made)) == (A, [(A, "created")])
    assert (made["diff"], made["changes"]) == (planned["diff"], planned["changes"])
    assert made["diff"]["after"]["zone"] == A
    settled(cloud, **options)


@pytest.mark.parametrize("details", [False, True])
def test_stock_out_in_two_zones(cloud: m.Cloud, name: str, details: bool) -> None:
    for zone in (A, B):
        stockout(cloud, zone, details=details)
    options = placed(name, A, B, C)
    made = cloud.ok("gce_instance", **options)
    code = "ZONE_RESOURCE_POOL_EXHAUSTED" + ("_WITH_DETAILS" if details else "")
    # The first refusal names C as having some, so B isn't even asked.
    assert made["attempts"] == [
        {
            "zone": A,
            "machine_type": G2,
            "provisioning_model": "STANDARD",
            "outcome": "stockout",
            "reason": code,
        },
        {
            "zone": C,
            "machine_type": G2,
            "provisioning_model": "STANDARD",
            "outcome": "created",
            "reason": "",
        },
    ]
    assert made["zone"] == C and where(cloud, name) == [C]
    settled(cloud, **options)
    # Room in a better place is no reason to move.
    cloud.admin("DELETE", "stockouts")
    settled(cloud, **options)


def test_quota_leads_on_and_each_is_compared_with_its_own(cloud: m.Cloud, name: str) -> None:
    quotas = f"projects/{cloud.emulator.project}/regions/{m.REGION}/quotas"
    cloud.admin("PUT", f"{quotas}/PREEMPTIBLE_NVIDIA_L4_GPUS", {"limit": 0})
    cloud.admin("PUT", f"{quotas}/NVIDIA_L4_GPUS", {"limit": 0})
    options = placed(
        name,
        {"zone": A, "machine_type": G2, "provisioning_model": "SPOT"},
        {"zone": A, "machine_type": G2},
        {"zone": A, "machine_type": N1, "accelerators": T4},
        scheduling={"instance_termination_action": "STOP", "automatic_restart": True},
    )
    made = cloud.ok("gce_instance", **options)
    assert [one["outcome"] for one in made["attempts"]] == ["quota", "quota", "created"]
    assert made["attempts"][0]["reason"] == "QUOTA_EXCEEDED"
    assert made["attempts"][0]["provisioning_model"] == "SPOT"
    assert made["instance"]["guestAccelerators"][0]["acceleratorCount"] == 1
    settled(cloud, **options)


def test_no_room_anywhere_names_all(cloud: m.Cloud, name: str) -> None:
    for zone in (A, B, C):
        stockout(cloud, zone)
    failed = cloud.fails("gce_instance", **placed(name, A, B, C))
    assert failed["reason"] == "noCapacity"
    assert outcomes(failed) == [(A, "stockout"), (B, "stockout"), (C, "stockout")]
    assert all(zone in failed["msg"] for zone in (A, B, C))
    assert where(cloud, name) == [] and cloud.stored("disks") == []


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([A, {"zone": B, "machine_type": "g2-standard-9"}], "Did you mean"),
        ([A, "us-central1-z"], "There is no zone us-central1-z"),
        ([{"zone": A, "machine_type": N1, "accelerators": [{"type": "t5"}]}, B], "no accelerator"),
    ],
)
def test_mistake_stops_before_anything_is_made(
    cloud: m.Cloud, name: str, places: list[Any], words: str
) -> None:
    for check in (True, False):
        failed = cloud.fails("gce_instance", check=check, **placed(name, *places))
        assert words in failed["msg"]
        assert "attempts" not in failed
    assert where(cloud, name) == []


def test_mistake_that_google_finds_stops_at_once(cloud: m.Cloud, name: str) -> None:
    options = placed(name, A, B, service_account={"email": "not an address"})
    failed = cloud.fails("gce_instance", **options)
    assert failed["reason"] == "invalid"
    assert where(cloud, name) == []


def test_two_of_the_name_are_left_alone(cloud: m.Cloud, name: str) -> None:
    for zone in (A, B):
        cloud.ok("gce_instance", **m.machine(name, zone=zone))
    for state in ("present", "stopped", "absent"):
        failed = cloud.fails("gce_instance", **placed(name, A, B, state=state))
        assert failed["reason"] == "twoFound" and failed["zones"] == [A, B]
    assert where(cloud, name) == [A, B]


def test_none_is_made_beside_one_elsewhere(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name, zone=C))
    for check in (True, False):
        failed = cloud.fails("gce_instance", check=check, **placed(name, A, B))
        assert failed["reason"] == "foundElsewhere" and C in failed["msg"]
    assert where(cloud, name) == [C]
    assert cloud.ok("gce_instance", **placed(name, A, B, state="absent"))["changed"] is False


def test_stop_start_and_absent_find_it(cloud: m.Cloud, name: str) -> None:
    stockout(cloud, A)
    options = placed(name, A, B)
    cloud.ok("gce_instance", **options)
    stopped = cloud.ok("gce_instance", **{**options, "state": "stopped"})
    assert stopped["zone"] == B and stopped["changed"]
    started = cloud.ok("gce_instance", **options)
    assert outcomes(started) == [(B, "started")]
    gone = cloud.ok("gce_instance", **{**options, "state": "absent"})
    assert gone["zone"] == B and gone["changed"]
    for state in ("absent", "stopped"):
        none = cloud.ok("gce_instance", **{**options, "state": state})
        assert none["changed"] is False and none["zone"] is None


def test_start_without_room_stays_unless_allowed(cloud: m.Cloud, name: str) -> None:
    options = placed(name, A, B)
    first = cloud.ok("gce_instance", **options)["instance"]
    cloud.ok("gce_instance", **{**options, "state": "stopped"})
    stockout(cloud, A)
    failed = cloud.fails("gce_instance", **options)
    assert outcomes(failed) == [(A, "stockout"), (B, "not_allowed")]
    assert "allow_recreate: true" in failed["msg"] and "stopped, in" in failed["msg"]
    assert where(cloud, name) == [A]
    moved = cloud.ok("gce_instance", **options, allow_recreate=True)
    assert outcomes(moved) == [(A, "stockout"), (B, "created")]
    assert moved["changes"][0]["field"] == "placement"
    assert where(cloud, name) == [B]
    assert moved["instance"]["id"] != first["id"]
    assert [disk["zone"][-13:] for disk in cloud.stored("disks")] == [B]
    settled(cloud, **options)


def test_start_changes_the_machine_in_the_same_zone(cloud: m.Cloud, name: str) -> None:
    options = placed(name, A, {"zone": A, "machine_type": "g2-standard-16"})
    first = cloud.ok("gce_instance", **options)["instance"]
    cloud.ok("gce_instance", **{**options, "state": "stopped"})
    stockout(cloud, A, G2)
    started = cloud.ok("gce_instance", **options)
    assert [one["outcome"] for one in started["attempts"]] == ["stockout", "started"]
    assert started["instance"]["id"] == first["id"]
    assert started["instance"]["machineType"].endswith("g2-standard-16")
    settled(cloud, **options)


def test_move_to_a_mistake_deletes_nothing(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **placed(name, A, B))
    cloud.ok("gce_instance", **placed(name, A, B, state="stopped"))
    stockout(cloud, A)
    wrong = placed(name, A, {"zone": B, "machine_type": "g2-standard-9"}, allow_recreate=True)
    assert "Did you mean" in cloud.fails("gce_instance", **wrong)["msg"]
    assert where(cloud, name) == [A]


def test_recreation_without_room_goes_elsewhere(cloud: m.Cloud, name: str) -> None:
    options = placed(name, A, B, labels={"owner": "tests", "kept": "1"})
    cloud.ok("gce_instance", **options)
    stockout(cloud, A)
    disk = {**m.machine("x")["boot_disk"], "type": "pd-ssd"}
    there = {**options, "boot_disk": disk, "labels": {"owner": "tests"}}
    moved = cloud.ok("gce_instance", **there, allow_recreate=True)
    assert outcomes(moved) == [(A, "stockout"), (B, "created")]
    assert moved["instance"]["labels"]["kept"] == "1"
    assert where(cloud, name) == [B]
    settled(cloud, **there)


def killed_after(cloud: m.Cloud, count: int, options: Json) -> None:
    """Run the module in a process of its own; kill it once `count` operations have begun."""
    cloud.admin("PUT", "operation-delay", {"seconds": 1})
    before = len(cloud.stored("operations"))
    command = cloud.command("gce_instance", **options)
    run = subprocess.Popen(command, env=m.module_environment(), stdout=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while len(cloud.stored("operations")) < before + count:
        assert time.monotonic() < end and run.poll() is None
        time.sleep(0.03)
    run.send_signal(signal.SIGKILL)
    run.wait(timeout=60)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_killed_creation_never_makes_two(cloud: m.Cloud, name: str, count: int) -> None:
    # A stock-out by machine type names nobody else in this region, so the order is A, B, C.
    for zone in (A, B):
        stockout(cloud, zone, G2)
    places: list[Any] = [A, B, {"zone": C, "machine_type": "g2-standard-4"}]
    stockout(cloud, C, G2)
    options = placed(name, *places)
    killed_after(cloud, count, options)
    if count < 3:
        # There is room again: a creation that still hangs must not be doubled by a better one.
        cloud.admin("DELETE", "stockouts")
    finished = cloud.ok("gce_instance", **options)
    cloud.admin("PUT", "operation-delay", {"seconds": 0})
    assert where(cloud, name) == [finished["zone"]]
    assert finished["instance"]["status"] == "RUNNING"
    assert len(cloud.stored("disks")) == 1
    settled(cloud, **options)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_killed_move_never_makes_two(cloud: m.Cloud, name: str, count: int) -> None:
    options = placed(name, A, B, allow_recreate=True)
    cloud.ok("gce_instance", **options)
    cloud.ok("gce_instance", **{**options, "state": "stopped"})
    stockout(cloud, A)
    killed_after(cloud, count, options)
    finished = cloud.ok("gce_instance", **options)
    cloud.admin("PUT", "operation-delay", {"seconds": 0})
    assert finished["zone"] == B and where(cloud, name) == [B]
    assert len(cloud.stored("disks")) == 1
    settled(cloud, **options)
