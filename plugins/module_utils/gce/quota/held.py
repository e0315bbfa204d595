# SPDX-License-Identifier: Apache-2.0
"""What a planned instance has taken already of the quota that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...hardware import machine_types
from .. import naming
from ..client import GceClient
from ..instance import fields as instance_fields
from ..instance import image_record
from ..network import addresses
from . import headroom as quota
from .needs import draws_none, draws_preemptible, quota_needs

GONE = frozenset({"TERMINATED", "STOPPED", "SUSPENDED"})
Json = dict[str, Any]


def held(
    client: GceClient,
    name: str,
    there: str,
    zone: str,
    *,
    more_disks: Iterable[Mapping[str, Any]],
    static: bool,
) -> dict[str, int]:
    """Metric to amount: of the instance in zone `there`, where there is one, and of those of its
    further disks that exist where it is planned.

    A stopped instance holds its disks and a reserved address, and no machine. One in another region
    holds nothing of this region's.

    Args:
        zone: where the instance is planned.
        more_disks: further disks of the plan, each with a `name`.
        static: whether its address is to be a reserved one, so that it matters if it is.
    """
    what = f"read the instance {name} in {there}, whose quota counts"
    instance = client.find(f"{client.root}/zones/{there}/instances/{name}", what)
    near = naming.region_of(there) == naming.region_of(zone)
    paths = {f"{client.root}/zones/{zone}/disks/{one['name']}" for one in more_disks if _named(one)}
    recorded: dict[str, Json] = {}
    if instance and near:
        attached = [one for one in instance.get("disks") or [] if one.get("source")]
        paths |= {naming.relative(str(one["source"])) for one in attached}
        recorded = _recorded(instance, attached)
    disks = list(recorded.values()) + [
        {"size_gb": int(disk["sizeGb"]), "type": naming.short(str(disk["type"]))}
        for path in sorted(paths - recorded.keys())
        if (disk := client.find(path, f"read the disk {naming.short(path)}, whose quota counts"))
    ]
    if instance is None or not near:
        needs = quota_needs({}, [], more_disks=disks) | {"INSTANCES": 0}
        if instance is not None:
            everywhere = _drawn(client, there, instance)
            needs |= {one: n for one, n in everywhere.items() if quota.is_global(one)}
        return needs
    external = instance_fields.addresses(instance)["external"]
    if static and external:
        static = addresses.find(client, naming.region_of(there), external) is not None
    of_the_rest = quota_needs(
        {},
        [],
        more_disks=disks,
        external_ip=bool(external),
        static_address=static and bool(external),
    )
    return _drawn(client, there, instance) | of_the_rest


def beside(needs: Mapping[str, int], taken: Mapping[str, int]) -> dict[str, int]:
    """What is needed more than is held; every metric of `needs` is in it."""
    return {metric: max(0, amount - taken.get(metric, 0)) for metric, amount in needs.items()}


def _recorded(instance: Json, attached: Iterable[Mapping[str, Any]]) -> dict[str, Json]:
    """Path to size and type of the disks that the instance itself tells all of."""
    metadata = naming.items_to_dict((instance.get("metadata") or {}).get("items"))
    found: dict[str, Json] = {}
    for one in attached:
        kind = image_record.recorded_type(metadata, str(one["source"])) if one.get("boot") else ""
        if kind and one.get("diskSizeGb"):
            path = naming.relative(str(one["source"]))
            found[path] = {"size_gb": int(one["diskSizeGb"]), "type": kind}
    return found


def _named(disk: Mapping[str, Any]) -> bool:
    return bool(disk.get("name"))


def _drawn(client: GceClient, zone: str, instance: Mapping[str, Any]) -> dict[str, int]:
    """What its machine draws on, as long as it runs."""
    if instance.get("status") in GONE:
        return {}
    name = naming.short(str(instance.get("machineType", "")))
    path = f"{client.root}/zones/{zone}/machineTypes/{name}"
    machine = client.find(path, f"read the machine type {name}") or {"name": name}
    gpus = instance_fields.accelerators(instance.get("guestAccelerators"))
    model = (instance.get("scheduling") or {}).get("provisioningModel")
    return quota_needs(
        machine,
        machine_types.bundled(name) or gpus,
        spot=draws_preemptible(str(model)),
        reserved=draws_none(str(model)),
    )
