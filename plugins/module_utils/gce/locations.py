# SPDX-License-Identifier: Apache-2.0
"""Errors for unknown or forbidden zones and regions, with those that can be used."""

from __future__ import annotations

import re

from ..errors import ApiError, GceError
from ..suggest import closest, did_you_mean, listed
from . import naming
from .asker import Asker

_UNKNOWN = re.compile(r"\bunknown (zone|region)\b", re.IGNORECASE)
_PLACE = re.compile(r"/(zones|regions)/([^/]+)(?=/|$)")


def explained(client: Asker, path: str, error: ApiError) -> GceError:
    """The error as it is, or a better one where Google refuses the zone or region in `path`.

    Google has three forms for that: 400 or 404 with 'Unknown zone', 404 with the zone's own path,
    and 403 with "Permission denied on 'locations/Z' (or it may not exist)".
    """
    kind, place = _refused(client, path, error)
    if not place:
        return error
    try:
        return _closed_or_unknown(client, kind, place, bool(error.details.get("closed")))
    except GceError:
        return error  # what could not be listed explains nothing


def _refused(client: Asker, path: str, error: ApiError) -> tuple[str, str]:
    """Kind (`zones`, `regions`) and name of what is refused; two '' for another refusal."""
    named = _PLACE.search(f"/{path}")
    if error.reason == "locationDenied":
        place = str(error.details["location"])
        if named and named[2] == place:
            return named[1], place
        return "regions" if naming.REGION.fullmatch(place) else "zones", place
    if not named or error.status not in (400, 404):
        return "", ""
    at_place = error.details.get("missing") == f"{client.root}/{named[1]}/{named[2]}"
    # A read of the zone itself answers for itself.
    itself = f"/{path}".endswith(f"/{named[1]}/{named[2]}")
    if (at_place and not itself) or _UNKNOWN.search(error.google_message):
        return named[1], named[2]
    return "", ""


def _closed_or_unknown(client: Asker, listing: str, place: str, closed: bool) -> GceError:
    kind = listing.removesuffix("s")
    names = [
        str(one["name"]) for one in client.list(f"{client.root}/{listing}", f"list the {listing}")
    ]
    if place not in names:
        return _no_region(place, names) if kind == "region" else _no_zone(place, names)
    why = "Google says so of this project" if closed else "Google refuses it, though it is listed"
    return GceError(
        f"The {kind} {place} is closed to the project {client.project}: {why}.",
        reason="locationClosed",
        remedy=f"take another {kind} (gce_zone, gce_instance_placements), or have {place} opened "
        "to the project. Ask Google's sales team or the owner of the organization's policies.",
        status=403,
        details={"location": place},
    )


def _no_zone(zone: str, zones: list[str]) -> GceError:
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


def unknown_region(client: Asker, region: str) -> GceError:
    """The error for a region that does not exist."""
    what = "list the regions"
    return _no_region(
        region, [str(one["name"]) for one in client.list(f"{client.root}/regions", what)]
    )


def _no_region(region: str, names: list[str]) -> GceError:
    regions = sorted(names)
    return GceError(
        f"There is no region {region}.{did_you_mean(region, regions)} "
        f"Regions are {listed(regions, 50)}.",
        reason="regionNotFound",
        remedy="correct the region; `gcloud compute regions list` shows all.",
        status=404,
        details={"closest": closest(region, regions, 5), "allowed": regions},
    )
