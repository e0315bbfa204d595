# SPDX-License-Identifier: Apache-2.0
"""gce_address, and instances that keep a reserved address whatever happens to them."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.support import modules_fixtures as m

Json = dict[str, Any]


def address(cloud: m.Cloud, name: str, **more: Any) -> Json:
    return cloud.ok("gce_address", region=m.REGION, name=name, **more)


def external(cloud: m.Cloud, name: str) -> str | None:
    """External address that the emulator holds for the one instance of that name."""
    (one,) = [one for one in cloud.stored("instances") if one["name"] == name]
    configs = one["networkInterfaces"][0].get("accessConfigs", [])
    return configs[0].get("natIP") if configs else None


def transition(cloud: m.Cloud, **options: Any) -> Json:
    """Check, run, run again: the prediction holds and the second run has nothing to do."""
    predicted = cloud.ok("gce_instance", check=True, **options)
    made = cloud.ok("gce_instance", **options)
    for part in ("changed", "changes", "diff"):
        assert made[part] == predicted[part], part
    assert cloud.ok("gce_instance", **options)["changed"] is False
    return made


def test_reserved_and_released_once(cloud: m.Cloud, name: str) -> None:
    planned = address(cloud, name, check=True)
    assert planned["changed"] and planned["ip"] is None and cloud.stored("addresses") == []
    made = address(cloud, name)
    assert (made["changes"], made["diff"]) == (planned["changes"], planned["diff"])
    assert made["ip"] and made["address"]["status"] == "RESERVED"
    again = address(cloud, name)
    assert again["changed"] is False and again["ip"] == made["ip"]
    assert address(cloud, name, state="absent", check=True)["changed"]
    assert len(cloud.stored("addresses")) == 1
    assert address(cloud, name, state="absent")["changed"]
    assert address(cloud, name, state="absent")["changed"] is False
    assert cloud.stored("addresses") == []


def test_used_address_is_not_released(cloud: m.Cloud, name: str) -> None:
    address(cloud, name)
    cloud.ok("gce_instance", **m.machine(name, address=name))
    for check in (True, False):
        failed = cloud.fails("gce_address", check=check, region=m.REGION, name=name, state="absent")
        assert failed["reason"] == "addressInUse" and f"instances/{name}" in failed["msg"]
    cloud.ok("gce_instance", zone=m.ZONE, name=name, state="absent")
    assert address(cloud, name, state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"region": "us-central9"}, "There is no region us-central9"),
        ({"address": "llm"}, "not an IPv4 address"),
        ({"address": "198.51.100.9"}, "198.51.100.9"),
    ],
)
def test_mistakes(cloud: m.Cloud, name: str, options: Json, words: str) -> None:
    failed = cloud.fails("gce_address", **{"region": m.REGION, "name": name, **options})
    assert words in failed["msg"]


def test_name_of_another_address(cloud: m.Cloud, name: str) -> None:
    address(cloud, name)
    failed = cloud.fails("gce_address", region=m.REGION, name=name, address="203.0.113.254")
    assert failed["reason"] == "differentAddress"


def test_address_of_a_running_instance_is_kept(cloud: m.Cloud, name: str) -> None:
    had = cloud.ok("gce_instance", **m.machine(name))["addresses"]["external"]
    assert address(cloud, name, address=had)["ip"] == had
    assert cloud.ok("gce_instance", **m.machine(name, address=name))["changed"] is False


@pytest.mark.parametrize("by_ip", [False, True])
def test_instance_made_with_it_keeps_it(cloud: m.Cloud, name: str, by_ip: bool) -> None:
    ip = address(cloud, name)["ip"]
    options = m.machine(name, address=ip if by_ip else name)
    made = transition(cloud, **options)
    assert made["addresses"]["external"] == ip
    cloud.ok("gce_instance", zone=m.ZONE, name=name, state="stopped")
    assert external(cloud, name) == ip
    assert cloud.ok("gce_instance", **options)["addresses"]["external"] == ip
    disk = {**options["boot_disk"], "type": "pd-ssd"}
    recreated = transition(cloud, **{**options, "boot_disk": disk}, allow_recreate=True)
    assert recreated["instance"]["id"] != made["instance"]["id"]
    assert recreated["addresses"]["external"] == ip


def test_recreation_keeps_a_reserved_one_that_is_not_named(cloud: m.Cloud, name: str) -> None:
    ip = address(cloud, name)["ip"]
    cloud.ok("gce_instance", **m.machine(name, address=name))
    disk = {**m.machine(name)["boot_disk"], "type": "pd-ssd"}
    recreated = transition(cloud, **m.machine(name, boot_disk=disk), allow_recreate=True)
    assert recreated["addresses"]["external"] == ip
    bare = m.machine(name, external_ip=False, allow_recreate=True)
    assert transition(cloud, **bare)["addresses"]["external"] is None


def test_attached_live_and_exchanged(cloud: m.Cloud, name: str) -> None:
    one, two = (address(cloud, f"{name}-{number}")["ip"] for number in (1, 2))
    first = cloud.ok("gce_instance", **m.machine(name))
    for number, ip in ((1, one), (2, two)):
        there = transition(cloud, **m.machine(name, address=f"{name}-{number}"))
        changes = {one["field"]: one for one in there["changes"]}
        change = changes.pop("address")
        assert set(changes) <= {"metadata.gce-vllm-address"}, "only the record of it besides"
        assert (change["field"], change["to"], change["how"]) == ("address", ip, "live")
        assert external(cloud, name) == ip
        assert there["instance"]["id"] == first["instance"]["id"]
    users = {one["name"]: one.get("users") for one in cloud.stored("addresses")}
    assert users[f"{name}-1"] is None and users[f"{name}-2"]
    transition(cloud, **m.machine(name, external_ip=False))
    there = transition(cloud, **m.machine(name, address=one))
    assert there["addresses"]["external"] == one


def test_half_an_exchange_is_finished(cloud: m.Cloud, name: str) -> None:
    ip = address(cloud, name)["ip"]
    cloud.ok("gce_instance", **m.machine(name))
    with cloud.api() as api:
        path = f"{api.root}/zones/{m.ZONE}/instances/{name}/deleteAccessConfig"
        api.post(path, "cut", None, networkInterface="nic0", accessConfig="External NAT")
    assert transition(cloud, **m.machine(name, address=name))["addresses"]["external"] == ip


def test_address_of_another_is_refused(cloud: m.Cloud, name: str) -> None:
    address(cloud, name)
    cloud.ok("gce_instance", **m.machine(f"{name}-1", address=name))
    cloud.ok("gce_instance", **m.machine(f"{name}-2"))
    before = cloud.stored("instances")
    for check in (True, False):
        failed = cloud.fails("gce_instance", check=check, **m.machine(f"{name}-2", address=name))
        assert failed["reason"] == "addressInUse" and f"{name}-1" in failed["msg"]
    assert cloud.stored("instances") == before


def test_address_that_is_not_reserved(cloud: m.Cloud, name: str) -> None:
    address(cloud, name)
    failed = cloud.fails("gce_instance", **m.machine(name, address=f"{name}x"))
    assert failed["reason"] == "addressNotFound" and f"Did you mean {name}?" in failed["msg"]
    for check in (True, False):
        failed = cloud.fails("gce_instance", check=check, **m.machine(name, address="192.0.2.77"))
        assert failed["reason"] == "addressNotFound"
    command = cloud.command(
        "gce_instance", **m.machine(name, address=f"{name}x"), _ansible_check_mode=True
    )
    planned = subprocess.run(command, env=m.module_environment(), capture_output=True, check=True)
    assert b"no reserved external address" in planned.stdout
    assert cloud.stored("instances") == []


def test_move_to_another_region_leaves_it_reserved(cloud: m.Cloud, name: str) -> None:
    address(cloud, name)
    places = [{"zone": zone, "machine_type": "g2-standard-8"} for zone in (m.ZONE, "us-east1-c")]
    options = m.machine(name, zone=None, machine_type=None, placements=places)
    cloud.ok("gce_instance", **m.machine(name, address=name))
    cloud.ok("gce_instance", **{**options, "state": "stopped"})
    cloud.admin("PUT", "stockouts", {"zone": m.ZONE})
    command = cloud.command("gce_instance", **options, allow_recreate=True)
    ran = subprocess.run(command, env=m.module_environment(), capture_output=True, check=True)
    assert b"it stays reserved" in ran.stdout
    assert external(cloud, name)
    assert [one["status"] for one in cloud.stored("addresses")] == ["RESERVED"]


def test_placements_in_two_regions_have_one_each(cloud: m.Cloud, name: str) -> None:
    here = address(cloud, name)["ip"]
    there = cloud.ok("gce_address", region="us-east1", name=name)["ip"]
    cloud.admin("PUT", "stockouts", {"zone": m.ZONE})
    places = [{"zone": zone, "machine_type": "g2-standard-8"} for zone in (m.ZONE, "us-east1-c")]
    options = m.machine(name, zone=None, machine_type=None, placements=places, address=name)
    made = cloud.ok("gce_instance", **options)
    assert made["zone"] == "us-east1-c"
    assert made["addresses"]["external"] == there != here
    assert cloud.ok("gce_instance", **options)["changed"] is False
