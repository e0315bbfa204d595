# SPDX-License-Identifier: Apache-2.0
"""Looks up disk types, networks and subnetworks of a plan; an error names those that exist."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ..errors import GceError
from ..hardware import machine_types
from ..suggest import closest, did_you_mean, listed
from . import lookups, naming
from .client import GceClient

T = TypeVar("T")


def disk_goes_with(kind: str, machine_type: str) -> None:
    """Make sure that a machine takes disks of a type.

    Raises:
        GceError: it does not.
    """
    if machine_types.hyperdisk_only(machine_type) and not kind.startswith("hyperdisk-"):
        raise GceError(
            f"{machine_type} takes no {kind} disks, but Hyperdisk only.",
            reason="badCombination",
            remedy="set the disk type to hyperdisk-balanced, or take another machine type.",
        )


def disk_type(client: GceClient, zone: str, name: str) -> None:
    """Make sure that a zone has disks of a type.

    Raises:
        GceError: no such zone, or no such type in it; names those that are.
    """
    path = f"{client.root}/zones/{zone}/diskTypes"
    what = f"look up the disk type {name} in {zone}"
    if client.find(f"{path}/{name}", what):
        return
    names = sorted(str(one["name"]) for one in client.list(path, f"list the disk types of {zone}"))
    raise GceError(
        f"Zone {zone} has no disk type {name}.{did_you_mean(name, names)} It has {listed(names)}.",
        reason="diskTypeNotFound",
        remedy="correct the disk type (gce_instance_boot_disk_type), or take another zone.",
        status=404,
        details={"closest": closest(name, names, 5), "allowed": names},
    )


def network(
    client: GceClient, name: str, subnetwork: str, regions: list[str], warnings: list[str]
) -> dict[str, Any] | None:
    """The network, once it is sure that an instance in each of the regions can be in it; None where
    this account may not read it, as where single subnetworks of another project are shared with it.

    Args:
        name: '' where the subnetwork says which it is.
        warnings: takes what can't be told.

    Raises:
        GceError: there is no such network, or no such subnetwork in a region; names those that are.
    """
    found = None
    if name:
        look = partial(lookups.network, client, name)
        found = _seen(look, f"network {name}", warnings)
    home = _project_of(client, name)
    for region in regions:
        if subnetwork:
            ask = partial(_subnetwork, client, subnetwork, region, home)
            _seen(ask, f"subnetwork {subnetwork} in {region}", warnings)
        elif found is None:
            continue
        elif not found.get("autoCreateSubnetworks") and not found.get("IPv4Range"):
            there = _in_region(found, region)
            raise GceError(
                f"The network {name} has subnetworks of its own making, so an instance in {region} "
                f"has to name one. There {listed(there) if there else 'is none'}.",
                reason="subnetworkNotNamed",
                remedy="set the subnetwork (gce_instance_subnetwork)."
                if there
                else f"make a subnetwork of {name} in {region}, or take another network.",
                details={"allowed": there},
            )
    return found


def _in_region(resource: dict[str, Any], region: str) -> list[str]:
    """Names of a network's subnetworks in a region."""
    links = [naming.relative(str(one)) for one in resource.get("subnetworks") or []]
    return sorted(naming.short(link) for link in links if f"/regions/{region}/" in link)


def _seen(ask: Callable[[], T], what: str, warnings: list[str]) -> T | None:
    """What `ask` finds; None, with a warning, where it may not be read."""
    try:
        return ask()
    except GceError as error:
        if error.reason != "forbidden":
            raise
        warnings.append(lookups.unseen(what, error))
        return None


def _project_of(client: GceClient, network: str) -> str:
    """The project of a network by name or path, in which its subnetworks are too."""
    path = naming.relative(network)
    return path.split("/")[1] if path.startswith("projects/") else client.project


def _subnetwork(client: GceClient, name: str, region: str, project: str) -> None:
    collection = f"projects/{project}/regions/{region}/subnetworks"
    path = naming.relative(name) if "/" in name else f"{collection}/{name}"
    if client.find(path, f"look up the subnetwork {name}"):
        return
    collection, short = path.rsplit("/", 1)
    what = f"list the subnetworks of {region}"
    names = sorted(str(one["name"]) for one in client.list(collection, what))
    raise GceError(
        f"There is no subnetwork {name} in {region}.{did_you_mean(short, names)} "
        f"There are {listed(names)}.",
        reason="subnetworkNotFound",
        remedy="correct the subnetwork (gce_instance_subnetwork), or make it first.",
        status=404,
        details={"closest": closest(short, names, 5), "allowed": names},
    )
