# SPDX-License-Identifier: Apache-2.0
"""When a zone, machine type or accelerator is not there: which ones are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import ApiError, GceError
from ..hardware import machine_types
from ..suggest import closest, did_you_mean, listed
from . import naming
from .client import GceClient

T = TypeVar("T")


def zone_known(client: GceClient, zone: str, ask: Callable[[], T]) -> T:
    """Do `ask`; where Google says that the zone does not exist, say which do."""
    try:
        return ask()
    except ApiError as error:
        text = error.google_message
        at_zone = error.details.get("missing") == f"{client.root}/zones/{zone}"
        if at_zone or (
            error.status in (400, 404) and "zone" in text.lower() and "unknown" in text.lower()
        ):
            raise unknown_zone(client, zone) from None
        raise


def unknown_zone(client: GceClient, zone: str) -> GceError:
    """The error for a zone that does not exist."""
    zones = [str(one["name"]) for one in client.list(f"{client.root}/zones", "list the zones")]
    region = naming.region_of(zone)
    there = sorted(name for name in zones if naming.region_of(name) == region)
    if there:
        allowed = f"Region {region} has {listed(there)}."
    else:
        regions = sorted({naming.region_of(name) for name in zones})
        allowed = f"There is no region {region} either; regions are {listed(regions, 50)}."
    return GceError(
        f"There is no zone {zone}.{did_you_mean(zone, zones)} {allowed}",
        reason="zoneNotFound",
        remedy="correct the zone (gce_zone); `gcloud compute zones list` shows all.",
        status=404,
        details={"closest": closest(zone, zones, 5), "allowed": there},
    )


def unknown_region(client: GceClient, region: str) -> GceError:
    """The error for a region that does not exist."""
    regions = sorted(
        str(one["name"]) for one in client.list(f"{client.root}/regions", "list the regions")
    )
    return GceError(
        f"There is no region {region}.{did_you_mean(region, regions)} "
        f"Regions are {listed(regions, 50)}.",
        reason="regionNotFound",
        remedy="correct the region; `gcloud compute regions list` shows all.",
        status=404,
        details={"closest": closest(region, regions, 5), "allowed": regions},
    )


def machine_type(client: GceClient, zone: str, name: str) -> dict[str, Any]:
    """The machine type's resource.

    Raises:
        GceError: no such zone, or no such type in it; names those that are.
    """
    path = f"{client.root}/zones/{zone}/machineTypes"
    what = f"look up the machine type {name} in {zone}"
    found = zone_known(client, zone, lambda: client.find(f"{path}/{name}", what))
    if found:
        return found
    types = list(client.list(path, f"list the machine types of {zone}"))
    names = [str(one["name"]) for one in types]
    with_gpus = sorted(str(one["name"]) for one in types if machine_types.gpus_of(one))
    known = (
        " The name is right, but this zone does not have it."
        if name in machine_types.BUNDLED
        else ""
    )
    raise GceError(
        f"Zone {zone} has no machine type {name}.{known or did_you_mean(name, names)} "
        f"Those with GPUs there: {listed(with_gpus, 30)}"
        f"{'; n1 types take accelerators' if any(n.startswith('n1-') for n in names) else ''}.",
        reason="machineTypeNotFound",
        remedy=f"correct the machine type, or take another zone; "
        f"`gcloud compute machine-types list --filter=name={name}` shows where it is.",
        status=404,
        details={"closest": closest(name, names, 5), "allowed": with_gpus},
    )


def accelerator_type(client: GceClient, zone: str, name: str) -> dict[str, Any]:
    """The accelerator type's resource.

    Raises:
        GceError: no such type in the zone; names those that are.
    """
    path = f"{client.root}/zones/{zone}/acceleratorTypes"
    found = client.find(f"{path}/{name}", f"look up the accelerator {name} in {zone}")
    if found:
        return found
    names = sorted(
        str(one["name"]) for one in client.list(path, f"list the accelerators of {zone}")
    )
    raise GceError(
        f"Zone {zone} has no accelerator {name}.{did_you_mean(name, names)} "
        f"It has {listed(names, 30)}.",
        reason="acceleratorNotFound",
        remedy=f"correct the accelerator, or take another zone; "
        f"`gcloud compute accelerator-types list --filter=name={name}` shows where it is.",
        status=404,
        details={"closest": closest(name, names, 5), "allowed": names},
    )


def network(client: GceClient, name: str) -> dict[str, Any]:
    """The network's resource, by name or by `projects/…` path.

    Raises:
        GceError: it does not; names those that do.
    """
    path = name if "/" in name else f"{client.root}/global/networks/{name}"
    found = client.find(path, f"look up the network {name}")
    if found:
        return found
    collection = path.rsplit("/", 1)[0]
    names = sorted(str(one["name"]) for one in client.list(collection, "list the networks"))
    raise GceError(
        f"There is no network {name}.{did_you_mean(naming.short(name), names)} "
        f"There are {listed(names)}.",
        reason="networkNotFound",
        remedy="correct the network, or make it first (`gcloud compute networks create`).",
        status=404,
        details={"closest": closest(naming.short(name), names, 5), "allowed": names},
    )


def machine_with(
    client: GceClient, zone: str, name: str, wanted: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The machine type's resource and the GPUs that an instance of it with `wanted` has.

    Args:
        wanted: accelerators asked for, `[{type, count}]`; may be empty.

    Raises:
        GceError: something does not exist in the zone, or they don't go together.
    """
    machine = machine_type(client, zone, name)
    bundled = machine_types.gpus_of(machine)
    if not wanted or wanted == bundled:
        return machine, bundled
    cards = [accelerator_type(client, zone, str(one["type"])) for one in wanted]
    most = cards[0].get("maximumCardsPerInstance")
    problem = machine_types.combination_problem(machine, wanted, most)
    if problem:
        raise GceError(
            f"Machine type and accelerator don't go together: {problem}.",
            reason="badCombination",
            remedy="correct the machine type or the accelerator.",
        )
    return machine, bundled or wanted
