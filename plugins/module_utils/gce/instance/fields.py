# SPDX-License-Identifier: Apache-2.0
"""An instance as flat fields: from options, and from the API's resource. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...diff import Flat
from ...errors import GceError
from ...hardware import machine_types
from .. import naming
from ..disk import fields as further_disks
from . import image_record

RESERVATION_KEY = "compute.googleapis.com/reservation-name"
AFFINITY = {"any": "ANY_RESERVATION", "none": "NO_RESERVATION", "specific": "SPECIFIC_RESERVATION"}

SCHEDULING = {
    "provisioning_model": "provisioningModel",
    "instance_termination_action": "instanceTerminationAction",
    "on_host_maintenance": "onHostMaintenance",
    "automatic_restart": "automaticRestart",
}
SHIELDED = {
    "secure_boot": "enableSecureBoot",
    "vtpm": "enableVtpm",
    "integrity_monitoring": "enableIntegrityMonitoring",
}


def view(
    resource: Mapping[str, Any],
    project: str,
    disk: Mapping[str, Any] | None = None,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Flat fields of an instance as Google has it.

    Args:
        disk: the boot disk's own resource, which alone knows its image, type and performance.
        more: name to resource of further disks, attached or not.
    """
    fields: dict[str, Any] = {
        "machine_type": machine_types.canonical(naming.short(str(resource.get("machineType", "")))),
        "accelerators": accelerators(resource.get("guestAccelerators")),
        "deletion_protection": bool(resource.get("deletionProtection", False)),
        "status": resource.get("status"),
        "reservation_affinity": _affinity(resource.get("reservationAffinity") or {}),
        "resource_policies": sorted(map(naming.short, resource.get("resourcePolicies") or [])),
        **_boot_view(boot_disk(resource), disk or {}, project),
        **further_disks.view(resource, more or {}, project),
        **_interface_view(resource, project),
        **_marks_view(resource),
    }
    for account in (resource.get("serviceAccounts") or [])[:1]:
        fields["service_account.email"] = account.get("email")
        fields["service_account.scopes"] = sorted(account.get("scopes") or [])
    scheduling = resource.get("scheduling") or {}
    _named(fields, "scheduling", SCHEDULING, scheduling)
    if scheduling.get("maxRunDuration"):
        seconds = int(scheduling["maxRunDuration"].get("seconds") or 0)
        fields["scheduling.max_run_duration"] = seconds
    at_stop = scheduling.get("onInstanceStopAction") or {}
    if at_stop.get("discardLocalSsd") is not None:
        fields["discard_local_ssd"] = at_stop["discardLocalSsd"]
    fields.setdefault("scheduling.provisioning_model", "STANDARD")
    _named(fields, "shielded", SHIELDED, resource.get("shieldedInstanceConfig") or {})
    return fields


