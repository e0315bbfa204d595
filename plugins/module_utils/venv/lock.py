# SPDX-License-Identifier: Apache-2.0
"""What an environment holds, what its lock says, and what has to change; nothing here runs uv."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_NAME_SEPARATORS = re.compile(r"[-_.]+")
_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)(?P<rest>.*)$")
_SIZE = re.compile(r"[0-9]+\Z")
# uv puts these two into every environment; compiled files come by themselves.
_OF_THE_ENVIRONMENT = ("_virtualenv.py", "_virtualenv.pth", "__pycache__")


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
        strays: files and folders beside the packages that none of them brought.
    """

    install: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.install or self.remove or self.strays)


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
    pins: Mapping[str, Pin],
    installed: Mapping[str, str],
    damaged: Mapping[str, str],
    strays: Iterable[str] = (),
) -> Plan:
    """Compare lock and environment.

    Args:
        pins: the lock.
        installed: canonical name -> version.
        damaged: canonical name -> what is wrong with its files.
        strays: what no package brought.
    """
    install: dict[str, str] = {}
    for name, pin in pins.items():
        if name not in installed:
            install[name] = "missing"
        elif installed[name] != pin.version:
            install[name] = f"is {installed[name]}"
        elif name in damaged:
            install[name] = damaged[name]
    return Plan(install, tuple(sorted(set(installed) - set(pins))), tuple(strays))


def list_packages(site_packages: Path) -> dict[str, str]:
    """Canonical name -> version by the names of the packages' folders, where there is no uv."""
    found = {}
    for info in site_packages.glob("*.dist-info"):
        name, _dash, version = info.name.removesuffix(".dist-info").partition("-")
        found[canonical(name)] = version
    return found


def find_damage(site_packages: Path, contents: bool = False) -> dict[str, str]:
    """Find packages whose files are not those that were installed.

    An install that was interrupted, a deleted or edited file, and a package put in from a path or an
    address rather than from the lock all show here.

    Args:
        contents: compare the files' checksums, which reads all of them; else names and sizes.

    Returns:
        canonical name -> what is wrong.
    """
    damage: dict[str, str] = {}
    for info in sorted(site_packages.glob("*.dist-info")):
        reason = _damage_of(info, contents)
        if reason:
            damage[canonical(info.name.removesuffix(".dist-info").partition("-")[0])] = reason
    return damage


def _damage_of(info: Path, contents: bool) -> str | None:
    rows = _record(info)
    # uv lists INSTALLER in RECORD as its last step: without it the install was interrupted.
    if rows is None or not _lists(rows, info, "INSTALLER"):
        return "was not fully installed"
    if (info / "direct_url.json").exists():
        return "was installed from a path or address"
    for name, digest, size in rows:
        # Compiled files are rewritten by the interpreter, also the few that wheels ship.
        if not size or name.endswith(".pyc"):
            continue
        path = info.parent / name
        try:
            found = path.stat().st_size
        except OSError:
            return f"{name} is gone"
        if found != int(size) or (contents and digest and _digest_of(path, digest) != digest):
            return f"{name} was changed"
    return None


def _digest_of(path: Path, like: str) -> str:
    """`ALGORITHM=DIGEST` of a file as RECORD writes it, by the algorithm of another such."""
    algorithm = like.partition("=")[0]
    digest = hashlib.new(algorithm)
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return f"{algorithm}={base64.urlsafe_b64encode(digest.digest()).rstrip(b'=').decode()}"


def find_strays(site_packages: Path) -> list[str]:
    """Files and folders at the top that no package brought: they would be imported all the same.

    While the list of one package's files is torn nobody can tell, and none are named.
    """
    owned = set(_OF_THE_ENVIRONMENT)
    for info in site_packages.glob("*.dist-info"):
        rows = _record(info)
        if rows is None:
            return []
        owned |= {info.name, *(name.partition("/")[0] for name, _digest, _size in rows)}
    return sorted(path.name for path in site_packages.iterdir() if path.name not in owned)


def is_torn(info: Path) -> bool:
    """Whether a package's own list of files is useless for uninstalling it."""
    rows = _record(info)
    return rows is None or not _lists(rows, info, "METADATA")


def _record(info: Path) -> list[list[str]] | None:
    """Rows of name, digest and size; None where the list is missing, cut off or unreadable."""
    try:
        with (info / "RECORD").open(newline="", encoding="utf-8") as handle:
            rows = list(csv.reader(handle))
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    whole = all(len(row) == 3 and (not row[2] or _SIZE.match(row[2])) for row in rows)
    # Written last into the list by every installer: a list without it ends too early.
    return rows if whole and _lists(rows, info, "RECORD") and _no_nul(rows) else None


def _no_nul(rows: list[list[str]]) -> bool:
    return not any("\0" in row[0] for row in rows)


def _lists(rows: list[list[str]], info: Path, name: str) -> bool:
    return any(row[0] == f"{info.name}/{name}" for row in rows)


def describe(plan: Plan, pins: Mapping[str, Pin], installed: Mapping[str, str]) -> dict[str, str]:
    """The plan as before and after texts for a diff, only of packages that change."""
    names = sorted({*plan.install, *plan.remove})
    before = [_before_line(name, plan, pins, installed) for name in names if name in installed]
    after = [f"{name}=={pins[name].version}" for name in names if name in pins]
    before += [f"{name}  (belongs to no package)" for name in plan.strays]
    return {"before": _lines(before), "after": _lines(after)}


def _before_line(
    name: str, plan: Plan, pins: Mapping[str, Pin], installed: Mapping[str, str]
) -> str:
    line = f"{name}=={installed[name]}"
    same_version = name in pins and pins[name].version == installed[name]
    return f"{line}  ({plan.install[name]})" if same_version else line


def _lines(items: list[str]) -> str:
    return "".join(f"{item}\n" for item in items)
