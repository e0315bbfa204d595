# SPDX-License-Identifier: Apache-2.0
"""Which disks may be formatted, which are used as they are, and which are left alone."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host.data_disk import (
    Disk,
    mounted_on,
    mounts_of,
    problem,
    signatures,
)
from ansible_collections.llmops.gce_vllm.plugins.modules import data_disk_info

from tests.support.module_runs import run_module

DEVICE, MOUNT = "/dev/disk/by-id/google-weights", "/mnt/disks/weights"
MIB = 1 << 20
BLANK = Disk(size=100 * MIB, zeros=True)
OURS = Disk(size=100 * MIB, signatures=("ext4",), uuid="u", filesystem_size=100 * MIB)


def test_a_blank_disk_and_one_with_a_filesystem_are_fine() -> None:
    assert BLANK.blank and not problem(BLANK, DEVICE, MOUNT)
    assert not OURS.blank and not problem(OURS, DEVICE, MOUNT)
    both = replace(OURS, mounts=("/srv/too", MOUNT))
    assert not problem(both, DEVICE, MOUNT)


# What was changed of a blank disk or of ours, and what is said.
REFUSED = [
    (BLANK, {"signatures": ("PMBR", "gpt")}, "has PMBR and gpt on it"),
    (BLANK, {"signatures": ("xfs",)}, "has xfs on it"),
    (BLANK, {"signatures": ("LVM2_member",)}, "has LVM2_member on it"),
    (BLANK, {"partitions": ("sdb1", "sdb2")}, "has partitions (sdb1, sdb2)"),
    (BLANK, {"holders": ("dm-0",)}, "is part of dm-0"),
    (BLANK, {"zeros": False}, "no filesystem known here accounts for"),
    (OURS, {"signatures": ("ext4", "gpt")}, "has gpt on it"),
    (OURS, {"uuid": ""}, "can't be read"),
    (OURS, {"partitions": ("sdb1",)}, "has partitions"),
    (OURS, {"read_only": True}, "is attached read-only"),
    (OURS, {"mounts": ("/srv",)}, "is mounted on /srv, not on /mnt/disks/weights"),
    (OURS, {"other_mount": "tmpfs"}, "Something else (tmpfs) is mounted"),
    (OURS, {"hidden": ("a", "b")}, "holds 2 files or folders (a first)"),
    (BLANK, {"hidden": ("a",)}, "would hide"),
]


@pytest.mark.parametrize(("disk", "change", "said"), REFUSED)
def test_anything_else_is_refused_with_a_reason(
    disk: Disk, change: dict[str, object], said: str
) -> None:
    changed = replace(disk, **change)  # type: ignore[arg-type]
    assert said in problem(changed, DEVICE, MOUNT)
    if set(change) & {"signatures", "partitions", "holders", "zeros"}:
        assert not changed.blank
        assert "nothing on it was touched" in problem(changed, DEVICE, MOUNT)


def test_a_disk_grows_by_whole_blocks() -> None:
    assert not OURS.growable
    assert not replace(OURS, size=OURS.size + 4095).growable
    assert replace(OURS, size=OURS.size + 4096).growable


def test_signatures_as_wipefs_prints_them(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(bytes(8 * MIB))
    ask = ["wipefs", "--no-act", "--json", str(image)]

    def found() -> tuple[str, ...]:
        return signatures(subprocess.run(ask, check=True, capture_output=True, text=True).stdout)

    assert found() == ()
    subprocess.run(["mkswap", image], check=True, capture_output=True)
    assert found() == ("swap",)
    image.write_bytes(bytes(510) + b"\x55\xaa" + bytes(8 * MIB))
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
    assert "ext4" in found()


@pytest.mark.parametrize("options", [[], ["-O", "^64bit"], ["-b", "1024"]])
def test_a_superblock_is_read_as_tune2fs_reads_it(tmp_path: Path, options: list[str]) -> None:
    image = tmp_path / "disk"
    image.write_bytes(bytes(16 * MIB))
    assert data_disk_info.superblock(str(image)) == ("", 0, 0)
    assert data_disk_info.zeros(str(image), 16 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", *options, image], check=True, capture_output=True)
    shown = subprocess.run(
        ["tune2fs", "-l", image], check=True, capture_output=True, text=True
    ).stdout
    told = dict(line.split(":", 1) for line in shown.splitlines() if ":" in line)
    block = int(told["Block size"])
    expected = (told["Filesystem UUID"].strip(), int(told["Block count"]) * block, block)
    assert data_disk_info.superblock(str(image)) == expected
    assert not data_disk_info.zeros(str(image), 16 * MIB)


def test_data_at_the_end_counts(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(bytes(4 * MIB) + b"x")
    assert not data_disk_info.zeros(str(image), 4 * MIB + 1)


MOUNTINFO = r"""
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 21 8:16 / /mnt/disks/weights rw,nosuid - ext4 /dev/sdb rw
31 21 8:16 / /srv/a\040b rw - ext4 /dev/sdb rw
32 21 8:16 /models /srv/models rw - ext4 /dev/sdb rw
33 21 0:45 / /run/x rw shared:7 master:2 - tmpfs none rw
34 33 8:1 /x /run/x rw - ext4 /dev/root rw
""".strip()


def test_mounts_as_the_kernel_lists_them() -> None:
    assert mounts_of(MOUNTINFO, "8:16") == ("/mnt/disks/weights", "/srv/a b")
    assert mounted_on(MOUNTINFO, "/mnt/disks/weights") == ("8:16", "/dev/sdb")
    # The last one lies on top.
    assert mounted_on(MOUNTINFO, "/run/x") == ("8:1", "/dev/root")
    assert mounted_on(MOUNTINFO, "/mnt") == ("", "")


def test_a_disk_that_is_yet_to_be_made_is_planned_and_else_missed(tmp_path: Path) -> None:
    desired = {"device": str(tmp_path / "google-weights"), "mount": MOUNT}
    missed = run_module("data_disk_info", desired)
    assert missed["failed"] and "gce_instance_extra_disks" in missed["msg"]
    planned = run_module("data_disk_info", {**desired, "missing_ok": True}, check=True)
    assert planned["blank"] and not planned["exists"] and not planned["mounted"]
