# SPDX-License-Identifier: Apache-2.0
"""sync_tree: the module itself, run on real folders as Ansible runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
WANTED = {"a.py": "a = 1\n", "sub/b.py": "b = 2\n"}


def run(dest: Path, *, check: bool = False) -> dict[str, Any]:
    stat = ROOT.stat()  # any owner and group that this user may set
    owner, group = str(os.geteuid()), str(os.getegid() if os.geteuid() else stat.st_gid)
    args = {"src": "/unused", "dest": str(dest), "owner": owner, "group": group, "_files": WANTED}
    args |= {"_ansible_check_mode": check, "_ansible_diff": True}
    done = subprocess.run(
        [sys.executable, str(ROOT / "plugins/modules/sync_tree.py")],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": args}),
        env=os.environ | {"PYTHONPATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def contents(dest: Path) -> dict[str, str]:
    return {str(p.relative_to(dest)): p.read_text() for p in dest.rglob("*") if p.is_file()}


def test_a_new_folder(tmp_path: Path) -> None:
    dest = tmp_path / "deep" / "package"
    foreseen = run(dest, check=True)
    assert foreseen["changed"] is True
    assert not dest.exists()
    done = run(dest)
    assert done["added"] == foreseen["added"] == ["a.py", "sub/b.py"]
    assert contents(dest) == WANTED
    assert run(dest)["changed"] is False


def damage_edit(dest: Path) -> None:
    (dest / "a.py").write_text("evil\n")


def damage_remove(dest: Path) -> None:
    (dest / "sub/b.py").unlink()


def damage_stray_file(dest: Path) -> None:
    (dest / "sub/stray.py").write_text("")


def damage_stray_folder(dest: Path) -> None:
    (dest / "more").mkdir()
    (dest / "more/x.py").write_text("")


def damage_link(dest: Path) -> None:
    (dest / "a.py").rename(dest.parent / "elsewhere.py")
    (dest / "a.py").symlink_to(dest.parent / "elsewhere.py")


def damage_mode(dest: Path) -> None:
    (dest / "a.py").chmod(0o666)


def damage_folder_for_file(dest: Path) -> None:
    (dest / "a.py").unlink()
    (dest / "a.py").mkdir()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_edit, {"updated": ["a.py"]}),
        (damage_remove, {"added": ["sub/b.py"]}),
        (damage_stray_file, {"removed": ["sub/stray.py"]}),
        (damage_stray_folder, {"removed": ["more"]}),
        (damage_link, {"removed": ["a.py"], "added": ["a.py"]}),
        (damage_mode, {"updated": ["a.py"]}),
        (damage_folder_for_file, {"removed": ["a.py"], "added": ["a.py"]}),
    ],
)
def test_damage_is_named_and_repaired(tmp_path: Path, damage: Any, said: dict[str, Any]) -> None:
    dest = tmp_path / "package"
    run(dest)
    damage(dest)
    found = contents(dest)
    expected = {"added": [], "updated": [], "removed": []} | said
    foreseen = run(dest, check=True)
    assert foreseen["changed"] is True
    assert {key: foreseen[key] for key in expected} == expected
    assert contents(dest) == found
    done = run(dest)
    assert {key: done[key] for key in expected} == expected
    assert contents(dest) == WANTED
    assert (dest / "a.py").stat().st_mode & 0o777 == 0o644
    assert run(dest)["changed"] is False


def test_compiled_python_is_left_alone(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.pyc").write_bytes(b"")
    assert run(tmp_path)["changed"] is False