def _boot_view(boot: Mapping[str, Any], disk: Mapping[str, Any], project: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if boot:
        fields["boot_disk.auto_delete"] = bool(boot.get("autoDelete"))
    if boot.get("diskSizeGb"):
        fields["boot_disk.size_gb"] = int(boot["diskSizeGb"])
    if disk:
        fields["boot_disk.size_gb"] = int(disk["sizeGb"])
        fields["boot_disk.type"] = naming.short(str(disk.get("type", "")))
        if disk.get("sourceImage"):
            fields["boot_disk.image"] = naming.image_reference(str(disk["sourceImage"]), project)
        fields.update(further_disks.performance(disk, "boot_disk"))
    return fields


def _interface_view(resource: Mapping[str, Any], project: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for interface in (resource.get("networkInterfaces") or [])[:1]:
        fields["network"] = naming.reference(str(interface.get("network", "")), project)
        if interface.get("subnetwork"):
            fields["subnetwork"] = naming.reference(str(interface["subnetwork"]), project)
        fields["external_ip"] = bool(interface.get("accessConfigs"))
        for access in interface.get("accessConfigs") or []:
            if access.get("natIP"):
                fields["address"] = access["natIP"]
    return fields


def _marks_view(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Tags, labels, metadata, and the image family that metadata records."""
    fields: dict[str, Any] = {}
    for tag in (resource.get("tags") or {}).get("items") or []:
        fields[f"tags.{tag}"] = True
    for key, value in (resource.get("labels") or {}).items():
        fields[f"labels.{key}"] = value
    metadata = naming.items_to_dict((resource.get("metadata") or {}).get("items"))
    fields.update({f"metadata.{key}": value for key, value in metadata.items()})
    if image_record.FAMILY in metadata:
        fields["boot_disk.image_family"] = metadata[image_record.FAMILY]
    return fields


def _affinity(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The API's reservationAffinity as `{type, reservations}`."""
    theirs = entry.get("consumeReservationType") or "ANY_RESERVATION"
    kind = next((ours for ours, name in AFFINITY.items() if name == theirs), str(theirs))
    return {"type": kind, "reservations": sorted(entry.get("values") or [])}


def _named(fields: dict[str, Any], group: str, names: Mapping[str, str], source: Flat) -> None:
    for ours, theirs in names.items():
        if source.get(theirs) is not None:
            fields[f"{group}.{ours}"] = source[theirs]


def accelerators(entries: Any) -> list[dict[str, Any]]:
    """The API's guestAccelerators as `[{type, count}]`, in order of type."""
    found = [
        {
            "type": naming.short(str(entry.get("acceleratorType", ""))),
            "count": int(entry.get("acceleratorCount", 0)),
        }
        for entry in entries or []
    ]
    return sorted(found, key=lambda one: str(one["type"]))


def boot_disk(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The attached disk that the instance boots from; {} where there is none."""
    return next((dict(disk) for disk in resource.get("disks") or [] if disk.get("boot")), {})


def desired(params: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Flat fields that the options name; None for a label or metadata key that should go.

    Raises:
        GceError: options that contradict each other.
    """
    fields: dict[str, Any] = {}
    for name in ("machine_type", "deletion_protection", "discard_local_ssd"):
        if params[name] is not None:
            fields[name] = params[name]
    if fields.get("machine_type"):
        fields["machine_type"] = machine_types.canonical(fields["machine_type"])
    fields.update(_desired_external(params))
    for name in ("network", "subnetwork"):
        if params[name]:
            fields[name] = naming.reference(params[name], project)
    fields.update(_shared_subnetwork(fields, params))
    if params["accelerators"] is not None:
        fields["accelerators"] = sorted(
            (
                {"type": naming.short(one["type"]), "count": one["count"]}
                for one in params["accelerators"]
            ),
            key=lambda one: str(one["type"]),
        )
    fields.update(_desired_marks(params))
    fields.update(_desired_groups(params))
    fields.update(_desired_boot(params["boot_disk"] or {}, project))
    fields.update(further_disks.desired(params["disks"], project))
    return _without_bundled(fields, params)


def _shared_subnetwork(fields: Flat, params: Mapping[str, Any]) -> dict[str, Any]:
    """A subnetwork by name is in the project of its network, which may be another's."""
    network, name = fields.get("network", ""), fields.get("subnetwork", "")
    if "/" not in network or not name or "/" in name or not params.get("zone"):
        return {}
    home, region = network.split("/")[1], naming.region_of(str(params["zone"]))
    return {"subnetwork": f"projects/{home}/regions/{region}/subnetworks/{name}"}


def _desired_marks(params: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {f"tags.{tag}": True for tag in params["tags"] or []}
    for tag in params["absent_tags"] or []:
        if f"tags.{tag}" in fields:
            raise GceError(
                f"The instance {params['name']} can't be made so: tags and absent_tags both have "
                f"{tag}.",
                reason="badCombination",
                remedy="leave it out of one of the two.",
            )
        fields[f"tags.{tag}"] = None
    for group in ("labels", "metadata"):
        for key, value in (params[group] or {}).items():
            fields[f"{group}.{key}"] = None if value is None else _text(value)
    if params["resource_policies"] is not None:
        fields["resource_policies"] = sorted(set(map(naming.short, params["resource_policies"])))
    return fields


def _desired_groups(params: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for group in ("scheduling", "shielded", "service_account"):
        for name, value in (params[group] or {}).items():
            if value is not None:
                fields[f"{group}.{name}"] = value
    if fields.get("scheduling.max_run_duration") == 0:
        fields["scheduling.max_run_duration"] = None
    if fields.get("service_account.email") == "":  # none, which has no scopes either
        fields["service_account.email"] = fields["service_account.scopes"] = None
    elif "service_account.scopes" in fields:
        scopes = fields["service_account.scopes"]
        fields["service_account.scopes"] = sorted(map(naming.scope, scopes))
    if params["reservation_affinity"]:
        asked = params["reservation_affinity"]
        reservations = sorted(asked["reservations"] or [])
        fields["reservation_affinity"] = {"type": asked["type"], "reservations": reservations}
    return fields


def keep_other_keys(desired: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """SSH keys are a list within one metadata value: lines that others added stay."""
    field = "metadata.ssh-keys"
    lines, there = desired.get(field), current.get(field)
    if not lines or not there:
        return dict(desired)
    return {**desired, field: with_lines(str(there), str(lines))}


def with_lines(there: str, more: str) -> str:
    """The lines that are there, and after them those of `more` that are not."""
    lines = there.splitlines()
    lines += [line for line in more.splitlines() if line not in lines]
    return "\n".join(lines)


def _desired_external(params: Mapping[str, Any]) -> dict[str, Any]:
    address, external = params["address"], params["external_ip"]
    if address and external is False:
        raise GceError(
            f"The instance {params['name']} can't be made so: address is {address}, but "
            "external_ip is false.",
            reason="badCombination",
            remedy="leave out one of the two.",
        )
    if address:  # which says as much as external_ip
        return {"address": address}
    return {} if external is None else {"external_ip": external}


def _text(value: Any) -> str:
    # Labels and metadata are text; YAML's true would become Python's spelling of it.
    return str(value).lower() if isinstance(value, bool) else str(value)


def _desired_boot(options: Mapping[str, Any], project: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    image_project = options.get("image_project") or project
    if options.get("image"):
        fields["boot_disk.image"] = naming.image_reference(options["image"], image_project)
    if options.get("image_family"):
        fields["boot_disk.image_family"] = f"{image_project}/{options['image_family']}"
    for name in ("size_gb", "type", "provisioned_iops", "provisioned_throughput"):
        if options.get(name):
            fields[f"boot_disk.{name}"] = options[name]
    if options.get("auto_delete") is not None:
        fields["boot_disk.auto_delete"] = options["auto_delete"]
    return fields


def _without_bundled(fields: dict[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Accelerators that come with the machine type are not fields of their own."""
    machine = fields.get("machine_type", "")
    if not fields.get("accelerators") or not machine_types.bundles_gpus(machine):
        return fields
    if machine_types.bundled(machine) and fields["accelerators"] != machine_types.bundled(machine):
        problem = machine_types.combination_problem({"name": machine}, fields["accelerators"])
        raise GceError(
            f"The instance {params['name']} can't be made so: {problem}.",
            reason="badCombination",
            remedy="correct machine_type or accelerators.",
        )
    return {field: value for field, value in fields.items() if field != "accelerators"}


def addresses(resource: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Internal and external address of the first interface; None where there is none."""
    interface: Mapping[str, Any] = next(iter((resource or {}).get("networkInterfaces") or []), {})
    access: Mapping[str, Any] = next(iter(interface.get("accessConfigs") or []), {})
    return {"internal": interface.get("networkIP"), "external": access.get("natIP") or None}
