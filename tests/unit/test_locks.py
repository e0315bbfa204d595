# SPDX-License-Identifier: Apache-2.0
"""Each lock holds what its source asks for, hashed: a source changed alone is seen."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.venv.lock import parse_lock
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OURS = ROOT / "requirements"
VLLM = ROOT / "roles/vllm_venv/files/locks"
CADDY = ROOT / "roles/gateway/files/locks"
# Ends of the matrix of controllers.
PYTHONS = ("3.11", "3.13")
PAIRS = [
    *((path, path.with_suffix(".txt")) for path in sorted(OURS.glob("*.in"))),
    (VLLM / "uv.in", VLLM / "uv.txt"),
    (CADDY / "caddy.in", CADDY / "caddy.txt"),
    *((path, path.with_suffix(".txt")) for path in sorted(VLLM.glob("vllm-*.in"))),
]


def asked(source: Path) -> Iterator[Requirement]:
    """The requirements of a source, and of those that it includes."""
    for line in source.read_text().splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text.startswith("-r "):
            yield from asked(source.parent / text[3:])
        elif text:
            yield Requirement(text)


def entries(lock: str) -> list[str]:
    """A lock's packages, each with its checksums."""
    return [part for part in re.split(r"(?m)^(?=[A-Za-z0-9])", lock) if "==" in part]


def on(python: str, lock: str) -> str:
    """What of a lock is for that Python; one lock serves several."""
    found = []
    for entry in entries(lock):
        marker = re.match(r"\S+ ; (.+?) \\\n", entry)
        versions = {"python_version": python, "python_full_version": f"{python}.0"}
        if marker is None or Marker(marker[1]).evaluate(versions):
            found.append(entry)
    return "".join(found)


def unmet(source: Path, lock: str) -> list[str]:
    """What a lock's text, for one Python, lacks of its source."""
    pins = {canonicalize_name(name): pin for name, pin in parse_lock(lock).items()}
    found = []
    for one in asked(source):
        pin = pins.get(canonicalize_name(one.name))
        if pin is None:
            found.append(f"{one} is not in it")
        elif not one.specifier.contains(pin.version, prereleases=True):
            found.append(f"{one} is asked for, and {pin.version} is locked")
    return found


@pytest.mark.parametrize(("source", "lock"), PAIRS, ids=lambda path: path.name)
def test_a_lock_has_what_its_source_asks_for(source: Path, lock: Path) -> None:
    text = lock.read_text()
    for python in PYTHONS:
        lacks = unmet(source, on(python, text))
        assert lacks == [], "run make lock, or roles/vllm_venv/files/locks/lock.sh"
    parts = entries(text)
    assert parts and all("--hash=sha256:" in part for part in parts)


def test_every_lock_is_looked_at() -> None:
    looked_at = {lock for _, lock in PAIRS}
    assert {*OURS.glob("*.txt"), *VLLM.glob("*.txt")} - looked_at == {VLLM / "cpu-overrides.txt"}


def test_the_smaller_sets_have_the_versions_of_dev() -> None:
    for python in PYTHONS:
        widest = parse_lock(on(python, (OURS / "dev.txt").read_text()))
        for name in ("demo", "controller"):
            locked = parse_lock(on(python, (OURS / f"{name}.txt").read_text()))
            for package, pin in locked.items():
                assert widest[package].version == pin.version, package


def test_a_source_that_was_changed_alone_is_found(tmp_path: Path) -> None:
    source = tmp_path / "x.in"
    source.write_text("starlette # web\nansible~=99.0\nno-such-package\n")
    assert [
        one.split()[0] for one in unmet(source, on("3.12", (OURS / "demo.txt").read_text()))
    ] == [
        "ansible~=99.0",
        "no-such-package",
    ]


def test_every_install_takes_wheels_alone() -> None:
    """A source archive with the right checksum is built with packages that no checksum covers."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.sh", "*.yml", "*.py", "*.md", "Makefile", "requirements"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        # It is an option of the module, which test_uv_sync tries.
        if name.startswith(("plugins/module_utils/", "plugins/plugin_utils/", "tests/")):
            continue
        if path.is_symlink() or not path.is_file():
            continue
        for at in re.finditer("--require-hashes", text := path.read_text(encoding="utf-8")):
            command = text[max(0, at.start() - 150) : at.end() + 80]
            # An audit of locks installs nothing.
            if "--disable-pip --require" in command:
                continue
            found.append(name)
            assert "--only-binary=:all:" in command or "--no-build" in command, (name, command)
    assert {"requirements/install.sh", "roles/vllm_venv/tasks/uv_install.yml"} <= set(found)


@pytest.mark.parametrize("script", [OURS / "lock.sh", VLLM / "lock.sh"], ids=str)
def test_nothing_is_built_to_make_a_lock(script: Path) -> None:
    text = script.read_text()
    assert text.count("uv pip compile") == text.count("--no-build")
