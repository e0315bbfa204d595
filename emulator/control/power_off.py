# SPDX-License-Identifier: Apache-2.0
"""An instance's own system shuts it down: nobody asked the API."""

from __future__ import annotations

import logging

from emulator.control import system_operations
from emulator.errors import Json, not_ready
from emulator.handlers.instance_power import halt
from emulator.world.backend import MachineKey
from emulator.world.references import Ref
from emulator.world.world import World, instance_ref

OPERATION = "compute.instances.guestTerminate"
_MESSAGE = "Instance terminated by guest OS shutdown."
_log = logging.getLogger(__name__)


def power_off(world: World, project: str, zone: str, name: str) -> Json:
    """Ends a running instance as its own system would; what Google notes of it is noted.

    Raises:
        ApiError: there is no such instance, or it does not run.
    """
    ref = Ref(project, f"zones/{zone}", "instances", name)
    instance = world.get(ref)
    if instance["status"] != "RUNNING":
        raise not_ready(ref.path)
    return _note(world, ref, instance)


def has_ended(world: World, key: MachineKey) -> None:
    """A machine is down that somebody may have stopped, or that did it itself."""
    ref = instance_ref(key)
    # Whoever stops, resets or deletes it by the API holds this while they do.
    with world.machine(key):
        instance = world.find(ref)
        if instance is None or instance["status"] != "RUNNING" or world.backend.running(key):
            return
    _log.info("%s has switched itself off", ref.path)
    _note(world, ref, instance)


def _note(world: World, ref: Ref, instance: Json) -> Json:
    with world.store.transaction():
        return system_operations.begin(
            world,
            ref,
            instance,
            OPERATION,
            _MESSAGE,
            user="system@google.com",
            work=lambda: halt(world, ref),
        )
