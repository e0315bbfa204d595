# SPDX-License-Identifier: Apache-2.0
"""An instance as flat fields: from options, from the API's resource, and to a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import convert, machine_types
from .diff import Flat, How, under
from .errors import GceError

# Written at creation: what the boot disk was made from, so that a newer image in the same family is
# not mistaken for a change.
FAMILY_RECORD = "gce-vllm-image-family"
IMAGE_RECORD = "gce-vllm-image"

_NEEDS_STOP = frozenset({"machine_type", "accelerators"})
_NEEDS_RECREATE = frozenset(
    {
        "boot_disk.image",
        "boot_disk.image_family",
        "boot_disk.type",
        "network",
        "subnetwork",
        "scheduling.provisioning_model",
    }
)
_STOP_GROUPS = ("service_account.", "shielded.", "scheduling.")
_SCHEDULING = {
    "provisioning_model": "provisioningModel",
    "instance_termination_action": "instanceTerminationAction",
    "on_host_maintenance": "onHostMaintenance",
    "automatic_restart": "automaticRestart",
}
_SHIELDED = {
    "secure_boot": "enableSecureBoot",
    "vtpm": "enableVtpm",
    "integrity_monitoring": "enableIntegrityMonitoring",
}


def how(field: str, before: Any, after: Any) -> How:
    """What it takes to change a field of an instance that exists."""
    if field == "machine_type" and _other_bundle(str(before), str(after)):
        return "recreate"
    if field == "boot_disk.size_gb":
        return "live" if after > (before or 0) else "recreate"
    if field in _NEEDS_RECREATE:
        return "recreate"
    if field in _NEEDS_STOP or field.startswith(_STOP_GROUPS):
        return "stop"
    return "live"


def _other_bundle(before: str, after: str) -> bool:
    """GPUs that come with the series can't be swapped by changing the type."""
    bundled = machine_types.bundles_gpus(before) or machine_types.bundles_gpus(after)
    return bundled and machine_types.series(before) != machine_types.series(after)


