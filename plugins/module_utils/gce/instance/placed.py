# SPDX-License-Identifier: Apache-2.0
"""An instance that may be in one of several places, and is only ever in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...diff import Change
from ...errors import GceError, OperationError, WaitTimeoutError
from ...suggest import listed
from .. import naming
from ..client import GceClient
from ..disk import fields as further_disks
from ..disk import zones as kept_disks
from ..operations import finish
from . import carry, placements
from . import fields as fields_of
from . import refusals as refuse
from . import validation as instance_checks
from .instance import COMING, STOPPED, Instance
from .placements import Placement
from .recreate_journal import RecreateNotes, noted_zones

Json = dict[str, Any]
Plan = tuple[Placement, Json]


class PlacedInstance:
    """An instance by name and placements; `check` only plans."""

    def __init__(self, client: GceClient, params: Mapping[str, Any], check: bool = False) -> None:
        self.client, self.params, self.check = client, params, check
        self.name = str(params["name"])
        self.places = placements.listed(params)
        for place in self.places if params["state"] != "absent" else []:
            desired = fields_of.desired(place.options(params), client.project)
            instance_checks.refuse_bad(self.name, desired)
        self.instances: dict[Placement, Instance] = {}
        self.attempts: list[Json] = []
        self.left_behind: dict[Placement, str] = {}
        self.state_dir = str(params["state_dir"])
        self.status = "TERMINATED" if params["state"] == "stopped" else "RUNNING"
        self.warnings: list[str] = []
        # Why some of the places are none for it, in words.
        self.held = ""

    def reach(self) -> Json:
        """Have the desired state; returns the module's result.

        Raises:
            GceError: its details hold `attempts`, where any were made.
        """
        try:
            return self._reach()
        except GceError as error:
            if self.attempts:
                error.details.setdefault("attempts", self.attempts)
            for lost in filter(None, (one.lost for one in self.instances.values())):
                error.message += f" {lost}"
            raise

    def _reach(self) -> Json:
        resource = self._locate()
        state = self.params["state"]
        if resource is None:
            return self._where_none_is()
        place = self._place_of(resource)
        if state != "absent":
            self._forget_elsewhere(resource)
        instance, options = self._at(place), place.options(self.params)
        if state == "stopped":
            return self._with_place(instance.stopped(resource, options), place)
        if state == "absent":
            gone = instance.absent(resource, options)
            return self._with_place(self._with_recreate_notes(gone, place.zone), place)
        try:
            return self._reached(instance.present(resource, options), place)
        except GceError as error:
            refused = placements.refusal(error) and instance.asked_for_machine
            if refused:
                self._note(place, error)
            if refused and self.params["placements"] is not None:
                with _put_back(instance):
                    return self._try_other_placements(instance, place, error)
            with _put_back(instance):
                raise

    def _where_none_is(self) -> Json:
        left, zone = self._left()
        if left is not None:
            # An earlier run deleted it in order to recreate it; this one goes on from there.
            kept = further_disks.names(left)
            places = self._by_its_disks(self.places)
            places = self._held_in([zone], places, kept) if kept else places
            return self._first_of(self._plans(places, {**left, "zone": zone}))
        if self.params["state"] == "present":
            return self._first_of(self._plans(self._by_its_disks(self.places)))
        if self.params["state"] == "stopped":
            return self._with_place(self._at(self.places[0]).stopped(None, {}), None)
        return self._absent_everywhere()

    def _left(self) -> tuple[Json | None, str]:
        """Fields of the instance that an earlier run deleted to recreate it, and its zone."""
        # In order to stop one, none is made by whoever did not allow recreating it.
        state = self.params["state"]
        if state == "present" or (state == "stopped" and self.params["allow_recreate"]):
            for place in self.places:
                fields = self._at(place).left()
                if fields is not None:
                    self.warnings += self._at(place).warnings
                    return fields, place.zone
        return None, ""

    def _forget_elsewhere(self, resource: Mapping[str, Any]) -> None:
        """It is there: what was kept of one in another zone is of no use any more."""
        if self.check or resource.get("status") in COMING:
            return
        here = naming.short(str(resource.get("zone")))
        for zone in sorted({place.zone for place in self.places} - {here}):
            if RecreateNotes(self.state_dir, self.client, zone, self.name).forget():
                self.warnings.append(
                    f"Forgot what an earlier run had kept of an instance {self.name} in {zone}, "
                    f"which it deleted to recreate it: the instance is in {here} now."
                )

    def _absent_everywhere(self) -> Json:
        """There is none; disks that are to go may be left of it in any of the zones."""
        each = {place.zone: self._at(place) for place in self.places}.values()
        asked = list(each) if self.params["delete_disks"] else list(each)[:1]
        first, *rest = [one.absent(None, self.params) for one in asked]
        for other in rest:
            _add(first, other)
        return self._with_place(
            self._with_recreate_notes(first, *(one.zone for one in asked)), None
        )

    def _with_recreate_notes(self, result: Json, *done: str) -> Json:
        """Also what earlier runs kept of it in other zones, whether or not it may be there now."""
        for zone in noted_zones(self.state_dir, self.client, self.name):
            other = Instance(self.client, zone, self.name, self.check, self.state_dir)
            # The caller did not ask to delete an instance that exists.
            if zone not in done and other.fetch() is None:
                _add(result, other.absent(None, {**self.params, "delete_disks": False}))
        return result

    # Where it is

    def _locate(self) -> Json | None:
        """The instance's resource, wherever it is; None where it is in none of the places."""
        zones = placements.zones(self.places)
        if len(zones) == 1:
            return self._at(self.places[0]).fetch()
        found = self._listed()
        here = [zone for zone in zones if zone in found]
        if not here and self._waited_for_others():
            found = self._listed()
            here = [zone for zone in zones if zone in found]
        if not here:
            # Before one is made or said to be gone: a list may lag behind, a read doesn't.
            answers = {zone: Instance(self.client, zone, self.name).fetch() for zone in zones}
            found.update({zone: one for zone, one in answers.items() if one})
            here = [zone for zone in zones if zone in found]
        if len(here) > 1:
            raise GceError(
                f"There are {len(here)} instances named {self.name}, in {listed(here)}. "
                "Nothing was done.",
                reason="twoFound",
                remedy="delete those that should not exist (`gcloud compute instances delete "
                f"{self.name} --zone ZONE`). Or leave only one of the zones in placements.",
                details={"zones": here},
            )
        if here:
            return found[here[0]]
        if found and self.params["state"] == "present":
            raise GceError(
                f"There is an instance {self.name} in {listed(sorted(found))}, which is none of "
                "the placements' zones. No second one was made.",
                reason="foundElsewhere",
                remedy="add its zone to placements, delete it, or choose another name.",
                details={"zones": sorted(found)},
            )
        return None

    def _listed(self) -> dict[str, Json]:
        """Zone to resource, of all instances of this name in the project."""
        what = f"look for the instance {self.name} in all zones"
        items = self.client.named("instances", self.name, what)
        return {naming.short(str(one["zone"])): one for one in items}

    def _waited_for_others(self) -> bool:
        """Let creations that an earlier run, since cut off, began come to their end."""
        pending = self.client.aggregated(
            f"{self.client.root}/aggregated/operations",
            "operations",
            f"look for unfinished operations on the instance {self.name}",
            filter='(status != "DONE") (operationType = "insert")',
        )
        waited = False
        for operation in list(pending):
            target = str(operation.get("targetLink", ""))
            if "/zones/" not in target or not target.endswith(f"/instances/{self.name}"):
                continue
            waited = True
            try:
                finish(self.client, operation, f"create the instance {self.name}")
            except OperationError:
                continue  # it failed: that is for this run to try again
        return waited

    def _place_of(self, resource: Mapping[str, Any]) -> Placement:
        if len(self.places) == 1:
            return self.places[0]
        view = fields_of.view(resource, self.client.project)
        zone = naming.short(str(resource["zone"]))
        return placements.nearest(self.places, zone, view, self.params)

    # Making it

    def _by_its_disks(self, places: list[Placement]) -> list[Placement]:
        """Those of the places that have its disks, where there are some of an earlier instance."""
        disks = [one for one in self.params["disks"] or [] if one["state"] == "attached"]
        if self.params["placements"] is None or not disks:
            return places
        near, names = kept_disks.zones_for(
            self.client, self.name, placements.zones(self.places), disks
        )
        return self._held_in(near, places, names)

    def _held_in(
        self, zones: list[str], places: list[Placement], disks: Iterable[str]
    ) -> list[Placement]:
        """Those of the places that are in the zones where its disks are."""
        near = [place for place in places if place.zone in zones]
        if len(near) < len(places):
            self.held = f"{listed(sorted(disks))} in {listed(zones)}"
        return near

    def _plans(self, places: list[Placement], carried: Json | None = None) -> list[Plan]:
        """All of them before the first is tried: a mistake in the last shows today."""
        plans = []
        bound: list[str] = []
        for place in places:
            kept = carried
            if carried and (names := _held_by(carried, place.zone)):
                bound += [name for name in names if name not in bound]
                continue
            if carried and naming.region_of(place.zone) != naming.region_of(carried["zone"]):
                if "address" in carried and not self.params["address"]:
                    self.left_behind[place] = (
                        f"The address {carried['address']} is of the region of {carried['zone']}: "
                        f"it stays reserved, and the instance in {place.zone} has another."
                    )
                regional = ("subnetwork", "address", "resource_policies")
                kept = {k: v for k, v in carried.items() if k not in regional}
                first = carry.without_address(kept.get("as_is.interface", {}))
                kept = {**kept, "as_is.interface": first}
            kept = kept and {k: v for k, v in kept.items() if k != "zone"}
            plans.append((place, self._at(place).planned(place.options(self.params), kept)))
        if bound and not plans:
            raise carry.not_carried(f"instance {self.name}", bound)
        if bound:
            left_out = f"{listed(bound)} of the instance {self.name} can't follow it there"
            self.warnings.append(f"Some of the placements were left out: {left_out}.")
        return plans

    def _first_of(self, plans: list[Plan], moved_from: str = "") -> Json:
        """Make it by the first plan that Google has room for.

        Args:
            moved_from: what was deleted for it, in words; '' for nothing.
        """
        while True:
            (place, final), rest = plans[0], plans[1:]
            try:
                made = self._at(place).make(final, self.status)
                self._drop_recreate_notes()
                return self._reached(made, place, moved_from)
            except GceError as error:
                if not (placements.refusal(error) and self._at(place).asked_for_machine):
                    raise
                self._note(place, error)
                if self.params["placements"] is None:
                    raise
                if not rest:
                    raise self._exhausted("", error) from None
                order = placements.reordered([one for one, _ in rest], error)
                plans = sorted(rest, key=lambda plan: order.index(plan[0]))

    def _drop_recreate_notes(self) -> None:
        """Drop the notes of an old instance: the new one has all of it."""
        for one in self.instances.values():
            one.carried = None
            if not self.check:
                one.notes.forget()

    def _try_other_placements(self, instance: Instance, place: Placement, error: GceError) -> Json:
        """Where its own place has no room: stopped it stays, or it is recreated in another."""
        rest = placements.reordered([one for one in self.places if one != place], error)
        origin = placements.said({**place.attempt(self.params, "")})
        now = instance.calls.fetch()
        if now is None:  # deleted already, in order to be recreated
            carried = instance.carried and {**instance.carried, "zone": place.zone}
            kept = further_disks.names(carried or {})
            rest = self._held_in([place.zone], rest, kept) if kept else self._by_its_disks(rest)
            if not rest:
                raise self._exhausted("", error) from None
            return self._first_of(self._plans(rest, carried), origin)
        if now.get("status") not in STOPPED:
            raise error
        if attached := further_disks.attached(now):
            rest = self._held_in([instance.zone], rest, attached)
        while rest:
            place = rest.pop(0)
            try:
                if place.zone == instance.zone:
                    other = self._at(place)
                    return self._reached(other.present(now, place.options(self.params)), place)
                if self.params["allow_recreate"]:
                    return self._moved(instance, now, [place, *rest], origin)
                self.attempts.append(place.attempt(self.params, "not_allowed"))
            except GceError as other_error:
                if other_error.reason == "notAllowed":
                    self.attempts.append(place.attempt(self.params, "not_allowed"))
                elif placements.refusal(other_error) and self._only_machine_refused(
                    place, instance
                ):
                    self._note(place, other_error)
                    rest = placements.reordered(rest, other_error)
                else:
                    raise
            now = instance.calls.fetch() or now
        raise self._exhausted(instance.zone, error, instance.machine.put_back()) from None

    def _only_machine_refused(self, place: Placement, instance: Instance) -> bool:
        """Whether what was refused is the machine, and the stopped instance is there as before."""
        return place.zone == instance.zone and self._at(place).asked_for_machine

    def _exhausted(self, there: str, last: GceError, put_back: str = "") -> GceError:
        return placements.exhausted(
            self.name, self.attempts, there, last, held=self.held, put_back=put_back
        )

    def _moved(self, instance: Instance, now: Json, places: list[Placement], origin: str) -> Json:
        """Delete the stopped instance, and only then make the new one: never are there two."""
        refuse.recreation(instance.calls.where, now, self.params)
        refuse.moving_disks(instance.calls.where, now)
        carried = instance.carried_fields(now)
        plans = self._plans(places, {**carried, "zone": instance.zone})
        instance.removal.delete_to_recreate(now, carried)
        instance.machine.deleted()
        instance.carried = carried
        return self._first_of(plans, origin)

    # What is told of it

    def _at(self, place: Placement) -> Instance:
        # One for each: what it has to warn of while it plans is told with its result.
        if place not in self.instances:
            self.instances[place] = Instance(
                self.client, place.zone, self.name, self.check, self.state_dir
            )
        return self.instances[place]

    def _note(self, place: Placement, error: GceError) -> None:
        self.attempts.append(place.attempt(self.params, placements.refusal(error), error))

    def _reached(self, result: Json, place: Placement, moved_from: str = "") -> Json:
        """The result of an instance that runs, with how it came to that."""
        outcome = ""
        for change in result["changes"]:
            if change["how"] in ("create", "recreate"):
                outcome = "created"
            elif change["field"] == "status":
                outcome = outcome or "started"
        if outcome:
            self.attempts.append(place.attempt(self.params, "planned" if self.check else outcome))
        if moved_from:
            here = placements.said(place.attempt(self.params, ""))
            result["changes"] = [Change("placement", moved_from, here, "recreate").as_dict()]
            result["diff"]["before"]["placement"] = moved_from
            result["diff"]["after"]["placement"] = here
        return self._with_place(result, place)

    def _with_place(self, result: Json, place: Placement | None) -> Json:
        made = any(change["how"] == "create" for change in result["changes"])
        if place and made and self.params["placements"] is not None:
            result["diff"]["after"]["zone"] = place.zone
        if place in self.left_behind:
            result["warnings"].append(self.left_behind[place])
        result["warnings"] += [text for text in self.warnings if text not in result["warnings"]]
        return {**result, "zone": place.zone if place else None, "attempts": self.attempts}


@contextmanager
def _put_back(instance: Instance) -> Iterator[None]:
    """Where an instance that was stopped for a change doesn't get it, it runs as before."""
    try:
        yield
    except WaitTimeoutError:
        raise  # it may get it yet
    except GceError as error:
        error.message += instance.machine.put_back()
        raise


def _held_by(carried: Mapping[str, Any], zone: str) -> list[str]:
    """Names of what an instance has that can't follow it into a zone."""
    if zone == carried["zone"]:
        return []
    names = carry.stays_in_zone(carried)
    if naming.region_of(zone) != naming.region_of(str(carried["zone"])):
        names += carry.stays_in_region(carried)
    return names


def _add(result: Json, other: Json) -> None:
    """What was deleted in another zone is told with the rest."""
    result["changed"] = result["changed"] or other["changed"]
    result["changes"] += other["changes"]
    result["diff"]["before"].update(other["diff"]["before"])
