# SPDX-License-Identifier: Apache-2.0
"""One call a kind of change of an instance's disks; each waits for its operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...diff import Change, Flat, under
from ...errors import ApiError, OperationError
from .. import naming
from ..client import GceClient
from ..operations import finish
from . import fields as further_disks

# Of an answer, and of an operation that has ended.
ALREADY_THERE = frozenset({"alreadyExists", "RESOURCE_ALREADY_EXISTS"})
# POST of one of the instance's own methods: verb, body, query.
Call = Callable[..., None]


class DiskCalls:
    """What the API can do to disks.

    Args:
        call: the instance's own methods.
        where: the instance, in words.
    """

    def __init__(self, client: GceClient, zone: str, where: str, call: Call) -> None:
        self.client, self.zone, self.where, self.call = client, zone, where, call
        self._devices: dict[str, str] = {}
        self.collection = f"{client.root}/zones/{zone}/disks"

    def apply(self, changed: set[str], after: Flat) -> None:
        """Send changes of further disks.

        Args:
            changed: fields that differ.
            after: all flat fields as they should be in the end; a disk that was there before has
                its `source`, one that is to be detached has none at all.
        """
        after = further_disks.with_creation_defaults(after)
        staying = further_disks.names(after)
        for name in further_disks.names(changed):
            if name not in staying:
                self.call("detachDisk", None, deviceName=self._device_before(name))
                continue
            start = f"disks.{name}"
            options = set(under(dict.fromkeys(changed), start))
            source = after.get(f"{start}.source")
            if not source:
                source = self._create(name, after)
            else:
                self.grow_and_tune(start, source, options, after)
            entry = further_disks.attachment({**after, f"{start}.source": source}, name)
            if "attached" in options:
                self.call("attachDisk", entry)
            elif options & {"mode", "device_name"}:
                # There is no other way to change them. The instance is stopped, so no writes are
                # cut off; a run that ends between the two calls is finished by the next.
                self.call("detachDisk", None, deviceName=self._device_before(name))
                self.call("attachDisk", entry)
            elif "auto_delete" in options:
                self.auto_delete(entry["deviceName"], entry["autoDelete"])

    def know(self, resource: Mapping[str, Any]) -> None:
        """Keep the device names that disks have now."""
        self._devices = {
            name: str(entry.get("deviceName"))
            for name, entry in further_disks.attached(resource).items()
        }

    def _device_before(self, name: str) -> str:
        return self._devices[name]

    def grow_and_tune(self, start: str, path: str, options: set[str], after: Flat) -> None:
        """Size and performance of a disk that exists; growing first, as performance goes by it."""
        name = naming.short(path)
        if "size_gb" in options:
            size = after[f"{start}.size_gb"]
            self._run(
                f"grow the disk {name} of the {self.where} to {size} GB",
                lambda what: self.client.post(f"{path}/resize", what, {"sizeGb": str(size)}),
            )
        tuned = {
            theirs: str(after[f"{start}.{ours}"])
            for ours, theirs in further_disks.PERFORMANCE.items()
            if ours in options
        }
        if tuned:
            self._run(
                f"change the performance of the disk {name} of the {self.where}",
                lambda what: self.client.patch(path, what, tuned, paths=sorted(tuned)),
            )

    def auto_delete(self, device: str, desired: bool) -> None:
        """Whether a disk goes with the instance."""
        self.call("setDiskAutoDelete", None, deviceName=device, autoDelete=str(desired).lower())

    def delete(self, name: str) -> None:
        """Delete a disk that nothing uses."""
        path = f"{self.collection}/{name}"
        self._run(f"delete the disk {name}", lambda what: self.client.delete(path, what))

    def _create(self, name: str, after: Flat) -> str:
        body = further_disks.creation(after, name, self.zone, self.client.project)
        try:
            self._run(
                f"create the disk {name} for the {self.where}",
                lambda what: self.client.post(self.collection, what, body),
            )
        except (ApiError, OperationError) as error:
            # An earlier run that was interrupted was faster.
            if error.reason not in ALREADY_THERE:
                raise
        return f"{self.collection}/{name}"

    def _run(self, what: str, send: Callable[[str], dict[str, Any]]) -> None:
        finish(self.client, send(what), what)


def changed_fields(found: list[Change]) -> set[str]:
    """Names of the fields of further disks that differ."""
    return {change.field for change in found if change.field.startswith("disks.")}
