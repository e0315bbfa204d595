# SPDX-License-Identifier: Apache-2.0
"""Changes to an existing instance: labels, tags, metadata, machine type, scheduling and more.

A change is checked with the request and takes effect in its operation, so a client that does not
wait sees the old state.
"""

from __future__ import annotations

from collections.abc import Callable

from emulator.errors import ApiError, Json, condition_not_met, invalid, must_be_stopped
from emulator.handlers import machines_sync
from emulator.handlers.addresses import mark_users
from emulator.handlers.instance_insert import (
    access_config,
    metadata_resource,
    service_accounts,
    tag_resource,
)
from emulator.request.call import Call, handles
from emulator.rules import instances, local_ssds
from emulator.rules import resources as rules
from emulator.world import catalog_data as data
from emulator.world import fingerprints
from emulator.world.references import Ref, last, link
from emulator.world.world import key_of

Change = Callable[[Json], None]


def apply_change(
    call: Call,
    kind: str,
    change: Change,
    after: Callable[[Ref], None] = lambda _ref: None,
    parameter: str = "instance",
) -> Json:
    """Tries a change on a copy, then begins the operation that makes it.

    Args:
        after: what follows from it, in the same operation.
    """
    call.check_scope()
    ref = call.ref("instances", call.params[parameter])
    instance = call.world.get(ref)
    change(call.world.get(ref))

    def work() -> None:
        with call.world.store.transaction():
            current = call.world.get(ref)
            change(current)
            call.world.store.put(ref, current)
        after(ref)

    return call.begin(kind, ref, instance, work)


def _check(given: str | None, current: str, optional: bool, message: str) -> None:
    if given is None and optional:
        return
    if not fingerprints.same(given or "", current):
        raise condition_not_met(message)


@handles("instances.setLabels")
def set_labels(call: Call) -> Json:
    """Replaces the labels."""
    labels = call.body.get("labels", {})
    rules.labels(labels)

    def change(instance: Json) -> None:
        _check(
            call.body.get("labelFingerprint"),
            instance["labelFingerprint"],
            False,
            "Labels fingerprint either invalid or resource labels have changed",
        )
        instance["labels"] = labels
        if not labels:
            del instance["labels"]
        instance["labelFingerprint"] = fingerprints.of(labels)

    return apply_change(call, "setLabels", change)


@handles("instances.setTags")
def set_tags(call: Call) -> Json:
    """Replaces the network tags; firewall rules that go by them follow."""
    items = sorted(set(call.body.get("items", [])))
    rules.tags(items, "resource.items")

    def change(instance: Json) -> None:
        _check(
            call.body.get("fingerprint"),
            instance["tags"]["fingerprint"],
            False,
            "Supplied fingerprint does not match current tags fingerprint.",
        )
        instance["tags"] = tag_resource(items)

    return apply_change(
        call, "setTags", change, lambda _ref: call.world.sync_firewalls(call.project)
    )


@handles("instances.setMetadata")
def set_metadata(call: Call) -> Json:
    """Replaces the metadata; the machine's guest agent sees it."""
    items = call.body.get("items", [])
    rules.metadata(items, "resource.items")

    def change(instance: Json) -> None:
        _check(
            call.body.get("fingerprint"),
            instance["metadata"]["fingerprint"],
            "items" not in instance["metadata"],
            "Supplied fingerprint does not match current metadata fingerprint.",
        )
        instance["metadata"] = metadata_resource(items)

    return apply_change(
        call,
        "setMetadata",
        change,
        lambda ref: machines_sync.apply_metadata(call.world, key_of(ref)),
    )


def _need_stopped(instance: Json, ref_text: str, what: str) -> None:
    if instance["status"] != "TERMINATED":
        raise must_be_stopped(ref_text, what)


@handles("instances.setMachineType")
def set_machine_type(call: Call) -> Json:
    """Changes the machine type of a stopped instance; bundled GPUs come and go with it."""
    rules.need(call.body, "machineType")
    call.check_scope()
    name = instances.machine_type(
        call.body["machineType"], call.project, call.zone, "resource.machineType"
    )

    def change(instance: Json) -> None:
        _need_stopped(instance, instance["name"], "machine type")
        local_ssds.refuse_other_machine(instance)
        before = data.machine(last(instance["machineType"]))
        bundled = before.gpus if before else None
        asked = [] if bundled else instance.get("guestAccelerators", [])
        gpus = instances.accelerators(asked, name, call.project, call.zone)
        instance["scheduling"] = _scheduling(instance, instance["scheduling"], gpus, name)
        instance["machineType"] = link(f"projects/{call.project}/{call.scope}/machineTypes/{name}")
        _set_gpus(instance, gpus)

    return apply_change(call, "setMachineType", change)


