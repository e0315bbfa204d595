# SPDX-License-Identifier: Apache-2.0
"""gce_instance against the emulator: every transition predicted, made once, and undone."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import operations
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    api as instance_calls,
)

from tests.support import modules_fixtures as m

ACCOUNT = "llm@demo-project.iam.gserviceaccount.com"
Change = tuple[dict[str, Any], dict[str, str]]


def transition(cloud: m.Cloud, **options: Any) -> dict[str, Any]:
    """Check, run, run again: the prediction holds and the second run has nothing to do."""
    untouched = cloud.stored("instances")
    predicted = cloud.ok("gce_instance", check=True, **options)
    assert cloud.stored("instances") == untouched
    made = cloud.ok("gce_instance", **options)
    for part in ("changed", "changes", "diff"):
        assert made[part] == predicted[part], part
    again = cloud.ok("gce_instance", **options)
    assert again["changed"] is False, again["changes"]
    assert again["diff"]["before"] == again["diff"]["after"]
    assert again["instance"] == made["instance"]
    return made


def hows(result: dict[str, Any]) -> dict[str, str]:
    """Field to the way in which it was changed."""
    return {one["field"]: one["how"] for one in result["changes"]}


def stored(cloud: m.Cloud, name: str) -> dict[str, Any]:
    """The one instance of that name."""
    found = [one for one in cloud.stored("instances") if one["name"] == name]
    assert len(found) == 1
    return found[0]


def test_create_is_least_privilege_and_shielded(cloud: m.Cloud, name: str) -> None:
    made = transition(cloud, **m.machine(name))
    assert hows(made) == {"instance": "create"}
    instance = made["instance"]
    assert instance["status"] == "RUNNING"
    assert not instance.get("serviceAccounts")
    assert instance["shieldedInstanceConfig"]["enableVtpm"] is True
    assert instance["scheduling"]["onHostMaintenance"] == "TERMINATE"
    assert made["addresses"]["internal"] and made["addresses"]["external"]
    record = {one["key"]: one["value"] for one in instance["metadata"]["items"]}
    assert record["gce-vllm-image-family"] == f"{m.IMAGES}/{m.FAMILY}"


def test_spot_with_a_t4(cloud: m.Cloud, name: str) -> None:
    made = transition(
        cloud,
        **m.machine(
            name,
            machine_type="n1-standard-8",
            accelerators=[{"type": "nvidia-tesla-t4", "count": 1}],
            scheduling={"provisioning_model": "SPOT"},
        ),
    )
    scheduling = made["instance"]["scheduling"]
    assert scheduling["provisioningModel"] == "SPOT"
    assert scheduling["automaticRestart"] is False
    assert scheduling["instanceTerminationAction"] == "STOP"


LIVE: list[Change] = [
    (
        {"labels": {"owner": "others", "team": "search"}},
        {"labels.owner": "live", "labels.team": "live"},
    ),
    ({"labels": {"owner": None}}, {"labels.owner": "live"}),
    (
        {"metadata": {"enable-guest-attributes": "FALSE"}},
        {"metadata.enable-guest-attributes": "live"},
    ),
    ({"tags": ["llm-server", "http"]}, {"tags.http": "live"}),
    ({"external_ip": False}, {"external_ip": "live"}),
    ({"deletion_protection": True}, {"deletion_protection": "live"}),
]


@pytest.mark.parametrize(("changed", "fields"), LIVE)
def test_live_changes_there_and_back(
    cloud: m.Cloud, name: str, changed: dict[str, Any], fields: dict[str, str]
) -> None:
    first = cloud.ok("gce_instance", **m.machine(name))["instance"]
    there = transition(cloud, **m.machine(name, **changed))
    assert hows(there) == fields
    opposite: dict[str, Any] = {
        "labels": {"owner": "tests", "team": None},
        "external_ip": True,
        "deletion_protection": False,
    }
    back = {key: opposite[key] for key in changed if key in opposite}
    transition(cloud, **m.machine(name, **back))
    assert stored(cloud, name)["id"] == first["id"]


STOP: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"machine_type": "g2-standard-16"}, {"machine_type": "g2-standard-8"}, "machine_type"),
    (
        {"service_account": {"email": ACCOUNT, "scopes": ["cloud-platform"]}},
        {"service_account": {"email": ""}},
        "service_account.email",
    ),
    ({"shielded": {"vtpm": False, "integrity_monitoring": False}}, {}, "shielded.vtpm"),
    (
        {"scheduling": {"automatic_restart": False}},
        {"scheduling": {"automatic_restart": True}},
        "scheduling.automatic_restart",
    ),
]


@pytest.mark.parametrize(("changed", "back", "field"), STOP)
def test_changes_that_need_a_stop(
    cloud: m.Cloud, name: str, changed: dict[str, Any], back: dict[str, Any], field: str
) -> None:
    first = cloud.ok("gce_instance", **m.machine(name))["instance"]
    for check in (True, False):
        failed = cloud.fails("gce_instance", check=check, **m.machine(name, **changed))
        assert failed["reason"] == "notAllowed"
        assert field in failed["blocked"]
        assert "allow_stop: true" in failed["msg"]
        assert field in failed["msg"]
    assert stored(cloud, name) == first
    there = transition(cloud, **m.machine(name, allow_stop=True, **changed))
    assert hows(there)[field] == "stop"
    assert there["instance"]["status"] == "RUNNING"
    assert there["instance"]["id"] == first["id"]
    if back:
        restored = cloud.ok("gce_instance", **m.machine(name, allow_stop=True, **back))
        assert restored["changed"] is True


def test_gpus_of_n1_need_a_stop(cloud: m.Cloud, name: str) -> None:
    one = {"machine_type": "n1-standard-8", "accelerators": [{"type": "nvidia-tesla-t4"}]}
    two = {**one, "accelerators": [{"type": "nvidia-tesla-t4", "count": 2}]}
    cloud.ok("gce_instance", **m.machine(name, **one))
    there = transition(cloud, **m.machine(name, allow_stop=True, **two))
    assert hows(there) == {"accelerators": "stop"}
    assert there["instance"]["guestAccelerators"][0]["acceleratorCount"] == 2


def test_adding_gpus_gives_up_live_migration(cloud: m.Cloud, name: str) -> None:
    plain = {"machine_type": "n1-standard-8"}
    gpu = {**plain, "accelerators": [{"type": "nvidia-tesla-t4", "count": 1}]}
    made = cloud.ok("gce_instance", **m.machine(name, **plain))
    assert made["instance"]["scheduling"]["onHostMaintenance"] == "MIGRATE"
    there = transition(cloud, **m.machine(name, allow_stop=True, **gpu))
    assert hows(there) == {"accelerators": "stop", "scheduling.on_host_maintenance": "stop"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"machine_type": "g2-standard-9"}, "Did you mean g2-standard-96"),
        ({"service_account": {"email": "not an address"}}, "was started again"),
    ],
)
def test_failed_change_leaves_it_running(
    cloud: m.Cloud, name: str, changed: dict[str, Any], words: str
) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    failed = cloud.fails("gce_instance", **m.machine(name, allow_stop=True, **changed))
    assert words in failed["msg"]
    assert cloud.ok("gce_instance", **m.machine(name))["instance"]["status"] == "RUNNING"


def boot(**changes: Any) -> dict[str, Any]:
    return {"boot_disk": {**m.machine("x")["boot_disk"], **changes}}


RECREATE: list[tuple[dict[str, Any], str]] = [
    (boot(image_family="common-cu129-ubuntu-2204-nvidia-580"), "boot_disk.image_family"),
    (boot(type="pd-ssd"), "boot_disk.type"),
    ({"scheduling": {"provisioning_model": "SPOT"}}, "scheduling.provisioning_model"),
    (
        {"machine_type": "n1-standard-8", "accelerators": [{"type": "nvidia-tesla-t4"}]},
        "machine_type",
    ),
]


@pytest.mark.parametrize(("changed", "field"), RECREATE)
def test_changes_that_need_a_recreate(
    cloud: m.Cloud, name: str, changed: dict[str, Any], field: str
) -> None:
    first = cloud.ok("gce_instance", **m.machine(name, labels={"owner": "tests", "kept": "1"}))
    failed = cloud.fails("gce_instance", **m.machine(name, allow_stop=True, **changed))
    assert field in failed["blocked"]
    assert "allow_recreate: true" in failed["msg"]
    assert stored(cloud, name)["id"] == first["instance"]["id"]
    there = transition(cloud, **m.machine(name, allow_recreate=True, **changed))
    assert hows(there)[field] == "recreate"
    assert there["instance"]["id"] != first["instance"]["id"]
    assert there["instance"]["labels"]["kept"] == "1"
    disks = [one["name"] for one in cloud.stored("disks")]
    assert disks.count(name) == 1


@pytest.mark.parametrize(
    "changed",
    [
        boot(image_family="pytorch-2-7-cu128-ubuntu-2204-nvidia-570"),
        {"machine_type": "n1-standard-9"},
        {"network": "nowhere"},
        {"machine_type": "n1-standard-8", "accelerators": [{"type": "nvidia-tesla-t5"}]},
    ],
)
def test_nothing_is_deleted_for_what_can_not_be_made(
    cloud: m.Cloud, name: str, changed: dict[str, Any]
) -> None:
    first = cloud.ok("gce_instance", **m.machine(name))["instance"]
    for check in (True, False):
        cloud.fails("gce_instance", check=check, **m.machine(name, allow_recreate=True, **changed))
    assert stored(cloud, name) == first


def test_disk_grows_live(cloud: m.Cloud, name: str) -> None:
    first = cloud.ok("gce_instance", **m.machine(name))
    there = transition(cloud, **m.machine(name, **boot(size_gb=150)))
    assert hows(there) == {"boot_disk.size_gb": "live"}
    assert there["instance"]["id"] == first["instance"]["id"]


@pytest.mark.parametrize("more", [{}, {"allow_recreate": True}])
def test_a_larger_boot_disk_will_do(cloud: m.Cloud, name: str, more: dict[str, Any]) -> None:
    """It ran full and was grown by hand: nobody wants a new instance with a smaller one."""
    first = cloud.ok("gce_instance", **m.machine(name))
    cloud.ok("gce_instance", **m.machine(name, **boot(size_gb=150)))
    for check in (True, False):
        again = cloud.ok("gce_instance", check=check, **m.machine(name, **more))
        assert again["changed"] is False
        assert "has 150 GB, and 100 GB were asked for" in " ".join(map(str, again["warnings"]))
    assert stored(cloud, name)["id"] == first["instance"]["id"]


def test_recreated_the_boot_disk_is_no_smaller(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name, **boot(size_gb=150)))
    cloud.ok("gce_instance", **m.machine(name, allow_recreate=True, **boot(type="pd-ssd")))
    (disk,) = [one for one in cloud.stored("disks") if one["name"] == name]
    assert (disk["sizeGb"], disk["type"].rsplit("/", 1)[1]) == ("150", "pd-ssd")


def test_stop_and_start(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    stopped = transition(cloud, zone=m.ZONE, name=name, state="stopped")
    assert stopped["changes"] == [
        {"field": "status", "from": "RUNNING", "to": "TERMINATED", "how": "live"}
    ]
    assert stopped["instance"]["status"] == "TERMINATED"
    started = transition(cloud, **m.machine(name))
    assert started["changes"] == [
        {"field": "status", "from": "TERMINATED", "to": "RUNNING", "how": "live"}
    ]


def test_stopped_instance_changes_without_permission_to_stop(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    cloud.ok("gce_instance", zone=m.ZONE, name=name, state="stopped")
    there = transition(cloud, **m.machine(name, machine_type="g2-standard-4"))
    assert hows(there) == {"machine_type": "stop", "status": "live"}
    assert there["instance"]["status"] == "RUNNING"


def test_suspended_one_is_resumed(cloud: m.Cloud, name: str) -> None:
    plain = m.machine(name, machine_type="n1-standard-4")
    cloud.ok("gce_instance", **plain)
    with cloud.api() as api:
        path = f"{api.root}/zones/{m.ZONE}/instances/{name}"
        operations.finish(api, api.post(f"{path}/suspend", "suspend"), "suspend")
    assert stored(cloud, name)["status"] == "SUSPENDED"
    # Suspended counts as stopped.
    assert cloud.ok("gce_instance", **plain, state="stopped")["changed"] is False
    resumed = transition(cloud, **plain)
    assert resumed["changes"] == [
        {"field": "status", "from": "SUSPENDED", "to": "RUNNING", "how": "live"}
    ]


def test_at_the_end_of_its_time_it_is_stopped_where_nothing_else_is_said(
    cloud: m.Cloud, name: str
) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    limit = {"scheduling": {"max_run_duration": 3600}, "allow_stop": True}
    made = cloud.ok("gce_instance", **m.machine(name, **limit))
    assert made["instance"]["scheduling"]["instanceTerminationAction"] == "STOP"


def test_flex_start_is_reported_as_such(cloud: m.Cloud, name: str) -> None:
    flex = {"provisioning_model": "FLEX_START", "max_run_duration": 7200}
    cloud.ok("gce_instance", **m.machine(name, scheduling=flex))
    found = cloud.ok("gce_status_info", zone=m.ZONE, name=name, price_source="table")
    assert found["report"]["provisioning_model"] == "FLEX_START"
    assert "Flex-start is priced as on demand, which is the most that it costs" in found["lines"]
    assert found["report"]["cost"]["hourly"] > 0.8, "as on demand"


def test_stopping_none_makes_none(cloud: m.Cloud, name: str) -> None:
    found = transition(cloud, **m.machine(name, state="stopped"))
    assert found["changed"] is False
    assert found["instance"] is None


def test_absent_once(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    gone = transition(cloud, zone=m.ZONE, name=name, state="absent")
    assert gone["changes"] == [{"field": "instance", "from": name, "to": None, "how": "delete"}]
    assert name not in [one["name"] for one in cloud.stored("disks")]


def test_deletion_protection_holds_until_named(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name, deletion_protection=True))
    for check in (True, False):
        failed = cloud.fails("gce_instance", check=check, zone=m.ZONE, name=name, state="absent")
        assert failed["reason"] == "deletionProtection"
    transition(cloud, zone=m.ZONE, name=name, state="absent", deletion_protection=False)


def test_what_others_set_survives(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    with cloud.api() as api:
        path = f"{api.root}/zones/{m.ZONE}/instances/{name}"
        now = api.get(path, "read")
        labels = {**now["labels"], "cost-center": "42"}
        body = {"labels": labels, "labelFingerprint": now["labelFingerprint"]}
        api.post(f"{path}/setLabels", "set labels", body)
        tags = {"items": ["llm-server", "theirs"], "fingerprint": now["tags"]["fingerprint"]}
        api.post(f"{path}/setTags", "set tags", tags)
    assert cloud.ok("gce_instance", **m.machine(name))["changed"] is False
    cloud.ok("gce_instance", **m.machine(name, labels={"owner": "x"}, tags=["more"]))
    after = stored(cloud, name)
    assert after["labels"]["cost-center"] == "42"
    assert sorted(after["tags"]["items"]) == ["llm-server", "more", "theirs"]


@pytest.mark.parametrize("there", [None, "first:key-1"])
def test_ssh_key_that_is_added_meanwhile_survives(
    cloud: m.Cloud, name: str, monkeypatch: pytest.MonkeyPatch, there: str | None
) -> None:
    cloud.ok("gce_instance", **m.machine(name, metadata={"ssh-keys": there}))
    call, theirs = instance_calls.InstanceCalls.call, iter(["theirs:key-2"])

    def behind_another(self: Any, verb: str, body: Any = None, **query: Any) -> None:
        if verb == "setMetadata" and (line := next(theirs, None)):
            now = self.fetch()["metadata"]
            lines = "\n".join(filter(None, [there, line]))
            items = [one for one in now["items"] if one["key"] != "ssh-keys"]
            items.append({"key": "ssh-keys", "value": lines})
            call(self, verb, {"items": items, "fingerprint": now["fingerprint"]})
        call(self, verb, body, **query)

    monkeypatch.setattr(instance_calls.InstanceCalls, "call", behind_another)
    cloud.ok("gce_instance", **m.machine(name, metadata={"ssh-keys": "ours:key-3"}))
    items = {one["key"]: one["value"] for one in stored(cloud, name)["metadata"]["items"]}
    lines = [*([there] if there else []), "theirs:key-2", "ours:key-3"]
    assert items["ssh-keys"].splitlines() == lines


def test_instance_that_others_made_is_adopted(cloud: m.Cloud, name: str) -> None:
    with cloud.api() as api:
        zone = f"{api.root}/zones/{m.ZONE}"
        family = f"projects/{m.IMAGES}/global/images/family/{m.FAMILY}"
        body = {
            "name": name,
            "machineType": f"zones/{m.ZONE}/machineTypes/g2-standard-8",
            "disks": [
                {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": family}}
            ],
            "networkInterfaces": [{"network": "global/networks/default"}],
            "scheduling": {"onHostMaintenance": "TERMINATE"},
        }
        api.post(f"{zone}/instances", "make an instance", body)
    options = {
        "zone": m.ZONE,
        "name": name,
        "machine_type": "g2-standard-8",
        "boot_disk": {"image_project": m.IMAGES, "image_family": m.FAMILY},
        "network": "default",
    }
    assert cloud.ok("gce_instance", **options)["changed"] is False


def test_secret_metadata_is_never_shown(cloud: m.Cloud, name: str) -> None:
    secret = "correct-horse-battery"
    desired = {"metadata": {"hf-token": secret, "notes": "x" * 200}}
    for check in (True, False):
        made = cloud.ok("gce_instance", check=check, **m.machine(name, **desired))
        assert secret not in str(made)
        assert "x" * 101 not in str({k: v for k, v in made.items() if k != "invocation"})
    changed = cloud.ok("gce_instance", **m.machine(name, metadata={"hf-token": "another-one"}))
    assert hows(changed) == {"metadata.hf-token": "live"}
    assert secret not in str(changed) and "another-one" not in str(changed)
    items = {one["key"]: one["value"] for one in stored(cloud, name)["metadata"]["items"]}
    assert items["hf-token"] == "another-one"


@pytest.mark.parametrize("state", ["present", "stopped", "absent"])
def test_killed_run_is_finished_by_the_next(cloud: m.Cloud, name: str, state: str) -> None:
    if state != "present":
        cloud.ok("gce_instance", **m.machine(name))
    cloud.admin("PUT", "operation-delay", {"seconds": 2})
    before = cloud.stored("operations")
    command = cloud.command("gce_instance", **m.machine(name, state=state))
    run = subprocess.Popen(command, env=m.module_environment(), stdout=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while len(cloud.stored("operations")) == len(before):
        assert time.monotonic() < end and run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait(timeout=60)
    finished = cloud.ok("gce_instance", **m.machine(name, state=state))
    cloud.admin("PUT", "operation-delay", {"seconds": 0})
    left = [one for one in cloud.stored("instances") if one["name"] == name]
    if state == "absent":
        assert left == []
    else:
        assert [one["status"] for one in left] == [
            "RUNNING" if state == "present" else "TERMINATED"
        ]
        assert finished["instance"]["name"] == name
    assert cloud.ok("gce_instance", **m.machine(name, state=state))["changed"] is False
