# SPDX-License-Identifier: Apache-2.0
"""Whether a disk may be formatted, may be used as it is, or must be left alone. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FILESYSTEM = "ext4"


@dataclass(frozen=True)
class Disk:
    """What was seen of a disk, and of the folder that it is to be mounted on.

    Attributes:
        size: bytes.
        read_only: whether it is attached so.
        signatures: what wipefs finds on it, as in ext4, gpt or LVM2_member.
        partitions: names of its partitions.
        holders: devices made of it, as by LVM or RAID.
        zeros: whether its first and last MiB hold nothing but zeros.
        uuid: of the filesystem; '' where there is none.
        filesystem_size: bytes that the filesystem reaches over.
        block_size: bytes of one of its blocks.
        mounts: where it is mounted.
        other_mount: device of something else that is mounted on the folder.
        hidden: names in the folder that a mount would hide; none where it is mounted.
    """

    size: int
    read_only: bool = False
    signatures: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    zeros: bool = False
    uuid: str = ""
    filesystem_size: int = 0
    block_size: int = 4096
    mounts: tuple[str, ...] = ()
    other_mount: str = ""
    hidden: tuple[str, ...] = ()

    @property
    def blank(self) -> bool:
        """Whether there is nothing at all on it."""
        return not (self.signatures or self.partitions or self.holders or self.mounts) and (
            self.zeros
        )

    @property
    def growable(self) -> bool:
        """Whether the disk has become larger than its filesystem by a block or more."""
        return self.size - self.filesystem_size >= self.block_size > 0


def problem(disk: Disk, device: str, mount: str) -> str:
    """Why the disk can't be used, and what to do; empty where it can."""
    if reason := _not_ours(disk):
        return (
            f"{device} {reason}. It is not empty, and not an {FILESYSTEM} filesystem: nothing "
            "on it was touched. Name another disk (llm_model_disk), or, if nobody needs what is on "
            f"this one, empty it on the host (`blkdiscard --force {device}`) and run again."
        )
    if disk.read_only:
        return (
            f"{device} is attached read-only: attach it with mode READ_WRITE "
            "(gce_instance_extra_disks)."
        )
    if disk.mounts and mount not in disk.mounts:
        return (
            f"{device} is mounted on {disk.mounts[0]}, not on {mount}: unmount it there, and "
            "remove its line from /etc/fstab, or set data_disk_mount to that folder."
        )
    if disk.other_mount:
        return (
            f"Something else ({disk.other_mount}) is mounted on {mount}, where {device} belongs: "
            "unmount it, or choose another folder (data_disk_mount)."
        )
    if disk.hidden:
        return (
            f"{mount} holds {len(disk.hidden)} files or folders ({disk.hidden[0]} first), which "
            f"mounting {device} there would hide: move them away, or choose another folder "
            "(data_disk_mount)."
        )
    return ""


def _not_ours(disk: Disk) -> str:
    others = [one for one in disk.signatures if one != FILESYSTEM]
    if disk.partitions:
        return f"has partitions ({', '.join(disk.partitions)})"
    if disk.holders:
        return f"is part of {', '.join(disk.holders)}"
    if others:
        return f"has {' and '.join(others)} on it"
    if not disk.signatures and not disk.zeros:
        return "has data on it that no filesystem known here accounts for"
    if disk.signatures and not disk.uuid:
        return f"has an {FILESYSTEM} filesystem that can't be read"
    return ""


def signatures(printed: str) -> tuple[str, ...]:
    """Kinds that `wipefs --no-act --json` lists, each once."""
    if not printed.strip():
        return ()
    listed: list[Mapping[str, Any]] = json.loads(printed).get("signatures") or []
    return tuple(dict.fromkeys(str(one["type"]) for one in listed))


def mounts_of(mountinfo: str, number: str) -> tuple[str, ...]:
    """Where a device is mounted from its root, by the text of /proc/self/mountinfo.

    Args:
        number: of the device, `MAJOR:MINOR`.
    """
    rows = [line.split() for line in mountinfo.splitlines()]
    return tuple(_plain(row[4]) for row in rows if row[2] == number and row[3] == "/")


def mounted_on(mountinfo: str, folder: str) -> tuple[str, str]:
    """Number and name of the device that is mounted on a folder, the last one; empty for none."""
    found = ("", "")
    for line in mountinfo.splitlines():
        row = line.split()
        if _plain(row[4]) == folder:
            found = (row[2], row[row.index("-") + 2])
    return found


def _plain(name: str) -> str:
    return name.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
