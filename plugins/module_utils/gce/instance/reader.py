# SPDX-License-Identifier: Apache-2.0
"""An instance and its disks as flat fields, with as few requests as will do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import naming
from ..client import GceClient
from ..disk import fields as further_disks
from . import fields as fields_of
from . import image_record
from .api import InstanceCalls

Json = dict[str, Any]

# All that only the boot disk's own resource tells.
OF_BOOT_DISK = frozenset(
    {
        "boot_disk.image",
        "boot_disk.type",
        "boot_disk.provisioned_iops",
        "boot_disk.provisioned_throughput",
    }
)


class InstanceReader:
    """Reads what is asked for, and remembers the newest image where it came along.

    Attributes:
        newest: newest image of the desired family, where a request for something else told it.
        boot: the boot disk's resource as last read.
        more: name to resource of further disks as last read.
    """

    def __init__(self, client: GceClient, calls: InstanceCalls) -> None:
        self.client, self.calls = client, calls
        self.newest: Json | None = None
        self.boot: Json | None = None
        self.more: dict[str, Json] = {}

    def view(
        self,
        resource: Mapping[str, Any],
        fields: Iterable[str],
        family: str = "",
        boot_type: str = "",
    ) -> dict[str, Any]:
        """Flat fields; disks are asked only where one of `fields` needs it.

        Args:
            fields: names, or the desired state. For a boot disk larger than the
                instance shows, the disk itself is read: the instance may show its old size.
            family: the desired image family, `PROJECT/FAMILY`.
            boot_type: the desired type of the boot disk. Where the instance's record says that it
                has this one, that is believed; a difference is only ever seen on the disk itself.
        """
        asked = set(fields)
        view = fields_of.view(resource, self.client.project)
        boot = fields_of.boot_disk(resource).get("source")
        unrecorded = "boot_disk.image_family" in asked and "boot_disk.image_family" not in view
        paths = {}
        known_type = boot_type and self._recorded_type(resource) == boot_type
        of_disk = OF_BOOT_DISK - {"boot_disk.type"} if known_type else OF_BOOT_DISK
        size = "boot_disk.size_gb"
        desired = (fields.get(size) if isinstance(fields, Mapping) else None) or 0
        if boot and (of_disk & asked or unrecorded or desired > view.get(size, 0)):
            paths[""] = naming.relative(str(boot))
        for name in further_disks.names(asked):
            there = view.get(f"disks.{name}.source")
            paths[name] = there or f"{self.client.root}/zones/{self.calls.zone}/disks/{name}"
        found = self._disks(paths)
        self.boot, self.more = found.pop("", None), found
        view = fields_of.view(resource, self.client.project, self.boot, found)
        if known_type:
            view.setdefault("boot_disk.type", boot_type)
        if unrecorded:
            known, self.newest = image_record.family_and_newest(self.client, self.boot, family)
            if known:
                view["boot_disk.image_family"] = known
        return view

    @staticmethod
    def _recorded_type(resource: Mapping[str, Any]) -> str:
        """Type in the record, where that and the attached disk's size make the disk's own
        resource dispensable.
        """
        boot = fields_of.boot_disk(resource)
        metadata = naming.items_to_dict((resource.get("metadata") or {}).get("items"))
        source = str(boot.get("source", ""))
        return image_record.recorded_type(metadata, source) if boot.get("diskSizeGb") else ""

    def unattached(self, names: Iterable[str]) -> dict[str, Json]:
        """Name to resource of those of the zone's disks that exist."""
        start = f"{self.client.root}/zones/{self.calls.zone}/disks"
        return self._disks({name: f"{start}/{name}" for name in names})

    def _disks(self, paths: Mapping[str, str]) -> dict[str, Json]:
        """Key to disk of those paths where one is; those of the zone by one request."""
        zone = f"{self.client.root}/zones/{self.calls.zone}/disks"
        zonal = {key: path for key, path in paths.items() if path.rsplit("/", 1)[0] == zone}
        found: dict[str, Json] = {}
        if len(zonal) > 1:
            wanted = sorted({naming.short(path) for path in zonal.values()})
            listed = self.client.list(
                zone,
                f"read the disks of the {self.calls.where}",
                filter=" OR ".join(f'(name = "{name}")' for name in wanted),
            )
            by_name = {str(disk["name"]): disk for disk in listed}
            for key, path in zonal.items():
                if naming.short(path) in by_name:
                    found[key] = by_name[naming.short(path)]
        for key, path in paths.items():
            if len(zonal) > 1 and key in zonal:
                continue
            disk = self.client.find(
                path, f"read the disk {naming.short(path)} of the {self.calls.where}"
            )
            if disk:
                found[key] = disk
        return found
