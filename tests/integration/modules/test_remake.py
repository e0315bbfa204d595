# SPDX-License-Identifier: Apache-2.0
"""gce_instance where Google has no room for what a running instance is to become."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    api as instance_calls,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance.recreate_journal import (
    RecreateNotes,
)

from tests.support import modules_fixtures as m

BIG = "g2-standard-48"
SSD = {"boot_disk": {**m.machine("")["boot_disk"], "type": "pd-ssd"}}
NEAR = "us-central1-b"


def limit(cloud: m.Cloud, metric: str, number: int) -> None:
    region = f"projects/{cloud.emulator.project}/regions/{m.REGION}"
    cloud.admin("PUT", f"{region}/quotas/{metric}", {"limit": number})


def stored(cloud: m.Cloud, name: str) -> m.Json:
    return next(one for one in cloud.stored("instances") if one["name"] == name)


def machine_of(cloud: m.Cloud, name: str) -> tuple[str, str]:
    found = stored(cloud, name)
    return found["status"], found["machineType"].rsplit("/", 1)[1]


def notes() -> list[Path]:
    return list(Path(os.environ["GCE_VLLM_STATE_DIR"]).iterdir())


def refuse_machines(cloud: m.Cloud, *zones: str) -> None:
    rule = {
        "zone": list(zones),
        "operation": ["insert", "start"],
        "operation_error": {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "none left"},
    }
    cloud.admin("PUT", "faults", {"rules": [rule]})


def test_no_quota_for_a_bigger_machine_gives_the_old_one_back(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    limit(cloud, "NVIDIA_L4_GPUS", 2)
    failed = cloud.fails("gce_instance", **m.machine(name, machine_type=BIG, allow_stop=True))
    assert failed["reason"] == "QUOTA_EXCEEDED"
    assert "has its former machine (g2-standard-8) again and was started" in failed["msg"]
    assert machine_of(cloud, name) == ("RUNNING", "g2-standard-8")
    assert cloud.ok("gce_instance", **m.machine(name))["changed"] is False


def test_gpus_and_scheduling_are_put_back_too(cloud: m.Cloud, name: str) -> None:
    plain = m.machine(name, machine_type="n1-standard-8", accelerators=[])
    cloud.ok("gce_instance", **plain)
    before = stored(cloud, name)
    limit(cloud, "NVIDIA_T4_GPUS", 0)
    t4 = [{"type": "nvidia-tesla-t4", "count": 1}]
    failed = cloud.fails("gce_instance", **{**plain, "accelerators": t4}, allow_stop=True)
    assert "has its former machine (n1-standard-8) again" in failed["msg"]
    after = stored(cloud, name)
    for part in ("status", "machineType", "guestAccelerators", "scheduling"):
        assert after.get(part) == before.get(part), part


def test_what_is_not_put_back_with_the_old_machine_is_said(cloud: m.Cloud, name: str) -> None:
    """Google takes an instance out of its reservations for good."""
    plain = m.machine(name, reservation_affinity={"type": "any"})
    cloud.ok("gce_instance", **plain)
    limit(cloud, "NVIDIA_L4_GPUS", 2)
    none = {"reservation_affinity": {"type": "none"}, "machine_type": BIG}
    failed = cloud.fails("gce_instance", **plain | none, allow_stop=True)
    assert "has its former machine (g2-standard-8) again and was started." in failed["msg"]
    assert "As the task asks, and not put back: reservation_affinity." in failed["msg"]
    assert machine_of(cloud, name) == ("RUNNING", "g2-standard-8")


def test_placements_are_tried_before_the_old_machine_comes_back(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    limit(cloud, "NVIDIA_L4_GPUS", 2)

    def asked(*machines: str) -> m.Json:
        places = [{"zone": m.ZONE, "machine_type": one} for one in machines]
        return m.machine(
            name, zone=None, machine_type=None, placements=places, allow_stop=True, labels={}
        )

    failed = cloud.fails("gce_instance", **asked(BIG, "g2-standard-96"))
    assert [one["outcome"] for one in failed["attempts"]] == ["quota", "quota"]
    assert "has its former machine (g2-standard-8) again and was started" in failed["msg"]
    assert "It is still there, stopped" not in failed["msg"]
    assert machine_of(cloud, name) == ("RUNNING", "g2-standard-8")
    made = cloud.ok("gce_instance", **asked(BIG, "g2-standard-24"))
    assert [one["outcome"] for one in made["attempts"]] == ["quota", "started"]
    assert machine_of(cloud, name) == ("RUNNING", "g2-standard-24")


def test_old_machine_that_is_gone_too_is_said(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    refuse_machines(cloud, m.ZONE)
    failed = cloud.fails("gce_instance", **m.machine(name, machine_type=BIG, allow_stop=True))
    assert (
        "did not get its former machine (g2-standard-8) back either and is stopped" in failed["msg"]
    )
    assert machine_of(cloud, name) == ("TERMINATED", "g2-standard-8")


@pytest.mark.parametrize("state", ["present", "stopped"])
def test_recreation_without_room_is_said_and_finished_by_the_next(
    cloud: m.Cloud, name: str, state: str
) -> None:
    theirs = {
        "labels": {"owner": "tests", "team": "search"},
        "metadata": {"hf-token": "correct-horse"},
        "disks": [{"name": f"{name}-data", "size_gb": 20, "auto_delete": True}],
    }
    cloud.ok("gce_instance", **m.machine(name, **theirs))
    before = stored(cloud, name)
    refuse_machines(cloud, m.ZONE)
    desired = m.machine(name, allow_recreate=True, state=state, labels=None, metadata=None, **SSD)
    failed = cloud.fails("gce_instance", **desired)
    assert "Could not create" in failed["msg"]
    (kept,) = [one for one in notes() if name in one.name]
    assert f"The old instance {name} in {m.ZONE} was deleted for the new one" in failed["msg"]
    assert f"kept in {kept}, and the next run recreates it with that" in failed["msg"]
    assert "correct-horse" not in str(failed)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    again = cloud.fails("gce_instance", **desired)
    assert "was deleted for the new one" in again["msg"]
    cloud.admin("DELETE", "faults")
    planned = cloud.ok("gce_instance", check=True, **desired)
    made = cloud.ok("gce_instance", **desired)
    for part in ("changed", "changes", "diff"):
        assert made[part] == planned[part], part
    assert "An earlier run deleted" in str(made["warnings"])
    after = stored(cloud, name)
    assert after["status"] == ("RUNNING" if state == "present" else "TERMINATED")
    assert after["labels"] == before["labels"]
    assert [one["autoDelete"] for one in after["disks"]] == [True, True]
    values = {one["key"]: one["value"] for one in after["metadata"]["items"]}
    assert values["hf-token"] == "correct-horse"
    assert [one for one in notes() if name in one.name] == []
    assert cloud.ok("gce_instance", **desired)["changed"] is False


@pytest.mark.parametrize("answer", ["touched", "deleted"])
def test_recreation_of_long_ago_is_gone_on_with_only_where_that_is_desired(
    cloud: m.Cloud, name: str, answer: str
) -> None:
    cloud.ok("gce_instance", **m.machine(name, labels={"team": "search"}))
    refuse_machines(cloud, m.ZONE)
    desired = m.machine(name, allow_recreate=True, labels=None, **SSD)
    cloud.fails("gce_instance", **desired)
    cloud.admin("DELETE", "faults")
    (kept,) = [one for one in notes() if name in one.name]
    old = time.time() - 8 * 86_400
    os.utime(kept, (old, old))
    for check in (True, False):
        failed = cloud.fails("gce_instance", check=check, **desired)
        assert failed["reason"] == "oldNote"
        assert "8 days ago" in failed["msg"] and f"`touch {kept}`" in failed["msg"]
        assert cloud.stored("instances") == []
    if answer == "touched":
        kept.touch()
    else:
        kept.unlink()
    cloud.ok("gce_instance", **desired)
    labels = {"team": "search"} if answer == "touched" else {}
    assert stored(cloud, name).get("labels", {}) == labels
    assert [one for one in notes() if name in one.name] == []


def test_note_of_another_zone_goes_not_unsaid(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name, zone=NEAR))
    refuse_machines(cloud, NEAR)
    cloud.fails("gce_instance", **m.machine(name, zone=NEAR, allow_recreate=True, **SSD))
    cloud.ok("gce_instance", **m.machine(name))
    both = [{"zone": m.ZONE}, {"zone": NEAR}]
    found = cloud.ok("gce_instance", **m.machine(name, zone=None, placements=both))
    assert f"kept of an instance {name} in {NEAR}" in str(found["warnings"])
    assert [one for one in notes() if name in one.name] == []


def test_one_that_is_no_longer_desired_takes_its_disks_along(cloud: m.Cloud, name: str) -> None:
    more = [{"name": f"{name}-data", "size_gb": 20, "auto_delete": True}]
    cloud.ok("gce_instance", **m.machine(name, disks=more))
    refuse_machines(cloud, m.ZONE)
    cloud.fails("gce_instance", **m.machine(name, allow_recreate=True, **SSD))
    gone = {"zone": m.ZONE, "name": name, "state": "absent"}
    planned = cloud.ok("gce_instance", check=True, **gone)
    deleted = cloud.ok("gce_instance", **gone)
    assert deleted["changes"] == planned["changes"] != []
    assert [one["name"] for one in cloud.stored("disks")] == []
    assert cloud.ok("gce_instance", **gone)["changed"] is False


def test_its_disks_go_from_any_zone_that_it_was_in(cloud: m.Cloud, name: str) -> None:
    more = [{"name": f"{name}-data", "size_gb": 20, "auto_delete": True}]
    cloud.ok("gce_instance", **m.machine(name, zone=NEAR, disks=more))
    refuse_machines(cloud, NEAR)
    cloud.fails("gce_instance", **m.machine(name, zone=NEAR, allow_recreate=True, **SSD))
    cloud.admin("DELETE", "faults")
    other = m.machine(f"{name}-b", zone=NEAR)
    cloud.ok("gce_instance", **other)
    # The instance of the same name, made since where it belongs, is no hindrance.
    for made in (False, True):
        if made:
            cloud.ok("gce_instance", **m.machine(name, zone=NEAR, disks=more))
            refuse_machines(cloud, NEAR)
            cloud.fails("gce_instance", **m.machine(name, zone=NEAR, allow_recreate=True, **SSD))
            cloud.admin("DELETE", "faults")
            cloud.ok("gce_instance", **m.machine(name))
        gone = {"zone": m.ZONE, "name": name, "state": "absent"}
        planned = cloud.ok("gce_instance", check=True, **gone)
        deleted = cloud.ok("gce_instance", **gone)
        assert deleted["changes"] == planned["changes"]
        assert f"disks.{name}-data" in [one["field"] for one in deleted["changes"]]
        assert [one["name"] for one in cloud.stored("disks")] == [f"{name}-b"]
        assert [one for one in notes() if name in one.name] == []
        assert cloud.ok("gce_instance", **gone)["changed"] is False


def test_stop_makes_none_where_it_may_not(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    refuse_machines(cloud, m.ZONE)
    cloud.fails("gce_instance", **m.machine(name, allow_recreate=True, **SSD))
    cloud.admin("DELETE", "faults")
    stop = {"zone": m.ZONE, "name": name, "state": "stopped"}
    for check in (True, False):
        assert cloud.ok("gce_instance", check=check, **stop)["changed"] is False
    assert cloud.stored("instances") == []
    assert len([one for one in notes() if name in one.name]) == 1, "the next run may need it"


@pytest.mark.parametrize("why", ["protected", "unknown"])
def test_server_runs_again_where_no_other_place_can_be_tried(
    cloud: m.Cloud, name: str, why: str
) -> None:
    cloud.ok("gce_instance", **m.machine(name, deletion_protection=why == "protected"))
    limit(cloud, "NVIDIA_L4_GPUS", 2)
    second = {"zone": NEAR} if why == "protected" else {"zone": m.ZONE, "machine_type": "g2-none"}
    places = [{"zone": m.ZONE, "machine_type": BIG}, second]
    failed = cloud.fails(
        "gce_instance",
        **m.machine(name, zone=None, machine_type="g2-standard-4", placements=places),
        allow_stop=True,
        allow_recreate=True,
    )
    assert "has its former machine (g2-standard-8) again and was started" in failed["msg"]
    assert machine_of(cloud, name) == ("RUNNING", "g2-standard-8")


def test_tag_that_went_with_a_recreate_that_was_cut_off_stays_away(
    cloud: m.Cloud, name: str
) -> None:
    def desired(*tags: str) -> m.Json:
        metadata = {"gce-vllm-tags": ",".join(sorted(tags))}
        return m.machine(name, tags=list(tags), metadata=metadata, allow_recreate=True)

    cloud.ok("gce_instance", **{**desired("old", "kept"), "tags": ["old", "kept", "theirs"]})
    refuse_machines(cloud, m.ZONE)
    cloud.fails("gce_instance", **{**desired("kept", "new"), **SSD}, absent_tags=["old"])
    cloud.admin("DELETE", "faults")
    cloud.ok("gce_instance", **{**desired("kept", "new"), **SSD})
    assert sorted(stored(cloud, name)["tags"]["items"]) == ["kept", "new", "theirs"]


@pytest.mark.parametrize("down", ["STOPPING", "SUSPENDING"])
def test_one_that_goes_down_by_itself_is_stopped_all_the_same(
    cloud: m.Cloud, name: str, monkeypatch: pytest.MonkeyPatch, down: str
) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    fetch, call = instance_calls.InstanceCalls.fetch, instance_calls.InstanceCalls.call
    seen: list[str] = []

    def going(self: Any) -> Any:
        found = fetch(self)
        seen.append(found["status"])
        if len(seen) == 2:
            call(self, "stop")
            found = {**found, "status": down}
        return found

    monkeypatch.setattr(instance_calls.InstanceCalls, "fetch", going)
    cloud.ok("gce_instance", zone=m.ZONE, name=name, state="stopped")
    assert seen[:2] == ["RUNNING", "RUNNING"]
    assert stored(cloud, name)["status"] == "TERMINATED"


def test_secrets_in_a_note_that_a_kill_left_half_written_go(
    cloud: m.Cloud, name: str, tmp_path: Path
) -> None:
    with cloud.api() as api:
        kept = RecreateNotes(str(tmp_path), api, m.ZONE, name)
        for act in (lambda: kept.write({"id": "1"}, {}), kept.forget):
            (tmp_path / f".{kept.path.name}.abcd").write_text("correct-horse")
            act()
            assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_move_without_room_goes_on_from_what_the_old_one_had(cloud: m.Cloud, name: str) -> None:
    options = m.machine(
        name, zone=None, placements=[{"zone": m.ZONE}, {"zone": NEAR}], allow_recreate=True
    )
    cloud.ok("gce_instance", **{**options, "labels": {"team": "search"}})
    cloud.ok("gce_instance", zone=m.ZONE, name=name, state="stopped")
    refuse_machines(cloud, m.ZONE, NEAR)
    failed = cloud.fails("gce_instance", **options)
    assert "None was made." in failed["msg"] and "was deleted for the new one" in failed["msg"]
    cloud.admin("DELETE", "faults")
    made = cloud.ok("gce_instance", **options)
    assert stored(cloud, name)["labels"] == {"owner": "tests", "team": "search"}
    assert [one for one in notes() if name in one.name] == []
    assert made["warnings"]


def test_nothing_is_deleted_where_it_can_not_be_kept(
    cloud: m.Cloud, name: str, tmp_path: Path
) -> None:
    first = cloud.ok("gce_instance", **m.machine(name))["instance"]
    (tmp_path / "file").write_text("no folder")
    desired = m.machine(name, allow_recreate=True, **SSD)
    failed = cloud.fails("gce_instance", **desired, state_dir=str(tmp_path / "file" / "state"))
    assert failed["reason"] == "stateDir"
    assert stored(cloud, name)["id"] == first["id"]


@pytest.mark.parametrize("action", ["STOP", "DELETE"])
def test_one_that_goes_down_again_is_not_waited_for(
    cloud: m.Cloud, name: str, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    spot = {"provisioning_model": "SPOT", "instance_termination_action": action}
    cloud.ok("gce_instance", **m.machine(name, scheduling=spot))
    cloud.ok("gce_instance", zone=m.ZONE, name=name, state="stopped")
    call = instance_calls.InstanceCalls.call

    def taken_back(self: Any, verb: str, *rest: Any, **query: Any) -> None:
        call(self, verb, *rest, **query)
        if verb == "start":
            where = {"project": cloud.emulator.project, "zone": m.ZONE, "instance": name}
            cloud.admin("POST", "preempt", where)

    monkeypatch.setattr(instance_calls.InstanceCalls, "call", taken_back)
    failed = cloud.fails("gce_instance", **m.machine(name, scheduling=spot), timeout=120)
    if action == "STOP":
        assert failed["reason"] == "downAgain"
        assert "again: Instance was preempted" in failed["msg"]
    else:
        # Whether it is still on its way when it is looked at is a matter of luck.
        assert failed["reason"] in ("downAgain", "vanished")
