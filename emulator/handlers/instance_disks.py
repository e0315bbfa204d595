# SPDX-License-Identifier: Apache-2.0
"""Disks of an instance that exists: attachDisk, detachDisk, setDiskAutoDelete."""

from __future__ import annotations

from emulator.errors import Json, in_use, invalid, required
from emulator.handlers.instance_insert import attached_disk
from emulator.handlers.instance_settings import apply_change
from emulator.request.call import Call, handles
from emulator.rules import disks
from emulator.world.references import Ref, last, parse


@handles("instances.attachDisk")
def attach_disk(call: Call) -> Json:
    """Gives an instance, running or stopped, a disk that exists."""
    source = call.body.get("source")
    if not source:
        raise required("resource.source")
    ref = _disk_ref(call, source)

    def change(instance: Json) -> None:
        disk = call.world.find(ref)
        if disk is None:
            raise invalid(
                "resource.source", source, "The referenced disk resource cannot be found."
            )
        _refuse_taken(call, ref, disk)
        kind = last(disk["type"])
        disks.fits_machine(kind, last(instance["machineType"]), "resource.source")
        index = max(int(one["index"]) for one in instance["disks"]) + 1
        attached = attached_disk(call.body, ref, disk, index)
        if attached["deviceName"] in {one["deviceName"] for one in instance["disks"]}:
            raise invalid(
                "resource.deviceName", attached["deviceName"], "Another disk has this name."
            )
        instance["disks"].append(attached)

    def after(instance_ref: Ref) -> None:
        disk = call.world.get(ref)
        users = [*disk.get("users", []), instance_ref.link]
        call.world.store.put(ref, disk | {"users": users})

    return apply_change(call, "attachDisk", change, after)


def _disk_ref(call: Call, source: str) -> Ref:
    return parse(
        source, field="resource.source", project=call.project, scope=call.scope, collection="disks"
    )


def _refuse_taken(call: Call, ref: Ref, disk: Json) -> None:
    """One instance may write to a disk; several may share one that all only read."""
    users = disk.get("users", [])
    if not users:
        return
    if call.body.get("mode") == "READ_ONLY" and all(
        one["mode"] == "READ_ONLY"
        for _, instance in call.world.store.items("instances", call.project, call.scope)
        for one in instance["disks"]
        if one.get("source") == ref.link
    ):
        return
    raise in_use(ref.path, users[0])


@handles("instances.detachDisk")
def detach_disk(call: Call) -> Json:
    """Takes a disk away; it stays, with what is on it."""
    name = call.params["deviceName"]
    gone: list[str] = []

    def change(instance: Json) -> None:
        found = [one for one in instance["disks"] if one["deviceName"] == name]
        if not found:
            raise invalid("deviceName", name, "No such disk is attached.")
        if found[0]["boot"] and instance["status"] != "TERMINATED":
            raise invalid("deviceName", name, "A running instance keeps its boot disk.")
        if found[0]["type"] == "SCRATCH":
            raise invalid("deviceName", name, "Local SSDs can't be detached.")
        gone[:] = [found[0]["source"]]
        instance["disks"] = [one for one in instance["disks"] if one is not found[0]]

    def after(instance_ref: Ref) -> None:
        ref = _disk_ref(call, gone[0])
        disk = call.world.find(ref)
        if disk is not None:
            users = [one for one in disk.pop("users", []) if one != instance_ref.link]
            call.world.store.put(ref, disk | ({"users": users} if users else {}))

    return apply_change(call, "detachDisk", change, after)


@handles("instances.setDiskAutoDelete")
def set_disk_auto_delete(call: Call) -> Json:
    """Whether a disk goes with the instance."""

    def change(instance: Json) -> None:
        for disk in instance["disks"]:
            if disk["deviceName"] == call.params["deviceName"]:
                disk["autoDelete"] = call.params["autoDelete"]
                return
        raise invalid("deviceName", call.params["deviceName"], "No such disk is attached.")

    return apply_change(call, "setDiskAutoDelete", change)
