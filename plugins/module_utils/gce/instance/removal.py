# SPDX-License-Identifier: Apache-2.0
"""Deletes an instance: for good, with its disks and notes, or in order to recreate it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ... import diff
from ...diff import Change
from .. import naming
from ..client import GceClient
from ..disk import fields as further_disks
from . import fields as fields_of
from . import refusals as refuse
from .api import InstanceCalls
from .reader import InstanceReader
from .recreate_journal import RecreateNotes

Json = dict[str, Any]


class InstanceRemoval:
    """Deletes one instance; `check` only plans."""

    def __init__(
        self, client: GceClient, reader: InstanceReader, notes: RecreateNotes, check: bool
    ) -> None:
        self.client, self.reader, self.calls = client, reader, reader.calls
        self.notes, self.check = notes, check

    def absent(
        self, resource: Json | None, params: Mapping[str, Any]
    ) -> tuple[list[Change], dict[str, Any], list[str]]:
        """Changes, what of them is in the diff's before, and names of the disks that stay.

        Further disks go where they are set to go with the instance, or where the caller names them
        and asks for that (`delete_disks`). Those that an earlier run kept for a new instance, and
        that were set to go with the old one, go too.
        """
        calls: InstanceCalls = self.calls
        named = further_disks.names(fields_of.desired(params, self.client.project))
        going = self.reader.unattached(named) if params["delete_disks"] and named else {}
        refuse.taken_disks(calls.where, calls.name, {}, going)
        going |= self._kept_for_a_new_one(resource, params)
        before: dict[str, Any] = {}
        staying: list[str] = []
        lost = sorted(going)
        if resource is not None:
            refuse.protected(calls.where, resource, params, "deleted")
            staying = [one for one in self._staying(resource, params) if one not in going]
            attached = further_disks.attached(resource)
            lost = sorted({*(disk for disk in attached if disk not in staying), *going})
            before = {"instance": calls.name, "status": resource.get("status")}
        before |= {f"disks.{disk}": disk for disk in lost}
        if not self.check:
            if resource is not None:
                self.keep(resource, staying)
                self.delete(resource)
            self._delete_disks(going)
            self.notes.forget()
        gone = [Change("instance", calls.name, None, "delete")] if resource is not None else []
        gone += [Change(f"disks.{disk}", disk, None, "delete") for disk in lost]
        return gone, before, sorted(staying)

    def _kept_for_a_new_one(
        self, resource: Json | None, params: Mapping[str, Any]
    ) -> dict[str, Json]:
        note = self.notes.read()
        if note is None or (resource is not None and not note.is_of(resource)):
            return {}
        asked = {one["name"]: one["auto_delete"] for one in params["disks"] or []}
        names = [disk for disk in note.going_disks() if asked.get(disk) is not False]
        found = self.reader.unattached(names) if names else {}
        own = f"/instances/{self.calls.name}"
        return {
            disk: one
            for disk, one in found.items()
            if all(str(user).endswith(own) for user in one.get("users") or [])
        }

    def _staying(self, resource: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
        """Names of the disks that outlive the instance: as they are set, or as the task says."""
        asked = {one["name"]: one["auto_delete"] for one in params["disks"] or []}
        asked[""] = (params["boot_disk"] or {}).get("auto_delete")
        staying = []
        for disk in resource.get("disks") or []:
            name = naming.short(str(disk.get("source") or disk.get("deviceName")))
            desired = asked.get("" if disk.get("boot") else name)
            if disk.get("type") != "SCRATCH" and (not disk.get("autoDelete") or desired is False):
                staying.append(name)
        return staying

    def keep(self, resource: Mapping[str, Any], staying: Iterable[str]) -> None:
        """See to it that disks outlive the instance."""
        for disk in resource.get("disks") or []:
            name = naming.short(str(disk.get("source") or ""))
            if name in set(staying) and disk.get("autoDelete"):
                self.calls.disks.auto_delete(str(disk["deviceName"]), False)

    def _delete_disks(self, names: Iterable[str]) -> None:
        for disk in sorted(names):
            # Set to go with the instance, it is gone already.
            if self.reader.unattached([disk]):
                self.calls.disks.delete(disk)

    def delete(self, resource: Mapping[str, Any]) -> None:
        """Delete it, also where it is protected; whether that may be was asked before."""
        if resource.get("deletionProtection"):
            self.calls.protect(False)
        self.calls.delete()

    def delete_to_recreate(self, resource: Mapping[str, Any], carried: Mapping[str, Any]) -> None:
        """Delete it with its boot disk, but none of its further disks; what it had is kept."""
        self.notes.write(resource, carried)
        boot = fields_of.boot_disk(resource)
        self.keep(resource, further_disks.attached(resource))
        if boot and not boot.get("autoDelete"):
            # `refuse.recreation` let this pass: the caller says that it may go.
            self.calls.disks.auto_delete(str(boot["deviceName"]), True)
        self.delete(resource)


def removed(before: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The diff of what is gone."""
    return diff.before_after(before, {}, before)
