# SPDX-License-Identifier: Apache-2.0
"""From an instance's flat fields to requests, and what a new one has by default. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...diff import Flat, under
from ...hardware import local_ssds, machine_types
from .. import naming
from ..disk import fields as further_disks
from . import carry
from .fields import AFFINITY, RESERVATION_KEY, SCHEDULING, SHIELDED

_TO_CLEAR = ("maxRunDuration", "instanceTerminationAction", "onInstanceStopAction")


def with_creation_defaults(fields: Flat) -> dict[str, Any]:
    """The desired fields of a new instance, with defaults where the caller chose none.

    vTPM and integrity monitoring are on. Secure Boot is not: it refuses NVIDIA's kernel module on
    images that build it themselves, as Google's deep learning images do.
    """
    model = fields.get("scheduling.provisioning_model")
    spot, flex, reserved = (model == one for one in ("SPOT", "FLEX_START", "RESERVATION_BOUND"))
    limited = bool(fields.get("scheduling.max_run_duration"))
    has_gpus = bool(fields.get("accelerators")) or machine_types.bundles_gpus(
        fields["machine_type"]
    )
    defaults: dict[str, Any] = {
        "network": "default",
        "external_ip": True,
        "boot_disk.auto_delete": True,
        "deletion_protection": False,
        "scheduling.provisioning_model": "STANDARD",
        "scheduling.automatic_restart": not (spot or flex or limited),
        "scheduling.on_host_maintenance": "TERMINATE"
        if has_gpus or spot or flex or limited or reserved
        else "MIGRATE",
        "shielded.secure_boot": False,
        "shielded.vtpm": True,
        "shielded.integrity_monitoring": True,
    }
    if spot or flex or limited or reserved:
        defaults["scheduling.instance_termination_action"] = "STOP"
    if flex:
        defaults["reservation_affinity"] = {"type": "none", "reservations": []}
    if fields.get("subnetwork") and "network" not in fields:
        # The subnetwork says which network it is in.
        del defaults["network"]
    return {**defaults, **further_disks.with_creation_defaults(fields)}


def insert_body(name: str, zone: str, project: str, fields: Flat) -> dict[str, Any]:
    """The request that makes an instance of flat fields (all values final, the image resolved)."""
    others = [
        further_disks.insertion(fields, other, zone, project)
        for other in further_disks.names(fields)
    ]
    body: dict[str, Any] = {
        "name": name,
        "machineType": f"zones/{zone}/machineTypes/{fields['machine_type']}",
        "disks": [_boot_disk(fields, zone, project), *others],
        "networkInterfaces": [_interface(fields, zone, project)],
        "scheduling": scheduling_body(fields, local_ssds.bundled(fields["machine_type"])),
        "deletionProtection": fields.get("deletion_protection", False),
    }
    if fields.get("accelerators") and not machine_types.bundles_gpus(fields["machine_type"]):
        body["guestAccelerators"] = accelerators_body(fields["accelerators"], zone, project)
    if under(fields, "tags"):
        body["tags"] = {"items": sorted(under(fields, "tags"))}
    if under(fields, "labels"):
        body["labels"] = under(fields, "labels")
    if under(fields, "metadata"):
        body["metadata"] = {"items": naming.dict_to_items(under(fields, "metadata"))}
    if fields.get("service_account.email"):
        body["serviceAccounts"] = [service_account_body(fields)]
    shielded = shielded_body(fields)
    if shielded:
        body["shieldedInstanceConfig"] = shielded
    if fields.get("reservation_affinity"):
        body["reservationAffinity"] = affinity_body(fields["reservation_affinity"])
    if fields.get("resource_policies"):
        body["resourcePolicies"] = [
            policy_path(policy, zone, project) for policy in fields["resource_policies"]
        ]
    return carry.into(body, fields)


def _boot_disk(fields: Flat, zone: str, project: str) -> dict[str, Any]:
    disk: dict[str, Any] = {"sourceImage": _image_path(fields["boot_disk.image"])}
    if fields.get("boot_disk.size_gb"):
        disk["diskSizeGb"] = str(fields["boot_disk.size_gb"])
    if fields.get("boot_disk.type"):
        disk["diskType"] = f"projects/{project}/zones/{zone}/diskTypes/{fields['boot_disk.type']}"
    for ours, theirs in further_disks.PERFORMANCE.items():
        if fields.get(f"boot_disk.{ours}"):
            disk[theirs] = str(fields[f"boot_disk.{ours}"])
    if under(fields, "labels"):
        disk["labels"] = under(fields, "labels")
    return {
        "boot": True,
        "autoDelete": fields.get("boot_disk.auto_delete", True),
        "initializeParams": disk,
    }


def affinity_body(desired: Mapping[str, Any]) -> dict[str, Any]:
    """`{type, reservations}` as the API's reservationAffinity."""
    body: dict[str, Any] = {"consumeReservationType": AFFINITY[desired["type"]]}
    if desired["reservations"]:
        body |= {"key": RESERVATION_KEY, "values": desired["reservations"]}
    return body


