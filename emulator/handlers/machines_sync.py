# SPDX-License-Identifier: Apache-2.0
"""Brings machines up and in line with their instances: metadata, addresses, firewall."""

from __future__ import annotations

from emulator.errors import Json
from emulator.world import guest_attributes
from emulator.world.backend import MachineError, MachineKey, MachineSpec
from emulator.world.operations import now
from emulator.world.world import World, instance_ref, key_of


def apply_project_metadata(world: World, project: str) -> None:
    """Hands every running machine of a project its metadata again."""
    for ref, instance in world.store.items("instances", project):
        if instance["status"] == "RUNNING":
            apply_metadata(world, key_of(ref))


def apply_metadata(world: World, key: MachineKey) -> None:
    """Hands one machine its metadata, if it runs."""
    with world.machine(key):
        instance = world.store.get(instance_ref(key))
        if instance is not None and instance["status"] == "RUNNING":
            world.backend.apply_metadata(key, world.metadata(instance, key.project))


def create(world: World, key: MachineKey) -> None:
    """Boots a new instance's machine and marks it RUNNING.

    Raises:
        MachineError: it can't be made; the instance is left as it was.
    """
    set_status(world, key, "STAGING")
    with world.machine(key):
        instance = world.get(instance_ref(key))
        address = world.backend.create(_spec(world, key, instance))
        guest_attributes.first_boot(world.store, instance, world.metadata(instance, key.project))
        mark_running(world, key, address)
    world.sync_firewalls(key.project)


def start(world: World, key: MachineKey) -> None:
    """Boots a stopped instance's machine and marks it RUNNING; raises like create."""
    set_status(world, key, "STAGING")
    with world.machine(key):
        instance = world.get(instance_ref(key))
        address = world.backend.start(key)
        world.backend.apply_metadata(key, world.metadata(instance, key.project))
        mark_running(world, key, address)
    world.sync_firewalls(key.project)


def refresh(world: World, key: MachineKey) -> None:
    """Brings a running machine's address and firewall up to date, booting it if it is down."""
    ref = instance_ref(key)
    with world.machine(key):
        address = world.backend.start(key)
        with world.store.transaction():
            instance = world.get(ref)
            world.store.put_setting(f"address:{instance['id']}", address)
            give_addresses(world, instance)
            world.store.put(ref, instance)
        world.sync_firewall(key, force=True)
    world.sync_firewalls(key.project)


def _spec(world: World, key: MachineKey, instance: Json) -> MachineSpec:
    boot = world.store.setting(f"boot:{instance['id']}", "")
    return MachineSpec(
        key=key,
        internal_ip=instance["networkInterfaces"][0]["networkIP"],
        image=boot,
        metadata=world.metadata(instance, key.project),
    )


def mark_running(world: World, key: MachineKey, address: str | None) -> None:
    """Writes RUNNING and the external addresses, then opens the firewall as the rules say."""
    ref = instance_ref(key)
    with world.store.transaction():
        instance = world.get(ref)
        world.store.put_setting(f"address:{instance['id']}", address)
        give_addresses(world, instance)
        world.store.put(ref, instance)
    world.sync_firewall(key, force=True)
    with world.store.transaction():
        instance = world.get(ref)
        instance |= {"status": "RUNNING", "lastStartTimestamp": now()}
        instance.pop("statusMessage", None)
        world.store.put(ref, instance)


def give_addresses(world: World, instance: Json) -> None:
    """Fills in external addresses: the machine's own, else unused ones.

    Raises:
        MachineError: a reserved address is asked for, but the machine has one that can't be chosen.
    """
    own = world.store.setting(f"address:{instance['id']}")
    reserved = {body["address"] for _, body in world.store.items("addresses")}
    for interface in instance["networkInterfaces"]:
        for access in interface.get("accessConfigs", []):
            if own:
                if access.get("natIP", own) in reserved - {own}:
                    raise MachineError(
                        f"{access['natIP']} can't be given to {instance['name']}: machines that "
                        f"really boot have addresses of their own (this one {own}). Leave natIP "
                        "out, or use --backend records."
                    )
                access["natIP"] = own
            elif "natIP" not in access:
                access["natIP"] = world.external_address()


def set_status(world: World, key: MachineKey, status: str, message: str | None = None) -> None:
    """Writes an instance's status, if it is still there."""
    ref = instance_ref(key)
    with world.store.transaction():
        instance = world.store.get(ref)
        if instance is None:
            return
        instance["status"] = status
        instance.pop("statusMessage", None)
        if message:
            instance["statusMessage"] = message
        world.store.put(ref, instance)
