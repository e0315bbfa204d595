# SPDX-License-Identifier: Apache-2.0
"""gce_instance with placements and further disks: it goes where its data is, or nowhere."""

from __future__ import annotations

import pytest

from tests.integration.modules.test_placements import (
    G2,
    A,
    B,
    C,
    Json,
    outcomes,
    placed,
    settled,
    stockout,
    where,
)
from tests.support import modules_fixtures as m


def kept_disk(cloud: m.Cloud, zone: str, disk: str) -> Json:
    """A disk of an earlier instance that is gone."""
    with cloud.api() as api:
        path = f"{api.root}/zones/{zone}/disks"
        api.post(path, "make a disk", {"name": disk, "sizeGb": "20"})
        return api.get(f"{path}/{disk}", "read it")


def disks_named(cloud: m.Cloud, disk: str) -> list[tuple[str, str]]:
    return sorted((d["zone"][-13:], d["id"]) for d in cloud.stored("disks") if d["name"] == disk)


def test_refused_growth_of_a_disk_makes_no_second_instance(cloud: m.Cloud, name: str) -> None:
    for zone in (A, B):
        kept_disk(cloud, zone, "weights")
    error = {"code": "QUOTA_EXCEEDED", "message": "Quota 'SSD_TOTAL_GB' exceeded."}
    rule = {"target": f"*/zones/{A}/disks/weights", "operation_error": error}
    cloud.admin("PUT", "faults", {"rules": [rule]})
    options = placed(name, A, B, disks=[{"name": "weights", "size_gb": 30}])
    failed = cloud.fails("gce_instance", **options)
    assert (failed["reason"], where(cloud, name)) == ("QUOTA_EXCEEDED", [A])
    cloud.admin("DELETE", "faults")
    assert cloud.ok("gce_instance", **options)["zone"] == A
    settled(cloud, **options)


def test_made_where_its_disk_is(cloud: m.Cloud, name: str) -> None:
    disk = kept_disk(cloud, B, "weights")
    kept_disk(cloud, C, "others")
    options = placed(name, A, B, C, disks=[{"name": "weights", "size_gb": 20}])
    planned = cloud.ok("gce_instance", check=True, **options)
    made = cloud.ok("gce_instance", **options)
    assert (planned["zone"], made["zone"]) == (B, B)
    assert (planned["diff"], planned["changes"]) == (made["diff"], made["changes"])
    assert disks_named(cloud, "weights") == [(B, disk["id"])]
    settled(cloud, **options)


def test_copies_of_its_disk_leave_a_choice(cloud: m.Cloud, name: str) -> None:
    for zone in (B, C):
        kept_disk(cloud, zone, "weights")
    stockout(cloud, B)
    desired = [{"name": "weights", "size_gb": 20}, {"name": "new", "size_gb": 10}]
    made = cloud.ok("gce_instance", **placed(name, A, B, C, disks=desired))
    assert outcomes(made) == [(B, "stockout"), (C, "created")]


def test_no_room_where_its_disk_is(cloud: m.Cloud, name: str) -> None:
    kept_disk(cloud, B, "weights")
    stockout(cloud, B)
    options = placed(name, A, B, disks=[{"name": "weights", "size_gb": 20}])
    failed = cloud.fails("gce_instance", **options)
    assert (failed["reason"], outcomes(failed)) == ("noCapacity", [(B, "stockout")])
    assert f"weights in {B}" in failed["msg"]
    assert where(cloud, name) == []


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ({"weights": C}, "disksElsewhere"),
        ({"weights": A, "cache": C}, "disksElsewhere"),
        ({"weights": A, "cache": B}, "disksApart"),
    ],
)
def test_disks_out_of_reach_stop_the_creation(
    cloud: m.Cloud, name: str, there: dict[str, str], reason: str
) -> None:
    for disk, zone in there.items():
        kept_disk(cloud, zone, disk)
    before = cloud.stored("operations")
    desired = [{"name": disk, "size_gb": 20} for disk in ("weights", "cache")]
    for check in (True, False):
        failed = cloud.fails("gce_instance", check=check, **placed(name, A, B, disks=desired))
        assert failed["reason"] == reason
        far = {disk: zone for disk, zone in there.items() if reason == "disksApart" or zone == C}
        assert all(f"{disk} in {zone}" in failed["msg"] for disk, zone in far.items())
    assert cloud.stored("operations") == before


def test_disk_of_that_name_that_another_instance_has_is_no_reason(
    cloud: m.Cloud, name: str
) -> None:
    desired = [{"name": "weights", "size_gb": 20}]
    cloud.ok("gce_instance", **m.machine(f"{name}-other", zone=C, disks=desired))
    assert cloud.ok("gce_instance", **placed(name, A, B, disks=desired))["zone"] == A


def test_zone_alone_looks_in_no_other(cloud: m.Cloud, name: str) -> None:
    kept_disk(cloud, B, "weights")
    made = cloud.ok("gce_instance", **m.machine(name, disks=[{"name": "weights", "size_gb": 20}]))
    assert made["changed"] and len(disks_named(cloud, "weights")) == 2


def test_stopped_with_a_disk_stays_in_its_zone(cloud: m.Cloud, name: str) -> None:
    spot = [{"zone": z, "machine_type": G2, "provisioning_model": "SPOT"} for z in (A, B)]
    desired: Json = {"disks": [{"name": "weights", "size_gb": 20}], "allow_recreate": True}
    options = placed(name, *spot, {"zone": A, "machine_type": G2}, **desired)
    cloud.ok("gce_instance", **options)
    disk = disks_named(cloud, "weights")
    cloud.ok("gce_instance", **{**options, "state": "stopped"})
    error = {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "No room."}
    rule = {"operation": "start", "operation_error": error}
    cloud.admin("PUT", "faults", {"rules": [rule]})
    # With nothing else in its zone, the error says why B was not tried.
    failed = cloud.fails("gce_instance", **placed(name, *spot, **desired))
    assert (failed["reason"], outcomes(failed)) == ("noCapacity", [(A, "stockout")])
    assert f"weights in {A}" in failed["msg"]
    cloud.admin("PUT", "faults", {"rules": [{**rule, "count": 1}]})
    made = cloud.ok("gce_instance", **options)
    assert [(one["provisioning_model"], one["outcome"]) for one in made["attempts"]] == [
        ("SPOT", "stockout"),
        ("STANDARD", "created"),
    ]
    assert where(cloud, name) == [A] and disks_named(cloud, "weights") == disk
    cloud.admin("DELETE", "faults")
    settled(cloud, **options)
