# SPDX-License-Identifier: Apache-2.0
"""Disks beside the boot disk, as flat fields `disks.NAME.OPTION` and in requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...diff import Flat, under
from ...errors import GceError
from ...hardware import machine_types
from .. import naming

OPTIONS = (
    "size_gb",
    "type",
    "image",
    "device_name",
    "mode",
    "auto_delete",
    "provisioned_iops",
    "provisioned_throughput",
)
PERFORMANCE = {
    "provisioned_iops": "provisionedIops",
    "provisioned_throughput": "provisionedThroughput",
}


def desired(entries: Any, project: str) -> dict[str, Any]:
    """Flat fields that the option `disks` names.

    Raises:
        GceError: a disk is in it twice.
    """
    fields: dict[str, Any] = {}
    for entry in entries or []:
        start = f"disks.{entry['name']}"
        if f"{start}.attached" in fields:
            raise GceError(
                f"disks has {entry['name']} twice.",
                reason="badDisks",
                remedy="remove or rename one of them.",
            )
        if entry.get("state") == "detached":
            fields[f"{start}.attached"] = None  # nothing else of it is desired
            continue
        fields[f"{start}.attached"] = True
        for option in OPTIONS:
            value = entry.get(option)
            if value is not None:
                fields[f"{start}.{option}"] = value
        if entry.get("image"):
            fields[f"{start}.image"] = naming.image_reference(entry["image"], project)
    return fields


def names(fields: Iterable[str]) -> list[str]:
    """Names of the disks that flat fields speak of, in order."""
    found = (field.split(".")[1] for field in fields if field.startswith("disks."))
    return sorted(set(found))


def without_detached(fields: Flat, desired: Flat) -> dict[str, Any]:
    """Fields without those of disks that are to be detached."""
    gone = {name for name in names(desired) if desired.get(f"disks.{name}.attached", True) is None}
    return {
        field: value
        for field, value in fields.items()
        if not (field.startswith("disks.") and field.split(".")[1] in gone)
    }


def attached(resource: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name to entry of the instance's disks beside the one that it boots from.

    Local SSDs are none of them: they are part of the machine, and come and go with it.
    """
    return {
        naming.short(str(disk.get("source") or disk.get("deviceName"))): dict(disk)
        for disk in resource.get("disks") or []
        if not disk.get("boot") and disk.get("type") != "SCRATCH"
    }


def view(
    resource: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]], project: str
) -> dict[str, Any]:
    """Flat fields of attached disks, and of those that exist but are not attached.

    Args:
        found: name to disk resource, of those that were looked up.
    """
    fields: dict[str, Any] = {}
    there = attached(resource)
    for name, entry in there.items():
        start = f"disks.{name}"
        fields[f"{start}.attached"] = True
        fields[f"{start}.device_name"] = entry.get("deviceName")
        fields[f"{start}.mode"] = entry.get("mode") or "READ_WRITE"
        fields[f"{start}.auto_delete"] = bool(entry.get("autoDelete"))
        if entry.get("diskSizeGb"):
            fields[f"{start}.size_gb"] = int(entry["diskSizeGb"])
        if entry.get("source"):
            fields[f"{start}.source"] = naming.relative(str(entry["source"]))
    for name, disk in found.items():
        start = f"disks.{name}"
        fields[f"{start}.source"] = naming.relative(str(disk["selfLink"]))
        fields[f"{start}.size_gb"] = int(disk["sizeGb"])
        fields[f"{start}.type"] = naming.short(str(disk.get("type", "")))
        if disk.get("sourceImage"):
            fields[f"{start}.image"] = naming.image_reference(str(disk["sourceImage"]), project)
        fields.update(performance(disk, start))
    return fields


def performance(disk: Mapping[str, Any], start: str) -> dict[str, Any]:
    """Provisioned performance of a disk resource, as fields below `start`."""
    return {
        f"{start}.{ours}": int(disk[theirs])
        for ours, theirs in PERFORMANCE.items()
        if disk.get(theirs)
    }


def with_creation_defaults(fields: Flat) -> dict[str, Any]:
    """`desired`, with what this module chooses for disks that are new or newly attached.

    A disk keeps its data when the instance goes, unless the caller says otherwise, and is found in
    the machine as /dev/disk/by-id/google-NAME.
    """
    chosen = dict(fields)
    for name in names(fields):
        start = f"disks.{name}"
        chosen.setdefault(f"{start}.attached", True)
        chosen.setdefault(f"{start}.device_name", name)
        chosen.setdefault(f"{start}.mode", "READ_WRITE")
        chosen.setdefault(f"{start}.auto_delete", False)
        if f"{start}.source" not in fields:
            usual = machine_types.usual_disk_type(str(fields.get("machine_type", "")))
            chosen.setdefault(f"{start}.type", usual)
    return chosen


def attachment(fields: Flat, name: str) -> dict[str, Any]:
    """The API's attachedDisk of a disk that exists."""
    one = under(fields, f"disks.{name}")
    return {
        "source": one["source"],
        "deviceName": one.get("device_name") or name,
        "mode": one.get("mode") or "READ_WRITE",
        "autoDelete": bool(one.get("auto_delete")),
    }


def insertion(fields: Flat, name: str, zone: str, project: str) -> dict[str, Any]:
    """An entry of a new instance's `disks`: one that exists, or one that is made with it."""
    one = under(fields, f"disks.{name}")
    if one.get("source"):
        return attachment(fields, name)
    made = creation(fields, name, zone, project)
    params = {
        "diskName": name,
        "diskType": made["type"],
        **{key: made[key] for key in PERFORMANCE.values() if key in made},
    }
    if "sizeGb" in made:
        params["diskSizeGb"] = made["sizeGb"]
    if "sourceImage" in made:
        params["sourceImage"] = made["sourceImage"]
    entry = attachment({**fields, f"disks.{name}.source": ""}, name)
    del entry["source"]
    return {**entry, "initializeParams": params}


def creation(fields: Flat, name: str, zone: str, project: str) -> dict[str, Any]:
    """The request that makes a disk."""
    one = under(fields, f"disks.{name}")
    body: dict[str, Any] = {
        "name": name,
        "type": f"projects/{project}/zones/{zone}/diskTypes/{one['type']}",
    }
    if one.get("size_gb"):
        body["sizeGb"] = str(one["size_gb"])
    if one.get("image"):
        image_project, image = one["image"].split("/", 1)
        body["sourceImage"] = f"projects/{image_project}/global/images/{image}"
    for ours, theirs in PERFORMANCE.items():
        if one.get(ours):
            body[theirs] = str(one[ours])
    return body
