# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, resetting and deleting instances."""

from __future__ import annotations

from emulator.errors import ApiError, Json, invalid, not_ready
from emulator.handlers import machines_sync
from emulator.handlers.addresses import mark_users
from emulator.handlers.instance_insert import capacity_failure
from emulator.request.call import Call, handles
from emulator.rules import local_ssds
from emulator.world.backend import MachineError
from emulator.world.operations import now
from emulator.world.references import Ref, parse
from emulator.world.world import World, key_of, nat_addresses

_CHANGING = {"PROVISIONING", "STAGING", "STOPPING", "SUSPENDING", "REPAIRING"}


def _instance(call: Call) -> tuple[Ref, Json]:
    call.check_scope()
    ref = call.ref("instances", call.params["instance"])
    return ref, call.world.get(ref)


@handles("instances.start")
def start(call: Call) -> Json:
    """Boots a stopped instance; a running one stays as it is."""
    ref, instance = _instance(call)
    if instance["status"] in _CHANGING:
        raise not_ready(ref.path)
    if instance["status"] == "RUNNING":
        return call.begin("start", ref, instance, lambda: None)
    if instance["status"] == "SUSPENDED":
        raise invalid("instance", ref.name, "It is suspended: resume it.")
    return _boot(call, ref, instance, "start")


def _boot(call: Call, ref: Ref, instance: Json, kind: str) -> Json:
    """Begins the operation that boots a machine which is down, where there is room for it."""
    world, before = call.world, instance["status"]
    failure = capacity_failure(world, ref, instance)
    if failure is None:
        machines_sync.set_status(world, key_of(ref), "PROVISIONING")

    def work() -> None:
        if failure is not None:
            raise failure
        try:
            machines_sync.start(world, key_of(ref))
        except MachineError as error:
            machines_sync.set_status(world, key_of(ref), before, str(error))
            raise

    return call.begin(kind, ref, instance, work)


@handles("instances.suspend")
def suspend(call: Call) -> Json:
    """Halts a running instance. Unlike Google's, its memory is not kept: it boots again."""
    ref, instance = _instance(call)
    if instance["status"] != "RUNNING":
        raise not_ready(ref.path)
    if instance.get("guestAccelerators"):
        raise invalid("instance", ref.name, "Instances with GPUs can't be suspended.")
    local_ssds.need_a_word(instance, call.params)
    machines_sync.set_status(call.world, key_of(ref), "SUSPENDING")
    return call.begin("suspend", ref, instance, lambda: halt(call.world, ref, "SUSPENDED"))


@handles("instances.resume")
def resume(call: Call) -> Json:
    """Boots a suspended instance."""
    ref, instance = _instance(call)
    if instance["status"] != "SUSPENDED":
        raise not_ready(ref.path)
    return _boot(call, ref, instance, "resume")


@handles("instances.stop")
def stop(call: Call) -> Json:
    """Shuts an instance down; ephemeral addresses are given back."""
    ref, instance = _instance(call)
    if instance["status"] in _CHANGING:
        raise not_ready(ref.path)
    if instance["status"] == "TERMINATED":
        return call.begin("stop", ref, instance, lambda: None)
    local_ssds.need_a_word(instance, call.params)
    machines_sync.set_status(call.world, key_of(ref), "STOPPING")
    return call.begin("stop", ref, instance, lambda: halt(call.world, ref))


def halt(world: World, ref: Ref, status: str = "TERMINATED") -> None:
    """Stops an instance's machine and writes its status; where that fails, what it then is."""
    key = key_of(ref)
    with world.machine(key):
        try:
            world.backend.stop(key)
        except MachineError as error:
            if world.backend.running(key):
                machines_sync.set_status(world, key, "RUNNING", str(error))
                raise
        mark_terminated(world, ref, status=status)
    world.sync_firewalls(ref.project)


def mark_terminated(
    world: World, ref: Ref, message: str | None = None, status: str = "TERMINATED"
) -> None:
    """Writes that it is down and gives ephemeral addresses back."""
    with world.store.transaction():
        instance = world.store.get(ref)
        if instance is None:
            return
        kept = {body["address"] for _, body in world.store.items("addresses", ref.project)}
        for interface in instance["networkInterfaces"]:
            for access in interface.get("accessConfigs", []):
                if access.get("natIP") not in kept:
                    access.pop("natIP", None)
        stamp = "lastSuspendedTimestamp" if status == "SUSPENDED" else "lastStopTimestamp"
        instance |= {"status": status, stamp: now()}
        if message:
            instance["statusMessage"] = message
        world.store.put(ref, instance)


@handles("instances.reset")
def reset(call: Call) -> Json:
    """Power-cycles a running instance."""
    ref, instance = _instance(call)
    if instance["status"] != "RUNNING":
        raise not_ready(ref.path)
    world = call.world

    def work() -> None:
        with world.machine(key_of(ref)):
            world.backend.reset(key_of(ref))
            machines_sync.refresh(world, key_of(ref))

    return call.begin("reset", ref, instance, work)


@handles("instances.delete")
def delete(call: Call) -> Json:
    """Removes an instance, its machine, and disks that go with it."""
    ref, instance = _instance(call)
    world = call.world
    if instance["deletionProtection"]:
        raise ApiError(
            400,
            "invalidResourceUsage",
            f"Invalid resource usage: '{ref.path}' is protected against deletion. Set "
            "deletionProtection to false first.",
        )
    if instance["status"] in _CHANGING - {"STOPPING"}:
        raise not_ready(ref.path)
    machines_sync.set_status(world, key_of(ref), "STOPPING")

    def work() -> None:
        with world.machine(key_of(ref)):
            if world.store.get(ref) is None:  # another delete was faster
                return
            world.backend.delete(key_of(ref))
            with world.store.transaction():
                remove(call, ref)
            world.forget_machine(key_of(ref))
        world.sync_firewalls(call.project)

    return call.begin("delete", ref, instance, work)


def remove(call: Call, ref: Ref) -> None:
    """Deletes an instance's record, and disks that go with it."""
    store = call.world.store
    instance = call.world.get(ref)
    store.delete(ref)
    for attached in instance["disks"]:
        if "source" not in attached:
            continue  # a local SSD is no resource of its own
        disk_ref = parse(
            attached["source"], field="source", project=ref.project, scope=ref.scope,
            collection="disks",
        )  # fmt: skip
        disk = store.get(disk_ref)
        if disk is None:
            continue
        if attached["autoDelete"]:
            store.delete(disk_ref)
        else:
            disk.pop("users", None)
            store.put(disk_ref, disk)
    for address in nat_addresses(instance):
        mark_users(call, address)
    store.put_setting(f"boot:{instance['id']}", None)
    store.put_setting(f"address:{instance['id']}", None)
