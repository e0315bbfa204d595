# SPDX-License-Identifier: Apache-2.0
"""Further disks of instances: no data of theirs is lost; and newer images, which are told of."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import modules_fixtures as m

OLDER, NEWEST = f"{m.FAMILY}-v20260703", f"{m.FAMILY}-v20260918"


def disks(cloud: m.Cloud) -> dict[str, m.Json]:
    return {str(one["name"]): one for one in cloud.stored("disks")}


def attached(result: m.Json) -> dict[str, m.Json]:
    """Disk name to attachment."""
    return {one["source"].rsplit("/", 1)[-1]: one for one in result["instance"]["disks"]}


def attach(cloud: m.Cloud, name: str, disk: str, **options: Any) -> None:
    """As others would do it: make a disk and attach it."""
    with cloud.api() as api:
        zone = f"{api.root}/zones/{m.ZONE}"
        api.post(f"{zone}/disks", "make a disk", {"name": disk, "sizeGb": "10"})
        body = {"source": f"{zone}/disks/{disk}", "deviceName": disk, **options}
        api.post(f"{zone}/instances/{name}/attachDisk", "attach it", body)


def attach_new(api: Any, name: str, disk: str) -> None:
    """As gce_instance does it, once it has seen that there is no such disk."""
    from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance.api import (
        InstanceCalls,
    )

    options = {"attached": True, "size_gb": 10, "type": "pd-balanced"}
    wanted = {f"disks.{disk}.{option}": value for option, value in options.items()}
    InstanceCalls(api, m.ZONE, name).disks.apply(set(wanted), wanted)


def boot(**changes: Any) -> m.Json:
    return {**m.machine("x")["boot_disk"], **changes}


def same_in_check_mode(cloud: m.Cloud, **options: Any) -> m.Json:
    """Run it after it was predicted."""
    predicted = cloud.ok("gce_instance", check=True, **options)
    made = cloud.ok("gce_instance", **options)
    for part in ("changed", "changes", "diff"):
        assert made[part] == predicted[part], part
    return made


def test_a_disk_that_another_run_made_meanwhile_is_taken(cloud: m.Cloud, name: str) -> None:
    """It was looked for, and then a run that was interrupted got it after all."""
    disk = f"{name}-data"
    cloud.ok("gce_instance", **m.machine(name))
    with cloud.api() as api:
        api.post(f"{api.root}/zones/{m.ZONE}/disks", "make it", {"name": disk, "sizeGb": "10"})
        there = disks(cloud)[disk]["id"]
        attach_new(api, name, disk)
    instance = cloud.ok("gce_instance_info", name=name, zones=[m.ZONE])
    assert attached(instance)[disk]["autoDelete"] is False
    assert disks(cloud)[disk]["id"] == there


def test_an_operation_may_find_that_there_is_such_a_disk(cloud: m.Cloud, name: str) -> None:
    """Which of both runs made it doesn't matter: the attachment tells whether it is there."""
    cloud.ok("gce_instance", **m.machine(name))
    error = {"code": "RESOURCE_ALREADY_EXISTS", "message": "It is there."}
    rule = {"target": f"*/disks/{name}-data", "operation_error": error}
    cloud.admin("PUT", "faults", {"rules": [rule]})
    with cloud.api() as api, pytest.raises(Exception, match="attachDisk"):
        attach_new(api, name, f"{name}-data")
    cloud.admin("DELETE", "faults")


def test_recreate_keeps_disks_of_this_and_other_owners(cloud: m.Cloud, name: str) -> None:
    mine = [{"name": f"{name}-mine", "size_gb": 20}]
    cloud.ok("gce_instance", **m.machine(name, disks=mine))
    attach(cloud, name, f"{name}-theirs", autoDelete=True)
    before = disks(cloud)
    options = m.machine(name, disks=mine, boot_disk=boot(type="pd-ssd"), allow_recreate=True)
    made = same_in_check_mode(cloud, **options)
    after = disks(cloud)
    for disk in (f"{name}-mine", f"{name}-theirs"):
        assert after[disk]["id"] == before[disk]["id"]
    assert after[name]["id"] != before[name]["id"]
    there = attached(made)
    assert there[f"{name}-theirs"]["autoDelete"] is True
    assert there[f"{name}-theirs"]["deviceName"] == f"{name}-theirs"
    assert there[f"{name}-mine"]["autoDelete"] is False
    assert cloud.ok("gce_instance", **options)["changed"] is False