def policy_path(name: str, zone: str, project: str) -> str:
    """Path of a resource policy of the zone's region."""
    return f"projects/{project}/regions/{naming.region_of(zone)}/resourcePolicies/{name}"


def _interface(fields: Flat, zone: str, project: str) -> dict[str, Any]:
    interface: dict[str, Any] = {}
    if fields.get("network"):
        network = fields["network"]
        interface["network"] = (
            network if "/" in network else f"projects/{project}/global/networks/{network}"
        )
    if fields.get("subnetwork"):
        subnetwork = fields["subnetwork"]
        region = naming.region_of(zone)
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
    desired: list[dict[str, Any]], zone: str, project: str
) -> list[dict[str, Any]]:
    """`[{type, count}]` as the API's guestAccelerators."""
    return [
        {
            "acceleratorType": f"projects/{project}/zones/{zone}/acceleratorTypes/{one['type']}",
            "acceleratorCount": one["count"],
        }
        for one in desired
    ]


def scheduling_body(fields: Flat, local_ssd: bool) -> dict[str, Any]:
    """The API's scheduling; a Spot instance also wears the older flag `preemptible`.

    Args:
        local_ssd: whether the instance has any. Then a limit of its run time that stops it has to
            say what becomes of them.
    """
    group = under(fields, "scheduling")
    body = {
        theirs: group[ours] for ours, theirs in SCHEDULING.items() if group.get(ours) is not None
    }
    if group.get("max_run_duration"):
        body["maxRunDuration"] = {"seconds": str(group["max_run_duration"])}
    if body.get("provisioningModel") == "SPOT":
        body["preemptible"] = True
    if local_ssd and group.get("max_run_duration") and stops_at_the_limit(fields):
        discard = fields.get("discard_local_ssd") is not False
        body["onInstanceStopAction"] = {"discardLocalSsd": discard}
    return body


def stops_at_the_limit(fields: Flat) -> bool:
    """Whether the end of its run time stops the instance; else it deletes it."""
    return fields.get("scheduling.instance_termination_action") in (None, "STOP")


def scheduling_change(fields: Flat, resource: Mapping[str, Any]) -> dict[str, Any]:
    """The request that changes scheduling: all of it, with what others set, as what is left out
    may be gone then. What is to go is null, as what is left out may stay.
    """
    there = resource.get("scheduling") or {}
    body = scheduling_body(fields, bool(local_ssds.attached(resource)))
    if there.get("terminationTime") and body.get("instanceTerminationAction") == "STOP":
        body.setdefault("onInstanceStopAction", there.get("onInstanceStopAction"))
    own = {*SCHEDULING.values(), "preemptible", *_TO_CLEAR}
    kept = {theirs: value for theirs, value in there.items() if theirs not in own}
    return {**dict.fromkeys(_TO_CLEAR), **kept, **body}


def shielded_body(fields: Flat) -> dict[str, Any]:
    """The API's shieldedInstanceConfig."""
    group = under(fields, "shielded")
    return {theirs: group[ours] for ours, theirs in SHIELDED.items() if ours in group}


# What the weights in a bucket need. A token of it is no use for anything else.
DEFAULT_SCOPE = "devstorage.read_only"


def service_account_body(fields: Flat) -> dict[str, Any]:
    """The API's service account; {} for none."""
    if not fields.get("service_account.email"):
        return {}
    return {
        "email": fields["service_account.email"],
        "scopes": fields.get("service_account.scopes") or [naming.scope(DEFAULT_SCOPE)],
    }
