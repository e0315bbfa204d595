# SPDX-License-Identifier: Apache-2.0
"""The role data_disk on a file as a disk, in a mount namespace of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import modules_fixtures as m
from tests.support.model_places import FILES, Places

# Loop devices and mounts take root, as the machines do.
pytestmark = pytest.mark.podman
MIB, GIB = 1 << 20, 1 << 30
# Its own fstab in place of this machine's; no systemd is asked to read it.
INSTANCE = """
mount --bind "$1/fstab" /etc/fstab
export PATH="$1/bin:$PATH"
cd /
shift
exec "$@"
"""


def call(*words: object) -> str:
    return subprocess.run(
        [str(word) for word in words], check=True, capture_output=True, text=True
    ).stdout.strip()


class Instance:
    """A host that has the disk. Its mounts go when a run ends, as with an instance."""

    def __init__(self, folder: Path, disk: str, places: Places) -> None:
        self.folder, self.disk, self.places = folder, disk, places
        self.mount = folder / "mnt"
        (folder / "bin").mkdir(parents=True)
        systemctl = folder / "bin" / "systemctl"
        systemctl.write_text("#!/bin/sh\nexit 0\n")
        systemctl.chmod(0o755)
        (folder / "fstab").touch()

    def run(self, *plays: list[dict[str, Any]], check: bool = False) -> str:
        """Run tasks; the last lines of each play's output tell what changed."""
        common = {"hosts": "localhost", "connection": "local", "gather_facts": False}
        book = self.folder / "play.yml"
        book.write_text(json.dumps([{**common, "tasks": tasks} for tasks in plays]))
        variables = {
            "data_disk_name": "weights",
            "data_disk_device": self.disk,
            "data_disk_mount": str(self.mount),
            "llm_model": f"{self.places.url}/mirror/model",
            "llm_model_dir": str(self.mount / "models"),
            "ansible_python_interpreter": sys.executable,
        }
        done = subprocess.run(
            [
                *("unshare", "--mount", "--propagation", "private"),
                *("bash", "-ec", INSTANCE, "instance", str(self.folder)),
                *(str(Path(sys.executable).with_name("ansible-playbook")), str(book)),
                *("-e", json.dumps(variables), *(["--check", "--diff"] if check else [])),
            ],
            env={
                **{key: value for key, value in os.environ.items() if key != "ANSIBLE_CONFIG"},
                "ANSIBLE_COLLECTIONS_PATH": str(m.ROOT / "collections"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_DISPLAY_FAILED_STDERR": "false",
            },
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        return done.stdout

    def changed(self, *plays: list[dict[str, Any]], check: bool = False) -> int:
        """How many tasks changed something, in a run that went well."""
        out = self.run(*plays, check=check)
        recap = re.search(r"changed=(\d+) +unreachable=0 +failed=0", out)
        assert recap, out
        return int(recap[1])


def role(name: str) -> dict[str, Any]:
    return {"ansible.builtin.include_role": {"name": f"llmops.gce_vllm.{name}"}}


def command(*words: str) -> dict[str, Any]:
    return {"ansible.builtin.command": {"argv": list(words)}, "changed_when": False}


def expect(condition: str) -> dict[str, Any]:
    return {"ansible.builtin.assert": {"that": condition}}


DISK, MODEL = role("data_disk"), role("llm_model")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """An empty disk of 64 MiB."""
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    device = call("losetup", "--find", "--show", image)
    yield device
    call("losetup", "--detach", device)


def enlarge(tmp_path: Path, disk: str, size: int) -> None:
    """Make the disk larger, which takes no room."""
    with (tmp_path / "disk.img").open("r+b") as file:
        file.truncate(size)
    call("losetup", "--set-capacity", disk)


@pytest.fixture
def instance(tmp_path: Path, disk: str) -> Iterator[Instance]:
    with Places() as places:
        yield Instance(tmp_path / "first", disk, places)


def test_weights_stay_on_the_disk_when_the_instance_goes(
    instance: Instance, tmp_path: Path
) -> None:
    enlarge(tmp_path, instance.disk, 2 * GIB)  # room for a model and to spare
    assert instance.changed([DISK], check=True) == 2
    assert not call("wipefs", "--no-act", instance.disk)
    mounted = command("findmnt", "--noheadings", "--output", "OPTIONS", str(instance.mount))
    instance.changed(
        [DISK, expect("data_disk_result.changed"), MODEL, expect("llm_model_result.changed")],
        [{**mounted, "register": "seen"}, expect("'nosuid' in seen.stdout")],
        # The same again in the same instance.
        [DISK, expect("not data_disk_result.changed"), MODEL],
        [expect("not llm_model_result.changed")],
        # Unmounted by hand.
        [command("umount", str(instance.mount)), DISK, expect("data_disk_result.changed")],
    )
    line = (instance.folder / "fstab").read_text().split()
    assert line[0] == f"UUID={call('blkid', '-s', 'UUID', '-o', 'value', instance.disk)}"
    assert "nofail" in line[3].split(",") and line[4:] == ["0", "2"]
    uuid = line[0]

    instance.places.asked.clear()
    second = Instance(tmp_path / "second", instance.disk, instance.places)
    assert second.changed([DISK], check=True) == 1
    second.changed([DISK, expect("data_disk_result.changed"), MODEL])
    same = [command("cmp", str(second.mount / "models" / "model" / "config.json"), "/dev/stdin")]
    same[0]["ansible.builtin.command"]["stdin"] = FILES["config.json"].decode()
    same[0]["ansible.builtin.command"]["stdin_add_newline"] = False
    second.changed([DISK, MODEL, expect("not llm_model_result.changed"), *same])
    assert not instance.places.asked
    assert (second.folder / "fstab").read_text().split()[0] == uuid


def test_a_disk_that_became_larger_is_found(instance: Instance, tmp_path: Path) -> None:
    instance.changed([DISK])
    enlarge(tmp_path, instance.disk, 96 * MIB)
    # To do it takes CAP_SYS_RESOURCE, which not every machine gives its root.
    assert instance.changed([DISK], check=True) == 2


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("partitions", "has dos on it"),
        ("swap", "has swap on it"),
        ("bytes", "no filesystem known here accounts for"),
    ],
)
def test_a_disk_with_anything_on_it_is_never_touched(
    instance: Instance, what: str, said: str
) -> None:
    if what == "swap":
        call("mkswap", instance.disk)
    else:
        at, content = (32768, b"x") if what == "bytes" else (446, TABLE)
        with Path(instance.disk).open("r+b") as device:
            device.seek(at)
            device.write(content)
    before = call("sha256sum", instance.disk)
    out = instance.run([DISK])
    assert said in out and "failed=1" in out
    assert call("sha256sum", instance.disk) == before
    assert not (instance.folder / "fstab").read_text()


# A partition of 100 sectors of Linux's kind, three empty ones, and the mark of such a table.
TABLE = bytes([0, 0, 0, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 100, 0, 0, 0]) + bytes(48) + b"\x55\xaa"


def test_a_mount_hides_nothing_and_takes_no_other_ones_place(instance: Instance) -> None:
    instance.mount.mkdir()
    (instance.mount / "mine").touch()
    assert "would hide" in instance.run([DISK])
    (instance.mount / "mine").unlink()
    other = command("mount", "-t", "tmpfs", "other", str(instance.mount))
    assert "Something else (other) is mounted on" in instance.run([other, DISK])
    elsewhere = instance.folder / "elsewhere"
    elsewhere.mkdir()
    moved = [DISK, command("mount", "--move", str(instance.mount), str(elsewhere)), DISK]
    assert f"is mounted on {elsewhere}, not on" in instance.run(moved)