def test_disk_that_is_there_is_attached_and_grows(cloud: m.Cloud, name: str) -> None:
    """Also what a run leaves behind that was killed between making and attaching it."""
    with cloud.api() as api:
        zone = f"{api.root}/zones/{m.ZONE}"
        for disk in ("old", "late"):
            body = {"name": f"{name}-{disk}", "sizeGb": "20"}
            api.post(f"{zone}/disks", "make a disk", body)
    ids = {disk: one["id"] for disk, one in disks(cloud).items()}
    old, late = ({"name": f"{name}-{disk}", "size_gb": 30} for disk in ("old", "late"))
    made = same_in_check_mode(cloud, **m.machine(name, disks=[old]))
    assert attached(made)[f"{name}-old"]["diskSizeGb"] == "30"
    changed = same_in_check_mode(cloud, **m.machine(name, disks=[old, late]))
    assert attached(changed)[f"{name}-late"]["diskSizeGb"] == "30"
    for disk, number in ids.items():
        assert disks(cloud)[disk]["id"] == number
    assert cloud.ok("gce_instance", **m.machine(name, disks=[old, late]))["changed"] is False


def test_absent_keeps_what_is_to_stay(cloud: m.Cloud, name: str) -> None:
    data, scratch = f"{name}-data", f"{name}-scratch"
    named = [{"name": data, "size_gb": 10}, {"name": scratch, "size_gb": 10, "auto_delete": True}]
    cloud.ok("gce_instance", **m.machine(name, disks=named))
    gone = same_in_check_mode(cloud, zone=m.ZONE, name=name, state="absent")
    assert gone["kept_disks"] == [data]
    assert [one["field"] for one in gone["changes"]] == ["instance", f"disks.{scratch}"]
    assert set(disks(cloud)) == {data}
    options = {"zone": m.ZONE, "name": name, "state": "absent", "disks": [{"name": data}]}
    assert cloud.ok("gce_instance", **options)["changed"] is False
    cleared = same_in_check_mode(cloud, **options, delete_disks=True)
    assert [one["field"] for one in cleared["changes"]] == [f"disks.{data}"]
    assert disks(cloud) == {}
    assert cloud.ok("gce_instance", **options, delete_disks=True)["changed"] is False


def test_absent_takes_disks_along_when_asked(cloud: m.Cloud, name: str) -> None:
    data = [{"name": f"{name}-data", "size_gb": 10}]
    cloud.ok("gce_instance", **m.machine(name, disks=data))
    gone = same_in_check_mode(cloud, **m.machine(name, disks=data, state="absent"),
                              delete_disks=True)  # fmt: skip
    assert gone["kept_disks"] == []
    assert disks(cloud) == {}


def test_absent_heeds_what_the_task_says_of_a_disk(cloud: m.Cloud, name: str) -> None:
    """Set to go by others, and to stay by the task: it stays."""
    cloud.ok("gce_instance", **m.machine(name))
    attach(cloud, name, f"{name}-data", autoDelete=True)
    keep = [{"name": f"{name}-data", "auto_delete": False}]
    gone = same_in_check_mode(cloud, zone=m.ZONE, name=name, state="absent", disks=keep)
    assert gone["kept_disks"] == [f"{name}-data"]
    assert set(disks(cloud)) == {f"{name}-data"}