@handles("instances.setMachineResources")
def set_machine_resources(call: Call) -> Json:
    """Changes the accelerators of a stopped instance."""
    call.check_scope()

    def change(instance: Json) -> None:
        _need_stopped(instance, instance["name"], "accelerators")
        name = last(instance["machineType"])
        asked = call.body.get("guestAccelerators", [])
        gpus = instances.accelerators(asked, name, call.project, call.zone)
        _scheduling(instance, instance["scheduling"], gpus)
        _set_gpus(instance, gpus)

    return apply_change(call, "setMachineResources", change)


def _set_gpus(instance: Json, gpus: list[Json]) -> None:
    instance.pop("guestAccelerators", None)
    if gpus:
        instance["guestAccelerators"] = gpus


@handles("instances.setScheduling")
def set_scheduling(call: Call) -> Json:
    """Replaces the scheduling of a stopped instance as a whole: what is left out has its default.

    That "you can only call this method on a stopped instance" is in the discovery document. That
    the message is taken whole is assumed: Google's pages don't say, and Terraform sends all of it.
    """
    asked = dict(call.body)
    if "provisioningModel" in asked:
        asked.setdefault("preemptible", asked["provisioningModel"] == "SPOT")

    def change(instance: Json) -> None:
        _need_stopped(instance, instance["name"], "scheduling")
        instance["scheduling"] = _scheduling(instance, asked, instance.get("guestAccelerators", []))

    return apply_change(call, "setScheduling", change)


def _scheduling(instance: Json, asked: Json, gpus: list[Json], machine_type: str = "") -> Json:
    name = machine_type or last(instance["machineType"])
    return instances.scheduling(asked, name, gpus, local_ssd=bool(local_ssds.of(instance)))


@handles("instances.setServiceAccount")
def set_service_account(call: Call) -> Json:
    """Changes service account and scopes of a stopped instance."""
    given = [call.body] if call.body.get("email") else []
    accounts = service_accounts(call.world, call.project, given)

    def change(instance: Json) -> None:
        _need_stopped(instance, instance["name"], "service account")
        instance.pop("serviceAccounts", None)
        if accounts:
            instance["serviceAccounts"] = accounts

    return apply_change(
        call, "SetServiceAccount", change, lambda _ref: call.world.sync_firewalls(call.project)
    )


@handles("instances.setDeletionProtection")
def set_deletion_protection(call: Call) -> Json:
    """Protects against deletion, or no longer."""

    def change(instance: Json) -> None:
        instance["deletionProtection"] = call.params.get("deletionProtection", True)

    return apply_change(call, "setDeletionProtection", change, parameter="resource")


@handles("instances.updateShieldedInstanceConfig")
def update_shielded(call: Call) -> Json:
    """Changes Shielded VM options of a stopped instance."""

    def change(instance: Json) -> None:
        _need_stopped(instance, instance["name"], "Shielded VM configuration")
        instance["shieldedInstanceConfig"] |= call.body

    return apply_change(call, "updateShieldedInstanceConfig", change)


def _interface(instance: Json, name: str) -> Json:
    interfaces: list[Json] = instance["networkInterfaces"]
    for interface in interfaces:
        if interface["name"] == name:
            return interface
    raise invalid("networkInterface", name, "The instance has no such interface.")


@handles("instances.addAccessConfig")
def add_access_config(call: Call) -> Json:
    """Gives an interface an external address."""
    name = call.params["networkInterface"]

    def change(instance: Json) -> None:
        interface = _interface(instance, name)
        if interface.get("accessConfigs"):
            raise ApiError(
                400, "invalid", f"At most one access config currently supported ({name} has one)."
            )
        interface["accessConfigs"] = [access_config(call, call.body, "resource")]
        if instance["status"] == "RUNNING":
            machines_sync.give_addresses(call.world, instance)

    return apply_change(call, "addAccessConfig", change, lambda ref: _addresses_changed(call, ref))


@handles("instances.deleteAccessConfig")
def delete_access_config(call: Call) -> Json:
    """Takes an interface's external address away."""
    name, config = call.params["networkInterface"], call.params["accessConfig"]

    def change(instance: Json) -> None:
        interface = _interface(instance, name)
        found = [a for a in interface.get("accessConfigs", []) if a["name"] == config]
        if not found:
            raise invalid("accessConfig", config, f"{name} has no such access config.")
        del interface["accessConfigs"]

    return apply_change(
        call, "deleteAccessConfig", change, lambda ref: _addresses_changed(call, ref)
    )


def _addresses_changed(call: Call, ref: Ref) -> None:
    with call.world.store.transaction():
        for _, address in call.world.store.items("addresses", ref.project):
            mark_users(call, address["address"])
    call.world.sync_firewalls(ref.project)
