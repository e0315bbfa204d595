# SPDX-License-Identifier: Apache-2.0
"""One instance, made present, stopped or absent: plan first, then carry out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import addresses, convert, diff, further_disks, image_pin, instance_body, instance_checks
from . import instance_fields as fields_of
from . import instance_refusals as refuse
from .diff import Change
from .errors import ApiError, GceError
from .gce_client import GceClient
from .instance_calls import InstanceCalls
from .instance_plan import InstancePlan
from .instance_reader import OF_BOOT_DISK, InstanceReader
from .instance_table import how
from .lookups import machine_with, zone_known
from .operations import wait_until
from .redact import without_secrets

STOPPED = frozenset({"TERMINATED", "STOPPED"})
COMING = frozenset({"PENDING", "PROVISIONING", "STAGING", "REPAIRING"})
GOING = frozenset({"STOPPING", "PENDING_STOP", "SUSPENDING", "DEPROVISIONING"})


class Instance:
    """An instance by zone and name; `check` only plans."""

    def __init__(self, client: GceClient, zone: str, name: str, check: bool = False) -> None:
        self.client, self.zone, self.name, self.check = client, zone, name, check
        self.calls = InstanceCalls(client, zone, name)
        self.reader = InstanceReader(client, self.calls)
        self.plan = InstancePlan(client, self.reader, name, check)
        self.warnings = self.plan.warnings
        # Set where a machine was asked for last, so that a stock-out or quota error is about that.
        self.asked_for_machine = False
        # Fields of the instance that a recreation deletes, for whoever makes it elsewhere.
        self.carried: dict[str, Any] | None = None

    def fetch(self) -> dict[str, Any] | None:
        """The instance's resource, None where there is none; an unknown zone is an error."""
        return zone_known(self.client, self.zone, self.calls.fetch)

    def present(self, resource: dict[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have it run, with the named fields as wished; `resource` is what `fetch` returned."""
        if resource is None:
            return self.make(self.planned(params))
        try:
            return self._converge(resource, self.plan.wish(params), params, "RUNNING")
        except GceError as error:
            # A deletion that was under way has ended: now there is none, and one is wished.
            if error.reason == "vanished" and resource.get("status") in GOING:
                return self.make(self.planned(params))
            raise

    def stopped(self, resource: dict[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have it stopped, with the named fields as wished; never makes one in order to stop it."""
        if resource is None:
            return self._result(None, [], {"before": {}, "after": {}})
        return self._converge(resource, self.plan.wish(params), params, "TERMINATED")

    def absent(self, resource: dict[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have none; deletion protection is lifted only where the caller names it as off.

        Further disks go where they are set to go with the instance, or where the caller names them
        and asks for that (`delete_disks`); the result's `kept_disks` names those that stay.
        """
        named = further_disks.names(fields_of.wish(params, self.client.project))
        going = self.reader.unattached(named) if params["delete_disks"] and named else {}
        refuse.taken_disks(self.calls.where, self.name, {}, going)
        if resource is None:
            gone = [Change(f"disks.{disk}", disk, None, "delete") for disk in sorted(going)]
            before = {change.field: change.before for change in gone}
            if not self.check:
                self._delete_disks(going)
            result = self._result(None, gone, diff.before_after(before, {}, before))
            return {**result, "kept_disks": []}
        refuse.protected(self.calls.where, resource, params, "deleted")
        staying = self._staying(resource, params)
        attached = further_disks.attached(resource)
        lost = sorted({*(disk for disk in attached if disk not in staying), *going})
        before = {"instance": self.name, "status": resource.get("status")}
        before |= {f"disks.{disk}": disk for disk in lost}
        if not self.check:
            self._keep(resource, staying)
            self.delete(resource)
            self._delete_disks(going)
        gone = [Change("instance", self.name, None, "delete")]
        gone += [Change(f"disks.{disk}", disk, None, "delete") for disk in lost]
        result = self._result(None, gone, diff.before_after(before, {}, before))
        return {**result, "kept_disks": sorted(set(staying) - set(going))}

    def _staying(self, resource: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
        """Names of the disks that outlive the instance: as they are set, or as the task says."""
        asked = {one["name"]: one["auto_delete"] for one in params["disks"] or []}
        asked[""] = (params["boot_disk"] or {}).get("auto_delete")
        staying = []
        for disk in resource.get("disks") or []:
            name = convert.short(str(disk.get("source") or disk.get("deviceName")))
            wished = asked.get("" if disk.get("boot") else name)
            if disk.get("type") != "SCRATCH" and (not disk.get("autoDelete") or wished is False):
                staying.append(name)
        return staying

    def _keep(self, resource: Mapping[str, Any], staying: Iterable[str]) -> None:
        """See to it that disks outlive the instance."""
        for disk in resource.get("disks") or []:
            name = convert.short(str(disk.get("source") or ""))
            if name in set(staying) and disk.get("autoDelete"):
                self.calls.disks.auto_delete(str(disk["deviceName"]), False)

    def _delete_disks(self, names: Iterable[str]) -> None:
        for disk in sorted(names):
            # Set to go with the instance, it is gone already.
            if self.reader.unattached([disk]):
                self.calls.disks.delete(disk)

    def planned(
        self, params: Mapping[str, Any], carried: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Every field of a new instance; what `params` don't name is as `carried` has it.

        Raises:
            GceError: something that would make the request fail for sure.
        """
        wanted = self.plan.wish(params)
        return self.plan.moved(carried, wanted) if carried else self.plan.new(wanted)

    def make(self, final: dict[str, Any]) -> dict[str, Any]:
        """Make an instance of planned fields."""
        resource = None
        after: Mapping[str, Any] = {**final, "status": "RUNNING"}
        if not self.check:
            self._insert(final)
            resource = self._caught_up(final)
            after = self.reader.view(resource, {*final, *OF_BOOT_DISK})
        made = [Change("instance", None, self.name, "create")]
        managed = [field for field in [*final, "status"] if not field.endswith(".source")]
        return self._result(resource, made, diff.before_after({}, after, managed))

    def _caught_up(self, final: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for a new instance; disks that were there before it may have to grow or be tuned."""
        resource = self._settled("RUNNING")
        wanted = {
            field: value
            for field, value in final.items()
            if field.startswith("disks.") and not field.endswith(".source")
        }
        found = diff.changes(self.reader.view(resource, wanted), wanted, how) if wanted else []
        self.calls.apply(found, resource, final)
        return self.calls.fetch() or resource if found else resource

    def _insert(self, final: Mapping[str, Any]) -> None:
        body = instance_body.insert_body(self.name, self.zone, self.client.project, final)
        self.asked_for_machine = True
        try:
            self.calls.insert(body)
        except ApiError as error:
            # Someone, or an earlier run that was cut off, was faster: the next read tells.
            if error.reason != "alreadyExists" or "/disks/" in error.google_message:
                raise
        # There it is: what is refused from now on is no lack of a machine.
        self.asked_for_machine = False

    def delete(self, resource: Mapping[str, Any]) -> None:
        """Delete it, also where it is protected; whether that may be was asked before."""
        if resource.get("deletionProtection"):
            self.calls.protect(False)
        self.calls.delete()

    def delete_to_remake(self, resource: Mapping[str, Any]) -> None:
        """Delete it with its boot disk, but none of its further disks."""
        boot = fields_of.boot_disk(resource)
        self._keep(resource, further_disks.attached(resource))
        if boot and not boot.get("autoDelete"):
            # `refuse.recreation` let this pass: the caller says that it may go.
            self.calls.disks.auto_delete(str(boot["deviceName"]), True)
        self.delete(resource)

    def _converge(
        self,
        resource: dict[str, Any],
        wanted: dict[str, Any],
        params: Mapping[str, Any],
        status: str,
    ) -> dict[str, Any]:
        family = wanted.get("boot_disk.image_family", "")
        boot_type = wanted.get("boot_disk.type", "")
        current = self.reader.view(resource, wanted, family, boot_type)
        wanted = self.plan.comparable(wanted, current)
        self._refuse_taken(wanted, current)
        found = diff.changes(current, wanted, how)
        is_up = current["status"] not in STOPPED | GOING | {"SUSPENDED"}
        if is_up != (status == "RUNNING"):
            found.append(Change("status", current["status"], status, "live"))
        # On its way there already: nothing to change, yet something to wait for.
        settling = current["status"] in (COMING if status == "RUNNING" else GOING)
        refuse.unallowed(self.calls.where, found, params, needs_stop=is_up and status == "RUNNING")
        kinds = {change.how for change in found}
        after = diff.merged(
            current, {**wanted, "status": status if found or settling else current["status"]}
        )
        managed = [*wanted, "status"]
        replacement = None
        if found and status == "RUNNING" and "recreate" not in kinds:
            instance_checks.refuse_bad(self.name, _checkable(after, wanted))
        if "recreate" in kinds:
            refuse.recreation(self.calls.where, resource, params)
            self.carried = self.carried_fields(resource, current)
            replacement = self.plan.anew(self.carried, wanted)
        elif {"machine_type", "accelerators"} & {change.field for change in found}:
            # Before anything is stopped for a machine that there is not.
            machine_with(
                self.client, self.zone, after["machine_type"], wanted.get("accelerators") or []
            )
        if any(change.field == "address" for change in found) and addresses.is_ip(after["address"]):
            self.plan.reserved(after["address"])
        if not self.check and (found or settling):
            if replacement:
                self.delete_to_remake(resource)
                self._insert(replacement)
                self._caught_up(replacement)
            else:
                self._carry_out(resource, found, after, is_up)
            resource = self._settled(status)
            after = self.reader.view(resource, wanted, family, boot_type)
        result = self._result(resource, found, diff.before_after(current, after, managed))
        if status == "RUNNING" and not replacement and params["report_newer_image"]:
            result["newer_image"] = self._newer_image(current, wanted)
        return result

    def _refuse_taken(self, wanted: Mapping[str, Any], current: Mapping[str, Any]) -> None:
        """A disk that is to be attached is nobody else's."""
        coming = {
            name: disk
            for name, disk in self.reader.more.items()
            if not current.get(f"disks.{name}.attached")
        }
        refuse.taken_disks(self.calls.where, self.name, wanted, coming)

    def _newer_image(
        self, current: Mapping[str, Any], wanted: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Asked only where the task speaks of the image; no request more than that."""
        if not {"boot_disk.image", "boot_disk.image_family"} & set(wanted):
            return None
        family = str(current.get("boot_disk.image_family") or "")
        image = str(
            current.get(f"metadata.{image_pin.IMAGE}") or current.get("boot_disk.image", "")
        )
        if not family or not image:
            return None
        newest = self.reader.newest
        if newest is None:
            newest, warning = image_pin.newest_of(self.client, family)
            self.warnings += [warning] if warning else []
        known = str(current.get(f"metadata.{image_pin.IMAGE_ID}") or "")
        return image_pin.newer(family, image, known, newest) if newest else None

    def _carry_out(
        self, resource: dict[str, Any], found: list[Change], after: Mapping[str, Any], is_up: bool
    ) -> None:
        fields = [change for change in found if change.field != "status"]
        goes_down = any(
            change.field == "status" and change.after == "TERMINATED" for change in found
        )
        down_for_change = not goes_down and is_up and any(one.how == "stop" for one in fields)
        if goes_down or down_for_change:
            self._settled("RUNNING")
            self.calls.call("stop")
        if goes_down or down_for_change or resource.get("status") in GOING:
            resource = self._settled("TERMINATED")
        try:
            self.calls.apply(fields, resource, after)
        except GceError as error:
            if down_for_change:
                self.calls.call("start")
                error.message += " The instance, stopped for this change, was started again."
            raise
        if after["status"] != "RUNNING":
            return
        self.asked_for_machine = True
        if resource.get("status") in STOPPED:
            self.calls.call("start")
        elif resource.get("status") == "SUSPENDED":
            self.calls.call("resume")

    def carried_fields(
        self, resource: Mapping[str, Any], known: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """All fields of an instance that is to be made anew, those of its boot disk too."""
        more = [f"disks.{name}.type" for name in further_disks.attached(resource)]
        fields = {**self.reader.view(resource, {*OF_BOOT_DISK, *more}), **(known or {})}
        address = fields.get("address")
        if address and not addresses.find(self.client, convert.region_of(self.zone), address):
            del fields["address"]  # not reserved: it goes with the instance
        return fields

    def _settled(self, status: str) -> dict[str, Any]:
        """Wait until it is in the status (RUNNING or TERMINATED), and return its resource."""
        goal = STOPPED if status == "TERMINATED" else {status}

        def poll() -> dict[str, Any]:
            found = self.calls.fetch()
            if found is None:
                raise GceError(
                    f"The {self.calls.where} vanished while it was waited for.",
                    reason="vanished",
                    remedy="someone or something else deleted it; run again to have it made anew.",
                )
            return found

        def done(resource: dict[str, Any]) -> bool:
            now = resource.get("status")
            return now in goal or (status == "TERMINATED" and now == "SUSPENDED")

        return wait_until(
            poll,
            done,
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


def _checkable(after: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """All fields but those of disks that the task doesn't name: they are others' to answer for."""
    named = further_disks.names(wanted)
    return {
        field: value
        for field, value in after.items()
        if not field.startswith("disks.") or field.split(".")[1] in named
    }
