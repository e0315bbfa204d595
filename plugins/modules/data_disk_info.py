#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what is on a disk, and whether it may be formatted and mounted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: data_disk_info
short_description: Look whether a disk is empty, or has a filesystem that can be used
version_added: 0.2.0
description:
  - Looks at a disk for signatures of filesystems, partition tables and volume managers. It also
    reads the first and last MiB, and where the disk is mounted. Changes nothing.
  - Fails where the disk holds anything but one ext4 filesystem, or where mounting it on the folder
    would hide something.
options:
  device:
    description: The disk, as V(/dev/disk/by-id/google-weights).
    type: path
    required: true
  mount:
    description: Folder that it is to be mounted on.
    type: path
    required: true
  missing_ok:
    description: Whether a disk that is not there is no failure, but one that will be blank; for
      check mode, in which it was not made and attached.
    type: bool
    default: false
extends_documentation_fragment:
  - llmops.gce_vllm.host.attributes_info
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Look at the disk
  llmops.gce_vllm.data_disk_info:
    device: /dev/disk/by-id/google-weights
    mount: /mnt/disks/weights
  register: disk
"""

RETURN = r"""
exists:
  description: Whether the disk is there.
  returned: success
  type: bool
device:
  description: The disk's own name.
  returned: success
  type: str
  sample: /dev/sdb
blank:
  description: Whether nothing at all is on it, so that it may be formatted.
  returned: success
  type: bool
uuid:
  description: Of its filesystem; empty where it is blank.
  returned: success
  type: str
growable:
  description: Whether the disk is larger than its filesystem.
  returned: success
  type: bool
mounted:
  description: Whether it is mounted on the folder.
  returned: success
  type: bool
size:
  description: Of the disk, in bytes.
  returned: success
  type: int
"""

import os
import struct
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host import data_disk

EDGE = 1 << 20
# Where ext4 keeps its superblock, how long that is, and what marks it.
SUPERBLOCK = 1024
LENGTH = 1024
MAGIC = 0xEF53
# The feature by which a number of blocks has a high half.
WIDE = 0x80


def superblock(device: str) -> tuple[str, int, int]:
    """UUID, bytes and block size of an ext4 filesystem; '', 0, 0 where there is none."""
    with Path(device).open("rb") as handle:
        handle.seek(SUPERBLOCK)
        block = handle.read(LENGTH)
    if len(block) < LENGTH or struct.unpack_from("<H", block, 0x38)[0] != MAGIC:
        return "", 0, 0
    low, log, features = (struct.unpack_from("<I", block, at)[0] for at in (0x04, 0x18, 0x60))
    high = struct.unpack_from("<I", block, 0x150)[0] if features & WIDE else 0
    size = 1024 << log
    text = block[0x68:0x78].hex()
    uuid = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    return uuid, (high << 32 | low) * size, size


def zeros(device: str, size: int) -> bool:
    """Whether a disk's first and last MiB hold nothing but zeros."""
    with Path(device).open("rb") as handle:
        for at in (0, max(0, size - EDGE)):
            handle.seek(at)
            if any(handle.read(EDGE)):
                return False
    return True


def look(module: AnsibleModule, device: str, mount: str) -> data_disk.Disk:
    """What is on the disk and on the folder."""
    number = Path(device).stat().st_rdev
    number_text = f"{os.major(number)}:{os.minor(number)}"
    about = Path("/sys/class/block") / Path(device).name
    mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    wipefs = module.get_bin_path("wipefs", required=True)
    _, printed, _ = module.run_command([wipefs, "--no-act", "--json", device], check_rc=True)
    with Path(device).open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
    uuid, filesystem, block = superblock(device)
    there, name = data_disk.mounted_on(mountinfo, mount)
    folder = Path(mount)
    return data_disk.Disk(
        size=size,
        read_only=(about / "ro").read_text().strip() == "1",
        signatures=data_disk.signatures(printed),
        partitions=tuple(sorted(path.parent.name for path in about.glob("*/partition"))),
        holders=tuple(sorted(path.name for path in about.glob("holders/*"))),
        zeros=zeros(device, size),
        uuid=uuid,
        filesystem_size=filesystem,
        block_size=block or 4096,
        mounts=data_disk.mounts_of(mountinfo, number_text),
        other_mount=name if there not in {"", number_text} else "",
        hidden=()
        if there or not folder.is_dir()
        else tuple(sorted(path.name for path in folder.iterdir())),
    )


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        {
            "device": {"type": "path", "required": True},
            "mount": {"type": "path", "required": True},
            "missing_ok": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    device, mount = module.params["device"], module.params["mount"].rstrip("/")
    try:
        is_disk = Path(device).is_block_device()
    except OSError:
        is_disk = False
    if not is_disk and module.params["missing_ok"]:
        module.exit_json(
            changed=False,
            device=device,
            exists=False,
            blank=True,
            uuid="",
            growable=False,
            mounted=False,
            size=0,
        )
    if not is_disk:
        module.fail_json(
            msg=(
                f"The host has no disk {device}. On Compute Engine the disk must be in "
                "gce_instance_extra_disks, so that it is made and attached (--tags provision); "
                "`ls /dev/disk/by-id` on the host lists those that are."
            )
        )
    try:
        disk = look(module, os.path.realpath(device), mount)
    except OSError as error:
        module.fail_json(msg=f"{device} can't be looked at: {error}.")
    if reason := data_disk.problem(disk, device, mount):
        module.fail_json(msg=reason)
    module.exit_json(
        changed=False,
        device=os.path.realpath(device),
        exists=True,
        blank=disk.blank,
        uuid=disk.uuid,
        growable=not disk.blank and disk.growable,
        mounted=mount in disk.mounts,
        size=disk.size,
    )


if __name__ == "__main__":
    main()
