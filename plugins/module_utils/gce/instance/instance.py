# SPDX-License-Identifier: Apache-2.0
"""One instance, made present, stopped or absent: plan first, then carry out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ... import diff
from ...diff import Change
from ...errors import ApiError, GceError
from ...hardware import local_ssds
from ...redaction import without_secrets
from .. import naming
from ..client import GceClient
from ..disk import fields as further_disks
from ..lookups import machine_with
from ..network import addresses
from ..operations import wait_until
from . import body as instance_body
from . import carry, image_record
from . import fields as fields_of
from . import refusals as refuse
from . import validation as instance_checks
from .api import InstanceCalls
from .change_table import how
from .machine_change import MachineChange
from .plan import InstancePlan
from .reader import OF_BOOT_DISK, InstanceReader
from .recreate_journal import OLD_DAYS, Note, RecreateNotes
from .removal import InstanceRemoval, removed
from .transition import Transition

STOPPED = frozenset({"TERMINATED", "STOPPED"})
COMING = frozenset({"PENDING", "PROVISIONING", "STAGING", "REPAIRING"})
GOING = frozenset({"STOPPING", "PENDING_STOP", "SUSPENDING", "DEPROVISIONING"})


class Instance:
    """An instance by zone and name; `check` only plans.

    Args:
        state_dir: folder for what outlives the run; '' for a reader that changes nothing.
    """

    def __init__(
        self, client: GceClient, zone: str, name: str, check: bool = False, state_dir: str = ""
    ) -> None:
        self.client, self.zone, self.name, self.check = client, zone, name, check
        self.calls = InstanceCalls(client, zone, name)
        self.reader = InstanceReader(client, self.calls)
        self.plan = InstancePlan(client, self.reader, name, check)
        self.notes = RecreateNotes(state_dir, client, zone, name)
        self.removal = InstanceRemoval(client, self.reader, self.notes, check)
        self.machine = MachineChange(client, self.calls, self.reader)
        self.warnings = self.plan.warnings
        # Set where a machine was asked for last, so that a stock-out or quota error is about that.
        self.asked_for_machine = False
        # Fields of the instance that a recreation deleted, as long as there is no new one, for
        # whoever makes it elsewhere.
        self.carried: dict[str, Any] | None = None

    def fetch(self) -> dict[str, Any] | None:
        """The instance's resource, None where there is none; an unknown zone is an error."""
        return self.calls.fetch()

    def present(self, resource: dict[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have it run, with the named fields as desired; `resource` is what `fetch` returned."""
        if resource is None:
            return self.make(self.planned(params))
        try:
            return self._converge(resource, self.plan.desired(params, resource), params, "RUNNING")
        except GceError as error:
            # A deletion that was under way has ended: now there is none, and one is desired.
            if error.reason == "vanished" and resource.get("status") in GOING:
                return self.make(self.planned(params, self.left()))
            raise

    def stopped(self, resource: dict[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have it stopped, with the named fields as desired; a missing one is not created."""
        if resource is None:
            return self._result(None, [], {"before": {}, "after": {}})
        return self._converge(resource, self.plan.desired(params, resource), params, "TERMINATED")

    def left(self) -> dict[str, Any] | None:
        """All fields of the instance that an earlier run deleted in order to recreate it, and then
        didn't; None where none did. Disks that it can't have any more are left out.

        Raises:
            GceError: that was too long ago to go on from it unasked.
        """
        note = self.notes.read()
        if note is None:
            return None
        if note.days > OLD_DAYS:
            raise refuse.old_note(self.calls.where, str(self.notes.path), note.days)
        names = further_disks.names(note.fields)
        there = self.reader.unattached(names) if names else {}
        lost = [name for name in names if name not in there or there[name].get("users")]
        without = f", without its disks {', '.join(lost)}, which are gone or in use" if lost else ""
        self.warnings.append(
            f"An earlier run deleted the {self.calls.where} to recreate it and did not come to "
            f"that. What it had and the task doesn't name is taken from {self.notes.path}{without}."
        )
        self.carried = {
            field: value
            for field, value in note.fields.items()
            if not (field.startswith("disks.") and field.split(".")[1] in lost)
        }
        return self.carried

    @property
    def lost(self) -> str:
        """What is to be said of an instance that was deleted for a new one that is not there."""
        if self.carried is None:
            return ""
        return (
            f"The old {self.calls.where} was deleted for the new one, with its boot disk. "
            f"What else it had is kept in {self.notes.path}, "
            "and the next run recreates it with that."
        )

    def absent(self, resource: dict[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have none; deletion protection is lifted only where the caller names it as off.

        The result's `kept_disks` names the instance's disks that stay.
        """
        gone, before, staying = self.removal.absent(resource, params)
        result = self._result(None, gone, removed(before))
        return {**result, "kept_disks": staying}

    def planned(
        self, params: Mapping[str, Any], carried: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Every field of a new instance; what `params` don't name is as `carried` has it.

        Raises:
            GceError: something that would make the request fail for sure.
        """
        self.calls.discard_local_ssd = params.get("discard_local_ssd") is not False
        desired = self.plan.desired(params)
        return self.plan.moved(carried, desired) if carried else self.plan.new(desired)

    def make(self, final: dict[str, Any], status: str = "RUNNING") -> dict[str, Any]:
        """Make an instance of planned fields; it boots, also where it is to be stopped then."""
        resource = None
        after: Mapping[str, Any] = {**final, "status": status}
        if not self.check:
            resource = self._made(final, status)
            after = self.reader.view(resource, {*final, *OF_BOOT_DISK})
        made = [Change("instance", None, self.name, "create")]
        managed = [
            field
            for field in [*final, "status"]
            if not field.endswith(".source") and not field.startswith(f"{carry.GROUP}.")
        ]
        return self._result(resource, made, diff.before_after({}, after, managed))

    def _made(self, final: Mapping[str, Any], status: str) -> dict[str, Any]:
        self._insert(final)
        resource = self._caught_up(final)
        if status == "TERMINATED":
            self.calls.stop(resource)
            resource = self._settled(status)
        return resource

    def _caught_up(self, final: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for a new instance; disks that were there before it may have to grow or be tuned."""
        resource = self._settled("RUNNING")
        self.notes.forget()
        desired = {
            field: value
            for field, value in final.items()
            if field.startswith("disks.") and not field.endswith(".source")
        }
        found = diff.changes(self.reader.view(resource, desired), desired, how) if desired else []
        self.calls.apply(found, resource, final)
        return self.calls.fetch() or resource if found else resource

    def _insert(self, final: Mapping[str, Any]) -> None:
        body = instance_body.insert_body(self.name, self.zone, self.client.project, final)
        self.asked_for_machine = True
        try:
            self._insert_at(body)
        except ApiError as error:
            # Someone, or an earlier run that was interrupted, was faster: the next read tells.
            if error.reason != "alreadyExists" or "/disks/" in error.google_message:
                raise
        # There it is: what is refused from now on is no lack of a machine.
        self.asked_for_machine = False
        self.carried = None

    def _insert_at(self, body: dict[str, Any]) -> None:
        """Create it, at the internal address that it had as long as nobody else took that."""
        first = body["networkInterfaces"][0]
        try:
            self.calls.insert(body)
        except GceError as error:
            if "networkIP" not in first or not carry.address_taken(error):
                raise
            region, taken = naming.region_of(self.zone), first["networkIP"]
            if addresses.is_reserved(self.client, region, taken):
                raise  # it was chosen, and others rely on it
            self.warnings.append(
                f"The {self.calls.where} had the internal address {taken}, which somebody else "
                "has taken meanwhile: it has another now."
            )
            first = carry.without_address(first)
            self.calls.insert(
                {**body, "networkInterfaces": [first, *body["networkInterfaces"][1:]]}
            )

    def _converge(
        self,
        resource: dict[str, Any],
        desired: dict[str, Any],
        params: Mapping[str, Any],
        status: str,
    ) -> dict[str, Any]:
        self.calls.discard_local_ssd = params.get("discard_local_ssd") is not False
        note = self.notes.read()
        transition = self._transition(resource, desired, note, status)
        self._refuse(resource, transition, params)
        transition = self._checked(resource, transition, note)
        after: Mapping[str, Any] = transition.after
        if not self.check and (transition.found or transition.settling):
            resource = self._carry_out(resource, transition)
            after = self._view(resource, transition.desired, transition.boot_disk)
        if not self.check and note and resource.get("status") not in COMING:
            self.notes.forget()
        managed = [*transition.desired, "status"]
        difference = diff.before_after(transition.current, after, managed)
        result = self._result(resource, transition.found, difference)
        if status == "RUNNING" and not transition.replacement and params["report_newer_image"]:
            result["newer_image"] = self._newer_image(transition.current, transition.desired)
        return result

    def _view(
        self, resource: Mapping[str, Any], desired: Mapping[str, Any], boot_disk: tuple[str, str]
    ) -> dict[str, Any]:
        asked = further_disks.without_detached(desired, desired)
        return self.reader.view(resource, asked, *boot_disk)

    def _transition(
        self, resource: Mapping[str, Any], desired: dict[str, Any], note: Note | None, status: str
    ) -> Transition:
        """Compare the instance with what is desired."""
        boot_disk = (desired.get("boot_disk.image_family", ""), desired.get("boot_disk.type", ""))
        current = self._view(resource, desired, boot_disk)
        if note and note.is_of(resource):
            desired = _as_noted(note, current) | desired
        desired = self.plan.comparable(desired, current)
        self._refuse_taken(desired, current)
        found = _with_local_ssds(diff.changes(current, desired, how), resource)
        is_up = current["status"] not in STOPPED | GOING | {"SUSPENDED"}
        if is_up != (status == "RUNNING"):
            found.append(Change("status", current["status"], status, "live"))
        # On its way there already: nothing to change, yet something to wait for.
        settling = current["status"] in (COMING if status == "RUNNING" else GOING)
        ends = status if found or settling else current["status"]
        after = diff.merged(current, {**desired, "status": ends})
        after = further_disks.without_detached(after, desired)
        return Transition(status, boot_disk, current, desired, found, after, is_up, settling)

    def _refuse(
        self, resource: Mapping[str, Any], transition: Transition, params: Mapping[str, Any]
    ) -> None:
        """Raise where the task does not allow what it would take."""
        refuse.unallowed(
            self.calls.where,
            transition.found,
            params,
            needs_stop=transition.is_up and transition.status == "RUNNING",
            local_ssd=bool(local_ssds.attached(resource)) and self.calls.discard_local_ssd,
        )
        if transition.recreates:
            refuse.recreation(self.calls.where, resource, params)
        elif transition.found and transition.status == "RUNNING":
            instance_checks.refuse_bad(self.name, _checkable(transition.after, transition.desired))

    def _checked(
        self, resource: Mapping[str, Any], transition: Transition, note: Note | None
    ) -> Transition:
        """The transition, with the new instance's fields where there is to be one.

        Raises:
            GceError: what it needs is not there. Nothing was stopped or deleted for it.
        """
        desired, after = transition.desired, transition.after
        fields = {change.field for change in transition.found}
        if transition.recreates:
            carried = self.carried_fields(resource, transition.current)
            if note and note.is_of(resource):
                carried |= _as_noted(note, transition.current)
            replacement = self.plan.recreated(carried, desired)
            transition = replace(transition, carried=carried, replacement=replacement)
        elif {"machine_type", "accelerators"} & fields:
            accelerators = desired.get("accelerators") or []
            machine_with(self.client, self.zone, after["machine_type"], accelerators)
        if "address" in fields and addresses.is_ip(after["address"]):
            self.plan.reserved(after["address"])
        return transition

    def _carry_out(self, resource: dict[str, Any], transition: Transition) -> dict[str, Any]:
        """Do it; the instance's resource, once it is in a stable state."""
        if transition.replacement:
            self.removal.delete_to_recreate(resource, transition.carried)
            self.carried = transition.carried
            return self._made(transition.replacement, transition.status)
        self._apply(
            resource, transition.found, transition.current, transition.after, transition.is_up
        )
        return self._settled(transition.status)

    def _refuse_taken(self, desired: Mapping[str, Any], current: Mapping[str, Any]) -> None:
        """A disk that is to be attached is nobody else's."""
        coming = {
            name: disk
            for name, disk in self.reader.more.items()
            if not current.get(f"disks.{name}.attached")
        }
        refuse.taken_disks(self.calls.where, self.name, desired, coming)

    def _newer_image(
        self, current: Mapping[str, Any], desired: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Asked only where the task speaks of the image; no request more than that."""
        if not {"boot_disk.image", "boot_disk.image_family"} & set(desired):
            return None
        family = str(current.get("boot_disk.image_family") or "")
        image = str(
            current.get(f"metadata.{image_record.IMAGE}") or current.get("boot_disk.image", "")
        )
        if not family or not image:
            return None
        newest = self.reader.newest
        if newest is None:
            newest, warning = image_record.newest_of(self.client, family)
            self.warnings += [warning] if warning else []
        known = str(current.get(f"metadata.{image_record.IMAGE_ID}") or "")
        return image_record.newer(family, image, known, newest) if newest else None

    def _apply(
        self,
        resource: dict[str, Any],
        found: list[Change],
        current: Mapping[str, Any],
        after: Mapping[str, Any],
        is_up: bool,
    ) -> None:
        fields = [change for change in found if change.field != "status"]
        goes_down = any(
            change.field == "status" and change.after == "TERMINATED" for change in found
        )
        down_for_change = not goes_down and is_up and any(one.how == "stop" for one in fields)
        down = goes_down or down_for_change
        # Also one that goes down by itself meanwhile: its end is waited for below.
        stopping = STOPPED | GOING | {"SUSPENDED"}
        if down and self._settled("RUNNING", stopping)["status"] == "RUNNING":
            self.calls.stop(resource)
        if goes_down or down_for_change or resource.get("status") in GOING:
            resource = self._settled("TERMINATED")
        if down_for_change:
            self.machine.stopped_for(current)
        try:
            self.calls.apply(fields, resource, after)
        except GceError as error:
            error.message += self.machine.put_back()
            raise
        if after["status"] != "RUNNING":
            return
        self.asked_for_machine = True
        if resource.get("status") in STOPPED:
            self.calls.call("start")
        elif resource.get("status") == "SUSPENDED":
            self.calls.call("resume")
        self.machine.accepted()

    def carried_fields(
        self, resource: Mapping[str, Any], known: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """All fields of an instance that is to be recreated, those of its boot disk too."""
        more = [f"disks.{name}.type" for name in further_disks.attached(resource)]
        fields = {**self.reader.view(resource, {*OF_BOOT_DISK, *more}), **(known or {})}
        address = fields.get("address")
        if address and not addresses.find(self.client, naming.region_of(self.zone), address):
            del fields["address"]  # not reserved: it goes with the instance
        region = naming.region_of(self.zone)
        reserved = partial(addresses.is_reserved, self.client, region)
        return {**fields, **carry.fields(self.calls.where, resource, self.reader.boot, reserved)}

    def _settled(self, status: str, also: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Wait until it is in the status (RUNNING or TERMINATED), and return its resource.

        Args:
            also: statuses that end the wait too.
        """
        goal = (STOPPED | {"SUSPENDED"} if status == "TERMINATED" else {status}) | also

        def poll() -> dict[str, Any]:
            found = self.calls.fetch()
            if found is None:
                raise GceError(
                    f"The {self.calls.where} vanished while it was waited for.",
                    reason="vanished",
                    remedy="someone or something else deleted it; run again to have it recreated.",
                )
            now = found.get("status")
            if status == "RUNNING" and now not in goal and now in GOING | STOPPED | {"SUSPENDED"}:
                raise refuse.down_again(self.calls.where, found)
            return found

        return wait_until(
            poll,
            lambda resource: resource.get("status") in goal,
            seconds=self.client.seconds_left(),
            what=f"the {self.calls.where} to be {status}",
            describe=lambda resource: str(resource.get("status")),
        )

    def _result(
        self, resource: dict[str, Any] | None, found: list[Change], difference: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "changed": bool(found),
            "changes": [change.as_dict() for change in found],
            "diff": difference,
            "instance": without_secrets(resource),
            "addresses": fields_of.addresses(resource),
            "newer_image": None,
            "warnings": self.warnings,
        }


def _with_local_ssds(found: list[Change], resource: Mapping[str, Any]) -> list[Change]:
    """The changes, where Google lets no machine with local SSDs become another."""
    if not local_ssds.attached(resource):
        return found
    return [
        replace(change, how="recreate") if change.field == "machine_type" else change
        for change in found
    ]


def _as_noted(note: Note, current: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier run changed on the instance in order to recreate it, and is to be undone."""
    return {
        f"disks.{disk}.auto_delete": True
        for disk in note.going_disks()
        if current.get(f"disks.{disk}.attached")
    }


def _checkable(after: Mapping[str, Any], desired: Mapping[str, Any]) -> dict[str, Any]:
    """All fields but those of disks that the task doesn't name: they are others' to answer for."""
    named = further_disks.names(desired)
    return {
        field: value
        for field, value in after.items()
        if not field.startswith("disks.") or field.split(".")[1] in named
    }
