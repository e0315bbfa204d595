# SPDX-License-Identifier: Apache-2.0
"""Where the named disks of an instance that is to be made are already: it has to go there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import GceError
from ...suggest import listed
from .. import naming
from ..client import GceClient


def zones_for(
    client: GceClient, instance: str, zones: Sequence[str], entries: Sequence[Mapping[str, Any]]
) -> tuple[list[str], list[str]]:
    """Zones that have all those of the disks that exist anywhere, and the names of these disks.

    A disk of a zone can't be attached in another, so that an instance made elsewhere would get a
    new, empty one of the name. All zones are returned where no such disk exists.

    Args:
        zones: where the instance may be.
        entries: of the option `disks`.

    Raises:
        GceError: there is none such zone.
    """
    places = _places(client, instance, entries)
    said = listed(f"{disk} in {zone}" for disk in sorted(places) for zone in sorted(places[disk]))
    far = {disk: found for disk, found in places.items() if not found & set(zones)}
    if far:
        there = listed(f"{disk} in {zone}" for disk in sorted(far) for zone in sorted(far[disk]))
        raise GceError(
            f"Of the disks for the instance {instance} there are already {there}: none of the "
            "placements is in that zone, and disks can't follow into another. Nothing was made.",
            reason="disksElsewhere",
            remedy="add the zone to placements. To have new, empty ones instead, name them "
            f"otherwise in disks, or delete these ({_deletion(far)}).",
            details={"disks": {disk: sorted(found) for disk, found in sorted(far.items())}},
        )
    near = [zone for zone in zones if all(zone in found for found in places.values())]
    if not near:
        raise GceError(
            f"The disks for the instance {instance} are in different zones: {said}. No placement "
            "can have them all. Nothing was made.",
            reason="disksApart",
            remedy="bring them into one zone by a snapshot, or name in disks only those of one "
            "zone. Give those that may be new and empty another name.",
            details={"disks": {disk: sorted(found) for disk, found in sorted(places.items())}},
        )
    return near, sorted(places)


def _places(
    client: GceClient, instance: str, entries: Iterable[Mapping[str, Any]]
) -> dict[str, set[str]]:
    """Disk name to the zones where one is that the instance could have."""
    modes = {str(entry["name"]): entry.get("mode") for entry in entries}
    found = client.aggregated(
        f"{client.root}/aggregated/disks",
        "disks",
        f"look for the disks of the instance {instance} in all zones",
        filter=" OR ".join(f'(name = "{name}")' for name in sorted(modes)),
    )
    places: dict[str, set[str]] = {}
    for disk in found:
        name = str(disk["name"])
        # Names count per zone: one that another instance writes to is that one's own. Regional
        # disks have no zone, and are none of those that `disks` speaks of.
        others = any(
            not str(user).endswith(f"/instances/{instance}") for user in disk.get("users") or []
        )
        if name in modes and disk.get("zone") and (not others or modes[name] == "READ_ONLY"):
            places.setdefault(name, set()).add(naming.short(str(disk["zone"])))
    return places


def _deletion(places: Mapping[str, Iterable[str]]) -> str:
    disk, zone = next((disk, min(found)) for disk, found in sorted(places.items()))
    return f"`gcloud compute disks delete {disk} --zone {zone}`"
