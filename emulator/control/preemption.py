# SPDX-License-Identifier: Apache-2.0
"""Compute Engine takes a Spot instance back."""

from __future__ import annotations

from emulator.control import system_operations
from emulator.errors import Json, invalid, not_ready
from emulator.handlers import machines_sync
from emulator.handlers.instance_power import halt, remove
from emulator.request.call import Call
from emulator.world.references import Ref
from emulator.world.world import World, key_of

OPERATION = "compute.instances.preempted"
_MESSAGE = "Instance was preempted."


def preempt(world: World, project: str, zone: str, name: str) -> Json:
    """Begins the preemption of a running Spot instance; its machine really stops.

    Its termination action says whether it is then TERMINATED or gone.

    Raises:
        ApiError: there is no such instance, it does not run, or it is no Spot instance.
    """
    call = Call(world, OPERATION, {"project": project, "zone": zone}, {}, "system")
    ref = Ref(project, f"zones/{zone}", "instances", name)
    with world.store.transaction():
        instance = world.get(ref)
        scheduling = instance.get("scheduling", {})
        if not (scheduling.get("preemptible") or scheduling.get("provisioningModel") == "SPOT"):
            raise invalid("instance", name, "Only Spot instances are preempted.")
        if instance["status"] != "RUNNING":
            raise not_ready(ref.path)
        machines_sync.set_status(world, key_of(ref), "STOPPING", _MESSAGE)
        goes = scheduling.get("instanceTerminationAction") == "DELETE"
        return system_operations.begin(
            world,
            ref,
            instance,
            OPERATION,
            _MESSAGE,
            user=call.user,
            work=lambda: _delete(call, ref) if goes else halt(world, ref),
        )


def _delete(call: Call, ref: Ref) -> None:
    world, key = call.world, key_of(ref)
    with world.machine(key):
        if world.store.get(ref) is None:
            return
        world.backend.delete(key)
        with world.store.transaction():
            remove(call, ref)
        world.forget_machine(key)
    world.sync_firewalls(ref.project)
