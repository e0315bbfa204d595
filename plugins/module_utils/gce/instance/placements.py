# SPDX-License-Identifier: Apache-2.0
"""Where an instance may be, in order of preference, and which refusals lead to the next. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import GceError
from ...hardware import machine_types
from .. import naming

STOCKOUT = frozenset(
    {
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "zoneResourcePoolExhausted",
        "stockout",
    }
)
QUOTA = frozenset({"QUOTA_EXCEEDED", "quotaExceeded"})
# What came of an attempt, in words.
OUTCOMES = {
    "created": "created",
    "started": "started",
    "stockout": "Google has none left there",
    "quota": "the quota does not suffice",
    "not_allowed": "not tried, as it needs allow_recreate: true",
    "planned": "would be tried",
}


@dataclass(frozen=True)
class Placement:
    """One place; what is None is left to the instance's other options."""

    zone: str
    machine_type: str | None = None
    accelerators: tuple[tuple[str, int], ...] | None = None
    provisioning_model: str | None = None

    def options(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The module's options as they are for this place."""
        options = {**params, "zone": self.zone}
        if self.machine_type:
            # The accelerators of another machine type are not this one's.
            options["machine_type"], options["accelerators"] = self.machine_type, None
        if self.accelerators is not None:
            options["accelerators"] = [{"type": t, "count": n} for t, n in self.accelerators]
        if self.provisioning_model:
            options["scheduling"] = self._scheduling(params["scheduling"] or {})
        return options

    def _scheduling(self, common: Mapping[str, Any]) -> dict[str, Any]:
        """The common scheduling without what this provisioning model doesn't know."""
        foreign = "automatic_restart"
        if self.provisioning_model == "STANDARD":
            # It says what follows on a limit of the run time too.
            foreign = "" if common.get("max_run_duration") else "instance_termination_action"
        kept = {name: value for name, value in common.items() if name != foreign}
        return {**kept, "provisioning_model": self.provisioning_model}

    def attempt(
        self, params: Mapping[str, Any], outcome: str, error: GceError | None = None
    ) -> dict[str, Any]:
        """An entry of the result's `attempts`."""
        options = self.options(params)
        return {
            "zone": self.zone,
            "machine_type": options["machine_type"],
            "provisioning_model": (options["scheduling"] or {}).get("provisioning_model")
            or "STANDARD",
            "outcome": outcome,
            "reason": error.reason if error else "",
        }


def listed(params: Mapping[str, Any]) -> list[Placement]:
    """The placements, first choice first; `zone` alone is one of them.

    Raises:
        GceError: the list is empty, or one is in it twice.
    """
    if params["placements"] is None:
        return [Placement(params["zone"])]
    entries = params["placements"]
    model = (params["scheduling"] or {}).get("provisioning_model")
    if any(entry["provisioning_model"] for entry in entries):
        # Beside one that is Spot, one that says nothing is not.
        model = model or "STANDARD"
    found = [
        Placement(
            entry["zone"],
            entry["machine_type"] or None,
            _accelerators(entry["accelerators"]),
            entry["provisioning_model"] or model,
        )
        for entry in entries
    ]
    for place in found:
        if found.count(place) > 1:
            raise GceError(
                f"placements has the same entry twice: {said(place.attempt(params, ''))}.",
                reason="badPlacements",
                remedy="remove one of them.",
            )
    if not found:
        raise GceError(
            "placements is empty.",
            reason="badPlacements",
            remedy="list at least one zone in it, or give zone instead.",
        )
    return found


def _accelerators(entries: Any) -> tuple[tuple[str, int], ...] | None:
    if entries is None:
        return None
    return tuple((naming.short(one["type"]), int(one["count"])) for one in entries)


def zones(places: Iterable[Placement]) -> list[str]:
    """Their zones, each once, in order."""
    return list(dict.fromkeys(place.zone for place in places))


def nearest(
    places: Sequence[Placement], zone: str, view: Mapping[str, Any], params: Mapping[str, Any]
) -> Placement:
    """The placement that an instance in `zone` was made by: the one that it differs least from.

    Args:
        view: the instance's flat fields.
    """

    def differences(place: Placement) -> int:
        options = place.options(params)
        machine = options["machine_type"]
        model = (options["scheduling"] or {}).get("provisioning_model")
        gpus = options["accelerators"]
        count = int(bool(machine) and machine_types.canonical(machine) != view.get("machine_type"))
        count += int(bool(model) and model != view.get("scheduling.provisioning_model"))
        if gpus is not None and not machine_types.bundles_gpus(machine or ""):
            wanted = sorted((naming.short(one["type"]), one["count"]) for one in gpus)
            count += wanted != [(one["type"], one["count"]) for one in view["accelerators"]]
        return count

    return min((place for place in places if place.zone == zone), key=differences)


def refusal(error: GceError) -> str:
    """`stockout` or `quota` where another placement may do; '' where it is the caller's mistake."""
    if error.reason in STOCKOUT:
        return "stockout"
    return "quota" if error.reason in QUOTA else ""


def zones_named(error: GceError) -> set[str]:
    """Zones that Google says have such machines (`zonesAvailable` of a stock-out)."""
    named: set[str] = set()
    for entry in error.details.get("operation_errors") or []:
        for detail in entry.get("errorDetails") or []:
            metadata = (detail.get("errorInfo") or {}).get("metadatas") or {}
            texts = re.split(r"[,;\s]+", str(metadata.get("zonesAvailable") or ""))
            named.update(naming.short(text) for text in texts if text)
    return named


def reordered(rest: Sequence[Placement], error: GceError) -> list[Placement]:
    """What is left to try: zones that the error names first, else in the given order."""
    named = zones_named(error)
    return sorted(rest, key=lambda place: place.zone not in named)


def said(attempt: Mapping[str, Any]) -> str:
    """An attempt for a person: `us-central1-a g2-standard-8 SPOT (ZONE_…)`."""
    machine = attempt["machine_type"] or "(machine type not given)"
    text = f"{attempt['zone']} {machine} {attempt['provisioning_model']}"
    return f"{text} ({attempt['reason']})" if attempt["reason"] else text


def exhausted(
    name: str,
    attempts: Sequence[Mapping[str, Any]],
    there: str,
    last: GceError,
    *,
    held: str = "",
    put_back: str = "",
) -> GceError:
    """The error where no placement is left.

    Args:
        there: zone of the stopped instance that is still there; '' where there is none.
        held: its disks and their zones, where that kept placements from being tried.
        put_back: what became of an instance that ran before, where it was stopped to be changed.
    """
    tried = "; ".join(map(said, attempts))
    state = put_back or (
        f" It is still there, stopped, in {there}." if there else " None was made."
    )
    remedy = "wait and run again, add placements, or ask for more quota where that was the reason."
    if any(one["outcome"] == "not_allowed" for one in attempts):
        remedy += (
            " Going to another placement deletes the stopped instance with its boot disk: "
            "allow_recreate: true lets that happen."
        )
    if held:
        state += f" Other zones were not tried: its disks ({held}) can't follow it there."
        remedy += " Placements of other machines in the disks' zone would be tried too"
        remedy += (
            "; for another zone, detach them first (`gcloud compute instances detach-disk`)."
            if there
            else "."
        )
    return GceError(
        f"No placement has room for the instance {name}: {tried}.{state}",
        reason="noCapacity",
        remedy=remedy,
        status=last.status,
        details={**last.details, "attempts": [dict(one) for one in attempts]},
    )
