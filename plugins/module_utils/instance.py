# SPDX-License-Identifier: Apache-2.0
"""One instance, made present, stopped or absent: plan first, then carry out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import addresses, convert, diff, images, lookups, machine_types
from . import instance_fields as fields_of
from .diff import Change
from .errors import ApiError, GceError
from .gce_client import GceClient
from .instance_calls import InstanceCalls
from .operations import wait_until
from .redact import without_secrets

STOPPED = frozenset({"TERMINATED", "STOPPED"})
COMING = frozenset({"PENDING", "PROVISIONING", "STAGING", "REPAIRING"})
GOING = frozenset({"STOPPING", "PENDING_STOP", "SUSPENDING", "DEPROVISIONING"})
NEEDS_DISK = frozenset({"boot_disk.image", "boot_disk.type"})


class Instance:
    """An instance by zone and name; `check` only plans."""

    def __init__(self, client: GceClient, zone: str, name: str, check: bool = False) -> None:
        self.client, self.zone, self.name, self.check = client, zone, name, check
        self.calls = InstanceCalls(client, zone, name)
        self.warnings: list[str] = []
        # Set where a machine was asked for last, so that a stock-out or quota error is about that.
        self.asked_for_machine = False
        # Fields of the instance that a recreation deletes, for whoever makes it elsewhere.
        self.carried: dict[str, Any] | None = None

    def fetch(self) -> dict[str, Any] | None:
        """The instance's resource, None where there is none; an unknown zone is an error."""
        return lookups.zone_known(self.client, self.zone, self.calls.fetch)

    def present(self, resource: dict[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have it run, with the named fields as wished; `resource` is what `fetch` returned."""
        if resource is None:
            return self.make(self.planned(params))
        try:
            return self._converge(resource, self._wish(params), params, "RUNNING")
        except GceError as error:
            # A deletion that was under way has ended: now there is none, and one is wished.
            if error.reason == "vanished" and resource.get("status") in GOING:
                return self.make(self.planned(params))
            raise

    def stopped(self, resource: dict[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have it stopped, with the named fields as wished; never makes one in order to stop it."""
        if resource is None:
            return self._result(None, [], {"before": {}, "after": {}})
        return self._converge(resource, self._wish(params), params, "TERMINATED")

    def absent(self, resource: dict[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have none; deletion protection is lifted only where the caller names it as off."""
        if resource is None:
            return self._result(None, [], {"before": {}, "after": {}})
        self.refuse_protected(resource, params, "deleted")
        before = {"instance": self.name, "status": resource.get("status")}
        if not self.check:
            self.delete(resource)
        gone = [Change("instance", self.name, None, "delete")]
        return self._result(None, gone, diff.before_after(before, {}, before))

    def planned(
        self, params: Mapping[str, Any], carried: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Every field of a new instance; what `params` don't name is as `carried` has it.

        Raises:
            GceError: something that would make the request fail for sure.
        """
        wanted = self._wish(params)
        return self._planned_anew(carried, wanted) if carried else self._planned_new(wanted)

    def make(self, final: dict[str, Any]) -> dict[str, Any]:
        """Make an instance of planned fields."""
        resource = None
        after: Mapping[str, Any] = {**final, "status": "RUNNING"}
        if not self.check:
            self._insert(final)
            resource = self._settled("RUNNING")
            after = self._view(resource, NEEDS_DISK)
        made = [Change("instance", None, self.name, "create")]
        return self._result(resource, made, diff.before_after({}, after, [*final, "status"]))

    def _insert(self, final: Mapping[str, Any]) -> None:
        body = fields_of.insert_body(self.name, self.zone, self.client.project, final)
        self.asked_for_machine = True
        try:
            self.calls.insert(body)
        except ApiError as error:
            # Someone, or an earlier run that was cut off, was faster: the next read tells.
            if error.reason != "alreadyExists":
                raise

    def delete(self, resource: Mapping[str, Any]) -> None:
        """Delete it, also where it is protected; whether that may be was asked before."""
        if resource.get("deletionProtection"):
            self.calls.protect(False)
        self.calls.delete()

    def _wish(self, params: Mapping[str, Any]) -> dict[str, Any]:
        wanted = fields_of.wish(params, self.client.project)
        if wanted.get("address") and not addresses.is_ip(wanted["address"]):
            wanted["address"] = self._reserved(wanted["address"])
        return wanted

    def _reserved(self, wanted: str) -> str:
        """IP of an address, by name or IP; it is reserved, and nobody else has it."""
        region = convert.region_of(self.zone)
        found = addresses.find(self.client, region, wanted)
        if found:
            addresses.refuse_taken(found, region, self.name)
            return str(found["address"])
        error = addresses.unknown(self.client, region, wanted)
        if not self.check or addresses.is_ip(wanted):
            raise error
        # An earlier task of the same play would have reserved it.
        self.warnings.append(f"{error.message} The real run needs it.")
        return f"{wanted} (not reserved yet)"

    def _look_for_network(self, final: Mapping[str, Any]) -> None:
        try:
            lookups.network(self.client, final["network"])
        except GceError as error:
            # An earlier task of the same play would have made it, with its subnetwork.
            if error.reason != "networkNotFound" or not (self.check and final.get("subnetwork")):
                raise
            self.warnings.append(f"{error.message} The real run needs it.")

    def _planned_new(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Every field of a new instance, its image resolved to one by name."""
        for field, names in (
            ("machine_type", ("machine_type",)),
            (
                "boot_disk.image or boot_disk.image_family",
                ("boot_disk.image", "boot_disk.image_family"),
            ),
        ):
            if not any(wanted.get(name) for name in names):
                raise GceError(
                    f"The {self.calls.where} does not exist, and {field}, without which none "
                    "can be made, is not given.",
                    reason="missingOption",
                    remedy=f"give {field}, or correct name and zone if it should be there.",
                )
        final = fields_of.with_creation_defaults({k: v for k, v in wanted.items() if v is not None})
        # All that can be known to be wrong is found out now: later there may be no old one left.
        wished_gpus = final.get("accelerators") or []
        lookups.machine_with(self.client, self.zone, final["machine_type"], wished_gpus)
        if final.get("network"):
            self._look_for_network(final)
        if addresses.is_ip(final.get("address") or ""):
            self._reserved(final["address"])
        family = final.get("boot_disk.image_family")
        if final.get("boot_disk.image"):
            images.by_name(self.client, *final["boot_disk.image"].split("/", 1))
        elif family:
            project, name = family.split("/", 1)
            image = images.from_family(self.client, project, name)
            final["boot_disk.image"] = f"{project}/{image['name']}"
            final[f"metadata.{fields_of.FAMILY_RECORD}"] = family
            final[f"metadata.{fields_of.IMAGE_RECORD}"] = final["boot_disk.image"]
        return final

    def _converge(
        self,
        resource: dict[str, Any],
        wanted: dict[str, Any],
        params: Mapping[str, Any],
        status: str,
    ) -> dict[str, Any]:
        current = self._view(resource, set(wanted))
        wanted = fields_of.keep_other_keys(self._comparable(wanted, current), current)
        found = diff.changes(current, wanted, fields_of.how)
        is_up = current["status"] not in STOPPED | GOING | {"SUSPENDED"}
        if is_up != (status == "RUNNING"):
            found.append(Change("status", current["status"], status, "live"))
        # On its way there already: nothing to change, yet something to wait for.
        settling = current["status"] in (COMING if status == "RUNNING" else GOING)
        self._refuse_unallowed(found, params, needs_stop=is_up and status == "RUNNING")
        kinds = {change.how for change in found}
        after = diff.merged(
            current, {**wanted, "status": status if found or settling else current["status"]}
        )
        managed = [*wanted, "status"]
        replacement = None
        if "recreate" in kinds:
            self.refuse_recreation(resource, params)
            self.carried = self.carried_fields(resource, current)
            replacement = self._planned_anew(self.carried, wanted)
        elif {"machine_type", "accelerators"} & {change.field for change in found}:
            # Before anything is stopped for a machine that there is not.
            lookups.machine_with(
                self.client, self.zone, after["machine_type"], wanted.get("accelerators") or []
            )
        if any(change.field == "address" for change in found) and addresses.is_ip(after["address"]):
            self._reserved(after["address"])
        if not self.check and (found or settling):
            if replacement:
                self.delete(resource)
                self._insert(replacement)
            else:
                self._carry_out(resource, found, after, is_up)
            resource = self._settled(status)
            after = self._view(resource, set(wanted))
        return self._result(resource, found, diff.before_after(current, after, managed))

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
        fields = {**self._view(resource, NEEDS_DISK), **(known or {})}
        address = fields.get("address")
        if address and not addresses.find(self.client, convert.region_of(self.zone), address):
            del fields["address"]  # not reserved: it goes with the instance
        return fields

    def _planned_anew(
        self, carried: Mapping[str, Any], wanted: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Fields of the instance that takes the place of another; what is not named is kept."""
        stale = ["status"]
        if {"boot_disk.image", "boot_disk.image_family"} & set(wanted):
            # What is wished decides; a record of the old image would contradict it.
            stale += ["boot_disk.image", "boot_disk.image_family"]
            stale += [f"metadata.{fields_of.FAMILY_RECORD}", f"metadata.{fields_of.IMAGE_RECORD}"]
        if wanted.get("machine_type", carried["machine_type"]) != carried["machine_type"]:
            stale += ["accelerators", "scheduling.on_host_maintenance"]
        if "network" in wanted:
            stale.append("subnetwork")
        if wanted.get("external_ip") is False:
            stale.append("address")
        if "scheduling.provisioning_model" in wanted:
            stale += [field for field in carried if field.startswith("scheduling.")]
        kept = {field: value for field, value in carried.items() if field not in stale}
        return self._planned_new(diff.merged(kept, wanted))

    def _view(
        self, resource: Mapping[str, Any], fields: set[str] | frozenset[str]
    ) -> dict[str, Any]:
        """Flat fields; the boot disk is asked only where one of `fields` needs it."""
        disk = self.calls.fetch_boot_disk(resource) if NEEDS_DISK & set(fields) else None
        view = fields_of.view(resource, self.client.project, disk)
        if "boot_disk.image_family" in fields and "boot_disk.image_family" not in view:
            family = self._family_of_disk(resource)
            if family:
                view["boot_disk.image_family"] = family
        return view

    def _family_of_disk(self, resource: Mapping[str, Any]) -> str:
        """For an instance that others made: the family of its image; '' where that is gone."""
        disk = self.calls.fetch_boot_disk(resource) or {}
        path = convert.relative(str(disk.get("sourceImage", "")))
        image = (
            self.client.find(path, f"look up the image of the {self.calls.where}") if path else None
        )
        return f"{path.split('/')[1]}/{image['family']}" if image and image.get("family") else ""

    def _comparable(self, wanted: dict[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
        """The wish without what nothing is known of to compare it with."""
        if "boot_disk.image_family" in wanted and "boot_disk.image_family" not in current:
            self.warnings.append(
                f"The image that the {self.calls.where} was made from no longer exists, so its "
                "family was not compared."
            )
            wanted = {field: v for field, v in wanted.items() if field != "boot_disk.image_family"}
        machine = wanted.get("machine_type", current["machine_type"])
        if machine_types.bundles_gpus(machine):
            wanted = {field: value for field, value in wanted.items() if field != "accelerators"}
        if wanted.get("accelerators"):
            # With GPUs there is no live migration, whether or not the caller thought of that.
            return {"scheduling.on_host_maintenance": "TERMINATE", **wanted}
        return wanted

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

    def _refuse_unallowed(
        self, found: list[Change], params: Mapping[str, Any], needs_stop: bool
    ) -> None:
        blocked = [
            change for change in found if change.how == "recreate" and not params["allow_recreate"]
        ]
        option = "allow_recreate"
        if not blocked and needs_stop and not params["allow_stop"]:
            recreates = any(change.how == "recreate" for change in found)
            blocked = [] if recreates else [change for change in found if change.how == "stop"]
            option = "allow_stop"
        if not blocked:
            return
        texts = []
        for change in blocked:
            before, after = diff.shown(change.field, change.before, change.after)
            texts.append(f"{change.field} is {_said(before)} and should be {_said(after)}")
        verb = "deleting it and making it anew" if option == "allow_recreate" else "stopping it"
        cost = ", which loses what is on its boot disk" if option == "allow_recreate" else ""
        raise GceError(
            f"The {self.calls.where} differs in what can't change without {verb}: "
            f"{'; '.join(texts)}. Nothing was changed.",
            reason="notAllowed",
            remedy=f"set {option}: true to let this happen{cost}, or set the named fields back.",
            details={
                "changes": [change.as_dict() for change in found],
                "blocked": [change.field for change in blocked],
            },
        )

    def refuse_recreation(self, resource: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        """Deletion protection and further disks stand in the way of deleting in order to remake."""
        self.refuse_protected(resource, params, "recreated")
        self._refuse_more_disks(resource)

    def refuse_protected(
        self, resource: Mapping[str, Any], params: Mapping[str, Any], deed: str
    ) -> None:
        """Deletion protection holds unless the caller names it as off."""
        if resource.get("deletionProtection") and params["deletion_protection"] is not False:
            raise GceError(
                f"The {self.calls.where} has deletion protection, so it was not {deed}.",
                reason="deletionProtection",
                remedy="name deletion_protection: false in the same task if it really should go.",
            )

    def _refuse_more_disks(self, resource: Mapping[str, Any]) -> None:
        more = [
            str(disk.get("deviceName"))
            for disk in resource.get("disks") or []
            if not disk.get("boot")
        ]
        if more:
            raise GceError(
                f"The {self.calls.where} has further disks ({', '.join(more)}), which recreating "
                "it could lose. Nothing was changed.",
                reason="furtherDisks",
                remedy="detach them (`gcloud compute instances detach-disk`), run again, and "
                "attach them.",
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
            "warnings": self.warnings,
        }


def _said(value: Any) -> str:
    return "not set" if value is None else str(value)
