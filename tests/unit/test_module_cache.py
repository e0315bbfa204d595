# SPDX-License-Identifier: Apache-2.0
"""The tests' cache of packed modules: the same modules, packed and compiled once."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible.plugins.shell import ShellBase

from tests.support import module_cache

ROOT = Path(__file__).parents[2]
COMMAND = ShellBase.build_module_command
# As a worker of a run does it: what Ansible would pipe to Python, and what it keeps of the module.
PROGRAM = """
import base64, io, sys
from pathlib import Path
from ansible import constants
from ansible.executor import module_common
from ansible.modules import ping
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from tests.support import module_cache
init_plugin_loader()
kept, constants.DEFAULT_LOCAL_TMP, packs = sys.argv[1:]
module_cache.install(Path(kept))
if packs == "never":
    module_common.recursive_finder = lambda *_: 1 / 0
made = module_common._find_module_utils(
    module_name="ping",
    b_module_data=Path(ping.__file__).read_bytes(),
    module_path=ping.__file__,
    module_args={"data": "it works"},
    task_vars={"ansible_python_interpreter": sys.executable},
    templar=Templar(loader=DataLoader(), variables={}),
    module_compression="ZIP_DEFLATED",
    async_timeout=0,
    become_plugin=None,
    environment={},
)
[file] = Path(kept).glob("*/ansible.modules.ping-*")
archive = base64.b64decode(module_common._CachedModule.load(str(file)).zip_data)
Path(constants.DEFAULT_LOCAL_TMP, "module.zip").write_bytes(archive)
sys.stdout.buffer.write(made.b_module_data)
"""


def answer(*command: str | Path, piped: bytes = b"", status: int = 0) -> bytes:
    done = subprocess.run(command, input=piped, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


def built(folder: Path, run: str, packs: str = "as usual", status: int = 0) -> bytes:
    program = [sys.executable, "-c", PROGRAM, folder / "kept", folder / run, packs]
    return answer(*program, status=status)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A folder where a run has packed a module, and what that run would pipe."""
    folder = tmp_path_factory.mktemp("modules")
    return folder, built(folder, "first")


def test_a_module_is_packed_once_and_answers(
    first: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, piped = first
    again = built(folder, "second", packs="never")
    for one in (piped, again):
        for way in ([], ["-c", module_cache.WHOLE]):
            assert json.loads(answer(sys.executable, *way, piped=one))["ping"] == "it works"
    [file] = folder.glob("kept/*/*")
    file.unlink()
    built(folder, "third", packs="never", status=1)


def test_what_is_piped_is_read_whole_and_a_file_is_run_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module_common = module_cache.module_common
    for place, name in (
        (module_common, "_find_module_utils"),
        (module_common._CachedModule, "dump"),
        (ShellBase, "build_module_command"),
    ):
        monkeypatch.setattr(place, name, getattr(place, name))
    module_cache.install(tmp_path)
    piped: tuple[Any, ...] = ("A=b", "#!/usr/bin/python3", "")
    usual = COMMAND(ShellBase(), *piped)
    assert usual == "A=b /usr/bin/python3"
    made = ShellBase().build_module_command(*piped)
    assert shlex.split(made) == [*shlex.split(usual), "-c", module_cache.WHOLE]
    others: list[tuple[Any, ...]] = [
        ("", "#!/usr/bin/python3", "/srv/AnsiballZ_ping.py"),
        ("", "#!/bin/sh", ""),
        ("", None, "/srv/binary", "/srv/arguments"),
    ]
    for given in others:
        assert ShellBase().build_module_command(*given) == COMMAND(ShellBase(), *given)


def test_compiled_code_is_taken_and_the_source_by_another_python(
    first: tuple[Path, bytes], tmp_path: Path
) -> None:
    packed = first[0] / "first/module.zip"
    asked = "import sys; sys.path.insert(0, sys.argv[1]); import ansible.module_utils.basic as b"
    asked += "; print(b.__file__)"
    found = answer(sys.executable, "-c", asked, packed)
    assert found.endswith(b"/module.zip/ansible/module_utils/basic.pyc\n")
    # What another Python compiled has another number in front.
    older = tmp_path / "older.zip"
    with zipfile.ZipFile(packed) as whole, zipfile.ZipFile(older, "w") as changed:
        for name in whole.namelist():
            content = whole.read(name)
            changed.writestr(name, b"1234" + content[4:] if name.endswith(".pyc") else content)
    found = answer(sys.executable, "-c", asked, older)
    assert found.endswith(b"/older.zip/ansible/module_utils/basic.py\n")


def test_of_older_modules_a_few_stay(tmp_path: Path) -> None:
    place = module_cache._place(tmp_path)
    for age in range(1, 6):
        other = tmp_path / f"other-{age}"
        other.mkdir()
        os.utime(other, (1, 1000 - age))
    assert module_cache._place(tmp_path) == place
    assert {one.name for one in tmp_path.iterdir()} == {place.name, "other-1", "other-2"}
