# SPDX-License-Identifier: Apache-2.0
"""Releases of vLLM side by side on a host: what is known of each, and which are surplus."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# What a release's folder says of it, beside the environment.
PASSED = ".passed"  # it was imported and saw its device
SERVED = ".served"  # it served; with the settings, the unit and the package that it did so with
REFUSED = ".refused"  # it did not serve, or was left by hand; with the reason
# Where an environment goes that was made before there were releases.
EARLIER = "earlier"
# Endings of a release that is being removed, and of uv's cache while one is built.
GONE, CACHE = ".gone", ".cache"
# A lock's checksum and the build, as the role vllm_venv has it. Others are somebody else's.
_NAME = re.compile(rf"[0-9a-f]{{12}}-[a-z0-9]+\Z|{EARLIER}(-[0-9]+)?\Z")

# Options of every module that works on them; documented in the fragment `releases`.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "link": {"type": "path", "required": True},
    "releases": {"type": "path", "required": True},
}


@dataclass(frozen=True)
class Release:
    """One release's folder.

    Attributes:
        served_at: when it was last found to serve, ISO 8601 in UTC; empty where it never was.
        refused: empty, or `reason`, `at`, the `fingerprint` of the settings it failed with, which
            is empty where it was left by hand, and then its `successor`, a release's name.
        version: of vLLM, as its package says; empty where none is installed.
        used: seconds since the epoch at which anything was last said of it.
    """

    name: str
    path: str
    passed: bool
    served_at: str
    refused: dict[str, str]
    current: bool
    running: bool
    version: str
    used: float

    def as_dict(self) -> dict[str, Any]:
        """For a module's result."""
        return asdict(self)


def read_note(path: Path) -> dict[str, Any]:
    """What a file of JSON says; empty where it is missing or cut off."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_note(path: Path, note: dict[str, Any]) -> None:
    """Replace a file of JSON in one step."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(note, sort_keys=True) + "\n", encoding="utf-8")
    new.chmod(0o644)
    new.replace(path)


def target_of(link: Path) -> Path | None:
    """Where the link leads, whole; None where it is no link."""
    return Path(os.path.realpath(link)) if link.is_symlink() else None


def vllm_version(environment: Path) -> str:
    """The version of vLLM in there; empty where there is none."""
    found = sorted(environment.glob("lib/python3*/site-packages/vllm-*.dist-info"))
    return found[-1].name.removeprefix("vllm-").removesuffix(".dist-info") if found else ""


def titled(name: str, version: str) -> str:
    """A release as people are told of it: its name alone says nothing of vLLM."""
    return f"{name} (vLLM {version})" if version else name


def names_in(folder: Path) -> list[str]:
    """The releases there are, by name."""
    return [path.name for path in _folders(folder, "")]


def _folders(folder: Path, ending: str) -> list[Path]:
    """Folders in there that are called like a release with that ending, by name."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    named = [path for path in found if path.name.endswith(ending)]
    return sorted(path for path in named if _NAME.match(path.name.removesuffix(ending)))


def half_removed(folder: Path) -> list[Path]:
    """Releases on their way out."""
    return _folders(folder, GONE)


def left_caches(folder: Path, proc: Path = Path("/proc")) -> list[Path]:
    """uv's caches that nothing uses: a run that was killed could not remove its own."""
    return [path for path in _folders(folder, CACHE) if not _in_use(path, proc)]


def never_good(releases: Iterable[Release], proc: Path = Path("/proc")) -> list[str]:
    """Names of those that did not pass their test, and that nobody builds just now.

    One that was made before there were releases was never asked to.
    """
    return [
        one.name
        for one in releases
        if not (one.passed or one.served_at or one.current or one.running)
        and not one.name.startswith(EARLIER)
        and not _in_use(Path(one.path), proc)
        and not _in_use(Path(f"{one.path}{CACHE}"), proc)
    ]


def _in_use(path: Path, proc: Path) -> bool:
    """Whether a process was started with this path, as an argument or in its environment."""
    sought = os.fsencode(str(path))
    for entry in proc.iterdir():
        for part in ("cmdline", "environ") if entry.name.isdigit() else ():
            with contextlib.suppress(OSError):
                if sought in (entry / part).read_bytes():
                    return True
    return False


def list_releases(folder: Path, link: Path, proc: Path = Path("/proc")) -> list[Release]:
    """All releases, by name."""
    current, busy = target_of(link), running(folder, link, proc)
    # Whole, because what runs names its release so.
    root = Path(os.path.realpath(folder))
    found = []
    for name in names_in(root):
        path = root / name
        notes = [path / PASSED, path / SERVED, path / REFUSED]
        found.append(
            Release(
                name=name,
                path=str(path),
                passed=notes[0].exists(),
                served_at=str(read_note(notes[1]).get("at", "")),
                refused=read_note(notes[2]),
                current=current == path,
                running=name in busy,
                version=vllm_version(path),
                used=max(one.stat().st_mtime for one in [path, *notes] if one.exists()),
            )
        )
    return found


def running(folder: Path, link: Path, proc: Path = Path("/proc")) -> set[str]:
    """Names of releases whose interpreter runs something."""
    pids = [entry.name for entry in proc.iterdir() if entry.name.isdigit()]
    return {name for pid in pids for name in [release_of(pid, folder, link, proc)] if name}


def release_of(pid: str, folder: Path, link: Path, proc: Path = Path("/proc")) -> str:
    """The release that a process runs from; empty where it is none, or cannot be told.

    A process that was started by the link may belong to an earlier target of it. What it has
    mapped tells, because the kernel follows a folder that is renamed. Either may have been named
    as it is given here, or whole where a folder on the way is a link.
    """
    roots = (str(folder), os.path.realpath(folder))
    links = (str(link), str(Path(os.path.realpath(link.parent)) / link.name))
    try:
        program = os.fsdecode((proc / pid / "cmdline").read_bytes().partition(b"\0")[0])
        for root in roots:
            if program.startswith(f"{root}/"):
                return program[len(f"{root}/") :].partition("/")[0]
        if not program.startswith(tuple(f"{one}/" for one in links)):
            return ""
        maps = os.fsdecode((proc / pid / "maps").read_bytes())
    except OSError:
        return ""
    for root in roots:
        _before, found, after = maps.partition(f" {root}/")
        if found:
            return after.partition("/")[0]
    return ""


def surplus(releases: Iterable[Release], keep: int, needed: Iterable[str]) -> list[str]:
    """Names to remove so that no more than `keep` are left.

    What is needed, current or running stays in any case and counts. Then those that failed go
    first, next those that were never found good, and last the one that was used longest ago.
    """
    stays = set(needed)
    known = list(releases)
    stays |= {one.name for one in known if one.current or one.running}
    ranked = sorted(
        (one for one in known if one.name not in stays),
        key=lambda one: (bool(one.refused), not (one.passed or one.served_at), -one.used),
    )
    room = max(0, keep - len(stays))
    return sorted(one.name for one in ranked[room:])
