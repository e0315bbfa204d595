# SPDX-License-Identifier: Apache-2.0
"""Looks up machine types, accelerators and networks; an error names those that exist."""

from __future__ import annotations

from typing import Any

from ..errors import GceError
from ..hardware import machine_types
from ..suggest import closest, did_you_mean, listed
from . import naming
from .client import GceClient


def machine_type(client: GceClient, zone: str, name: str) -> dict[str, Any]:
    """The machine type's resource.

    Raises:
        GceError: no such zone, or no such type in it; names those that are.
    """
    path = f"{client.root}/zones/{zone}/machineTypes"
    what = f"look up the machine type {name} in {zone}"
    found = client.find(f"{path}/{name}", what)
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


def unseen(what: str, error: GceError) -> str:
    """What is to be said of something that this account may use, perhaps, and may not read."""
    right = error.details.get("permission") or "a right"
    where = error.details.get("permission_project") or "its project"
    return (
        f"Whether there is the {what} can't be told: this account lacks {right} on {where}. "
        "Google says so when the instance is made."
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
