# SPDX-License-Identifier: Apache-2.0
"""What an environment holds, what its lock says, and what has to change; nothing here runs uv."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_NAME_SEPARATORS = re.compile(r"[-_.]+")
_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)(?P<rest>.*)$")


class LockError(ValueError):
    """The lock can't be used; the text says which line and why."""


@dataclass(frozen=True)
class Pin:
    """One line of a lock.

    Attributes:
        text: the whole requirement with its hashes, as it stands in the lock.
    """

    name: str
    version: str
    text: str


@dataclass(frozen=True)
class Plan:
    """The way from what is installed to what is locked.

    Attributes:
        install: package -> why it is (re)installed.
        remove: packages that the lock doesn't know.
    """

    install: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.install or self.remove)


def canonical(name: str) -> str:
    """Spell a distribution's name the way the package index compares it."""
    return _NAME_SEPARATORS.sub("-", name).lower()


def parse_lock(text: str) -> dict[str, Pin]:
    """Read a lock made by `uv pip compile --generate-hashes` for one Python and one platform.

    Returns:
        canonical name -> pin.

    Raises:
        LockError: a line is no `name==version` with at least one hash, or a name comes twice.
    """
    pins: dict[str, Pin] = {}
    for number, line in _logical_lines(text):
        match = _PINNED.match(line)
        if match is None:
            raise LockError(f"line {number}: expected NAME==VERSION --hash=…, got {line[:60]!r}")
        name = canonical(match["name"])
        if "--hash=" not in match["rest"]:
            raise LockError(f"line {number}: {name} has no hash")
        if name in pins:
            raise LockError(f"line {number}: {name} is there twice")
        pins[name] = Pin(name, match["version"], line)
    if not pins:
        raise LockError("it names no package")
    return pins


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of its first line, requirement): continuations joined, comments dropped."""
    start = 0
    parts: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        start = start if parts else number
        parts.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            yield start, " ".join(parts)
            parts = []
    if parts:
        yield start, " ".join(parts)


def make_plan(
    pins: Mapping[str, Pin], installed: Mapping[str, str], damaged: Mapping[str, str]
) -> Plan:
    """Compare lock and environment.

    Args:
        pins: the lock.
        installed: canonical name -> version.
        damaged: canonical name -> what is wrong with its files.
    """
    install: dict[str, str] = {}
    for name, pin in pins.items():
        if name not in installed:
            install[name] = "missing"
        elif installed[name] != pin.version:
            install[name] = f"is {installed[name]}"
        elif name in damaged:
            install[name] = damaged[name]
    return Plan(install, tuple(sorted(set(installed) - set(pins))))


def find_damage(site_packages: Path) -> dict[str, str]:
    """Find packages whose files are not those that were installed, as far as names and sizes tell.

    An install that was cut off, a deleted or edited file, and a package put in from a path or an
    address rather than from the lock all show here. Contents are not read.

    Returns:
        canonical name -> what is wrong.
    """
    damage: dict[str, str] = {}
    for info in sorted(site_packages.glob("*.dist-info")):
        reason = _damage_of(info)
        if reason:
            damage[canonical(info.name.removesuffix(".dist-info").partition("-")[0])] = reason
    return damage


def _damage_of(info: Path) -> str | None:
    rows = _record(info)
    # uv lists INSTALLER in RECORD as its last step: without it the install was cut off.
    if not _lists(rows, info, "INSTALLER"):
        return "was not fully installed"
    if (info / "direct_url.json").exists():
        return "was installed from a path or address"
    for row in rows:
        # Compiled files are rewritten by the interpreter, also the few that wheels ship.
        if len(row) < 3 or not row[2] or row[0].endswith(".pyc"):
            continue
        try:
            size = (info.parent / row[0]).stat().st_size
        except OSError:
            return f"{row[0]} is gone"
        if size != int(row[2]):
            return f"{row[0]} was changed"
    return None


def is_torn(info: Path) -> bool:
    """Whether a package's own list of files is useless for uninstalling it."""
    return not _lists(_record(info), info, "METADATA")


def _record(info: Path) -> list[list[str]]:
    try:
        with (info / "RECORD").open(newline="", encoding="utf-8") as handle:
            return list(csv.reader(handle))
    except OSError:
        return []


def _lists(rows: list[list[str]], info: Path, name: str) -> bool:
    return any(row and row[0] == f"{info.name}/{name}" for row in rows)


def describe(plan: Plan, pins: Mapping[str, Pin], installed: Mapping[str, str]) -> dict[str, str]:
    """The plan as before and after texts for a diff, only of packages that change."""
    names = sorted({*plan.install, *plan.remove})
    before = [_before_line(name, plan, pins, installed) for name in names if name in installed]
    after = [f"{name}=={pins[name].version}" for name in names if name in pins]
    return {"before": _lines(before), "after": _lines(after)}


def _before_line(
    name: str, plan: Plan, pins: Mapping[str, Pin], installed: Mapping[str, str]
) -> str:
    line = f"{name}=={installed[name]}"
    same_version = name in pins and pins[name].version == installed[name]
    return f"{line}  ({plan.install[name]})" if same_version else line


def _lines(items: list[str]) -> str:
    return "".join(f"{item}\n" for item in items)