def view(
    resource: Mapping[str, Any], project: str, disk: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Flat fields of an instance as Google has it.

    Args:
        disk: the boot disk's own resource, which alone knows its image and type.
    """
    fields: dict[str, Any] = {
        "machine_type": convert.short(str(resource.get("machineType", ""))),
        "accelerators": accelerators(resource.get("guestAccelerators")),
        "deletion_protection": bool(resource.get("deletionProtection", False)),
        "status": resource.get("status"),
    }
    boot = boot_disk(resource)
    if boot.get("diskSizeGb"):
        fields["boot_disk.size_gb"] = int(boot["diskSizeGb"])
    if disk:
        fields["boot_disk.size_gb"] = int(disk["sizeGb"])
        fields["boot_disk.type"] = convert.short(str(disk.get("type", "")))
        if disk.get("sourceImage"):
            fields["boot_disk.image"] = convert.image_reference(str(disk["sourceImage"]), project)
    for interface in (resource.get("networkInterfaces") or [])[:1]:
        fields["network"] = convert.reference(str(interface.get("network", "")), project)
        if interface.get("subnetwork"):
            fields["subnetwork"] = convert.reference(str(interface["subnetwork"]), project)
        fields["external_ip"] = bool(interface.get("accessConfigs"))
        for access in interface.get("accessConfigs") or []:
            if access.get("natIP"):
                fields["address"] = access["natIP"]
    for tag in (resource.get("tags") or {}).get("items") or []:
        fields[f"tags.{tag}"] = True
    for key, value in (resource.get("labels") or {}).items():
        fields[f"labels.{key}"] = value
    metadata = convert.items_to_dict((resource.get("metadata") or {}).get("items"))
    fields.update({f"metadata.{key}": value for key, value in metadata.items()})
    if FAMILY_RECORD in metadata:
        fields["boot_disk.image_family"] = metadata[FAMILY_RECORD]
    for account in (resource.get("serviceAccounts") or [])[:1]:
        fields["service_account.email"] = account.get("email")
        fields["service_account.scopes"] = sorted(account.get("scopes") or [])
    _named(fields, "scheduling", _SCHEDULING, resource.get("scheduling") or {})
    fields.setdefault("scheduling.provisioning_model", "STANDARD")
    _named(fields, "shielded", _SHIELDED, resource.get("shieldedInstanceConfig") or {})
    return fields


def _named(fields: dict[str, Any], group: str, names: Mapping[str, str], source: Flat) -> None:
    for ours, theirs in names.items():
        if source.get(theirs) is not None:
            fields[f"{group}.{ours}"] = source[theirs]


def accelerators(entries: Any) -> list[dict[str, Any]]:
    """The API's guestAccelerators as `[{type, count}]`, in order of type."""
    found = [
        {
            "type": convert.short(str(entry.get("acceleratorType", ""))),
            "count": int(entry.get("acceleratorCount", 0)),
        }
        for entry in entries or []
    ]
    return sorted(found, key=lambda one: str(one["type"]))


def boot_disk(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The attached disk that the instance boots from; {} where there is none."""
    return next((dict(disk) for disk in resource.get("disks") or [] if disk.get("boot")), {})


def wish(params: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Flat fields that the options name; None for a label or metadata key that should go.

    Raises:
        GceError: a wish that contradicts itself.
    """
    fields: dict[str, Any] = {}
    for name in ("machine_type", "deletion_protection"):
        if params[name] is not None:
            fields[name] = params[name]
    fields.update(_external_wish(params))
    for name in ("network", "subnetwork"):
        if params[name]:
            fields[name] = convert.reference(params[name], project)
    if params["accelerators"] is not None:
        fields["accelerators"] = sorted(
            (
                {"type": convert.short(one["type"]), "count": one["count"]}
                for one in params["accelerators"]
            ),
            key=lambda one: str(one["type"]),
        )
    fields.update({f"tags.{tag}": True for tag in params["tags"] or []})
    for group in ("labels", "metadata"):
        for key, value in (params[group] or {}).items():
            fields[f"{group}.{key}"] = None if value is None else _text(value)
    for group in ("scheduling", "shielded", "service_account"):
        for name, value in (params[group] or {}).items():
            if value is not None:
                fields[f"{group}.{name}"] = value
    if "service_account.scopes" in fields:
        fields["service_account.scopes"] = sorted(
            map(convert.scope, fields["service_account.scopes"])
        )
    fields.update(_boot_wish(params["boot_disk"] or {}, project))
    return _without_bundled(fields, params)


def keep_other_keys(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """SSH keys are a list within one metadata value: lines that others added stay."""
    field = "metadata.ssh-keys"
    wished, there = wanted.get(field), current.get(field)
    if not wished or not there:
        return dict(wanted)
    lines = str(there).splitlines()
    lines += [line for line in str(wished).splitlines() if line not in lines]
    return {**wanted, field: "\n".join(lines)}


def _external_wish(params: Mapping[str, Any]) -> dict[str, Any]:
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


def _boot_wish(options: Mapping[str, Any], project: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    image_project = options.get("image_project") or project
    if options.get("image"):
        fields["boot_disk.image"] = convert.image_reference(options["image"], image_project)
    if options.get("image_family"):
        fields["boot_disk.image_family"] = f"{image_project}/{options['image_family']}"
    for name in ("size_gb", "type"):
        if options.get(name):
            fields[f"boot_disk.{name}"] = options[name]
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


def with_creation_defaults(fields: Flat) -> dict[str, Any]:
    """The wish for a new instance, with what this module chooses where the caller does not.

    vTPM and integrity monitoring are on. Secure Boot is not: it refuses NVIDIA's kernel module on
    images that build it themselves, as Google's deep learning images do.
    """
    spot = fields.get("scheduling.provisioning_model") == "SPOT"
    has_gpus = bool(fields.get("accelerators")) or machine_types.bundles_gpus(
        fields["machine_type"]
    )
    defaults: dict[str, Any] = {
        "network": "default",
        "external_ip": True,
        "deletion_protection": False,
        "scheduling.provisioning_model": "STANDARD",
        "scheduling.automatic_restart": not spot,
        "scheduling.on_host_maintenance": "TERMINATE" if has_gpus or spot else "MIGRATE",
        "shielded.secure_boot": False,
        "shielded.vtpm": True,
        "shielded.integrity_monitoring": True,
    }
    if spot:
        defaults["scheduling.instance_termination_action"] = "STOP"
    if fields.get("subnetwork") and "network" not in fields:
        # The subnetwork says which network it is in.
        del defaults["network"]
    return {**defaults, **fields}


def insert_body(name: str, zone: str, project: str, fields: Flat) -> dict[str, Any]:
    """The request that makes an instance of flat fields (all values final, the image resolved)."""
    disk: dict[str, Any] = {"sourceImage": _image_path(fields["boot_disk.image"])}
    if fields.get("boot_disk.size_gb"):
        disk["diskSizeGb"] = str(fields["boot_disk.size_gb"])
    if fields.get("boot_disk.type"):
        disk["diskType"] = f"projects/{project}/zones/{zone}/diskTypes/{fields['boot_disk.type']}"
    if under(fields, "labels"):
        disk["labels"] = under(fields, "labels")
    body: dict[str, Any] = {
        "name": name,
        "machineType": f"zones/{zone}/machineTypes/{fields['machine_type']}",
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": disk}],
        "networkInterfaces": [_interface(fields, zone, project)],
        "scheduling": scheduling_body(fields),
        "deletionProtection": fields.get("deletion_protection", False),
    }
    if fields.get("accelerators") and not machine_types.bundles_gpus(fields["machine_type"]):
        body["guestAccelerators"] = accelerators_body(fields["accelerators"], zone, project)
    if under(fields, "tags"):
        body["tags"] = {"items": sorted(under(fields, "tags"))}
    if under(fields, "labels"):
        body["labels"] = under(fields, "labels")
    if under(fields, "metadata"):
        body["metadata"] = {"items": convert.dict_to_items(under(fields, "metadata"))}
    if fields.get("service_account.email"):
        body["serviceAccounts"] = [service_account_body(fields)]
    shielded = shielded_body(fields)
    if shielded:
        body["shieldedInstanceConfig"] = shielded
    return body


def _interface(fields: Flat, zone: str, project: str) -> dict[str, Any]:
    interface: dict[str, Any] = {}
    if fields.get("network"):
        network = fields["network"]
        interface["network"] = (
            network if "/" in network else f"projects/{project}/global/networks/{network}"
        )
    if fields.get("subnetwork"):
        subnetwork = fields["subnetwork"]
        region = convert.region_of(zone)
        interface["subnetwork"] = (
            subnetwork
            if "/" in subnetwork
            else f"projects/{project}/regions/{region}/subnetworks/{subnetwork}"
        )
    if fields.get("external_ip"):
        interface["accessConfigs"] = [access_config(fields.get("address"))]
    return interface


def access_config(address: str | None = None) -> dict[str, Any]:
    """The request for an external address: a reserved one, or one that lasts until the stop."""
    access = {"name": "External NAT", "type": "ONE_TO_ONE_NAT"}
    return {**access, "natIP": address} if address else access


def _image_path(image: str) -> str:
    project, name = image.split("/", 1)
    return f"projects/{project}/global/images/{name}"


def accelerators_body(
    wanted: list[dict[str, Any]], zone: str, project: str
) -> list[dict[str, Any]]:
    """`[{type, count}]` as the API's guestAccelerators."""
    return [
        {
            "acceleratorType": f"projects/{project}/zones/{zone}/acceleratorTypes/{one['type']}",
            "acceleratorCount": one["count"],
        }
        for one in wanted
    ]


def scheduling_body(fields: Flat) -> dict[str, Any]:
    """The API's scheduling; a Spot instance also wears the older flag `preemptible`."""
    group = under(fields, "scheduling")
    body = {
        theirs: group[ours] for ours, theirs in _SCHEDULING.items() if group.get(ours) is not None
    }
    if body.get("provisioningModel") == "SPOT":
        body["preemptible"] = True
    return body


def shielded_body(fields: Flat) -> dict[str, Any]:
    """The API's shieldedInstanceConfig."""
    group = under(fields, "shielded")
    return {theirs: group[ours] for ours, theirs in _SHIELDED.items() if ours in group}


def service_account_body(fields: Flat) -> dict[str, Any]:
    """The API's service account; {} for none."""
    if not fields.get("service_account.email"):
        return {}
    return {
        "email": fields["service_account.email"],
        "scopes": fields.get("service_account.scopes") or [convert.scope("cloud-platform")],
    }


def addresses(resource: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Internal and external address of the first interface; None where there is none."""
    interface: Mapping[str, Any] = next(iter((resource or {}).get("networkInterfaces") or []), {})
    access: Mapping[str, Any] = next(iter(interface.get("accessConfigs") or []), {})
    return {"internal": interface.get("networkIP"), "external": access.get("natIP") or None}