@pytest.mark.parametrize("exists", [True, False])
def test_disk_of_another_instance_is_left_to_it(cloud: m.Cloud, name: str, exists: bool) -> None:
    cloud.ok(
        "gce_instance", **m.machine(f"{name}-other", disks=[{"name": "shared", "size_gb": 10}])
    )
    if exists:
        cloud.ok("gce_instance", **m.machine(name))
    before = cloud.stored("operations")
    for check in (True, False):
        desired = m.machine(name, disks=[{"name": "shared", "size_gb": 10}])
        failed = cloud.fails("gce_instance", check=check, **desired)
        assert failed["reason"] == "diskInUse" and f"{name}-other" in failed["msg"]
    assert cloud.stored("operations") == before


def test_kept_boot_disk_is_not_overwritten(cloud: m.Cloud, name: str) -> None:
    kept = m.machine(name, boot_disk=boot(auto_delete=False))
    cloud.ok("gce_instance", **kept)
    again = {**kept, "boot_disk": boot(auto_delete=False, type="pd-ssd"), "allow_recreate": True}
    assert cloud.fails("gce_instance", **again)["reason"] == "bootDiskKept"
    gone = same_in_check_mode(cloud, zone=m.ZONE, name=name, state="absent")
    assert gone["kept_disks"] == [name]
    for check in (True, False):
        failed = cloud.fails("gce_instance", check=check, **kept)
        assert failed["reason"] == "bootDiskExists"
    assert set(disks(cloud)) == {name}


def test_boot_disk_goes_where_that_is_said(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name, boot_disk=boot(auto_delete=False)))
    first = disks(cloud)[name]["id"]
    options = m.machine(name, boot_disk=boot(auto_delete=True, type="pd-ssd"), allow_recreate=True)
    same_in_check_mode(cloud, **options)
    assert disks(cloud)[name]["id"] != first
    assert cloud.ok("gce_instance", **options)["changed"] is False


def test_new_disk_needs_a_size(cloud: m.Cloud, name: str) -> None:
    desired = m.machine(name, disks=[{"name": "data"}])
    assert cloud.fails("gce_instance", **desired)["reason"] == "missingOption"
    cloud.ok("gce_instance", **m.machine(name))
    failed = cloud.fails("gce_instance", check=True, **desired)
    assert failed["reason"] == "missingOption" and "size_gb" in failed["msg"]


NEWER = {
    "family": f"{m.IMAGES}/{m.FAMILY}",
    "current": f"{m.IMAGES}/{OLDER}",
    "newest": f"{m.IMAGES}/{NEWEST}",
}


def test_newer_image_is_told_of_and_changes_nothing(cloud: m.Cloud, name: str) -> None:
    image = {"image": OLDER, "image_project": m.IMAGES, "type": "pd-balanced"}
    made = cloud.ok("gce_instance", **m.machine(name, boot_disk=image))
    records = {one["key"]: one["value"] for one in made["instance"]["metadata"]["items"]}
    assert records["gce-vllm-image"] == f"{m.IMAGES}/{OLDER}"
    assert records["gce-vllm-image-id"] == disks(cloud)[name]["sourceImageId"]
    for boot_disk in (image, boot(size_gb=None)):
        for check in (True, False):
            options = m.machine(name, boot_disk=boot_disk)
            seen = cloud.ok("gce_instance", check=check, **options)
            assert (seen["changed"], seen["newer_image"]) == (False, NEWER)


def test_newer_image_of_an_instance_without_records(cloud: m.Cloud, name: str) -> None:
    image = {"image": OLDER, "image_project": m.IMAGES, "type": "pd-balanced"}
    options = m.machine(name, boot_disk=image)
    cloud.ok("gce_instance", **options)
    records = ("gce-vllm-image", "gce-vllm-image-family", "gce-vllm-image-id")
    cloud.ok("gce_instance", zone=m.ZONE, name=name, metadata=dict.fromkeys(records))
    seen = cloud.ok("gce_instance", **m.machine(name, boot_disk=boot(size_gb=None)))
    assert (seen["changed"], seen["newer_image"]) == (False, NEWER)


def test_newest_image_is_nothing_to_tell_of(cloud: m.Cloud, name: str) -> None:
    cloud.ok("gce_instance", **m.machine(name))
    assert cloud.ok("gce_instance", **m.machine(name))["newer_image"] is None
