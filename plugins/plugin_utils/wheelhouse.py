# SPDX-License-Identifier: Apache-2.0
"""Picks from a folder of packages' files those that a lock knows by checksum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..module_utils.venv.lock import Pin, canonical

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_SOURCES = (".tar.gz", ".zip")


class WheelhouseError(ValueError):
    """The folder lacks something; the text says what, and how it is filled."""


def choose(
    folder: Path, pins: Mapping[str, Pin], names: Iterable[str], sources: bool = False
) -> list[Path]:
    """One file for each of the packages.

    Args:
        pins: the lock, by canonical name.
        names: canonical names of the packages that are needed.
        sources: whether a source archive will do where there is no wheel. It needs a build, which
            runs code, and that needs an index.

    Raises:
        WheelhouseError: there is none for a package, or none that the lock knows.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir(), key=lambda one: (one.suffix != ".whl", one.name)):
        name = _package_of(path)
        if name and (sources or path.suffix == ".whl"):
            files.setdefault(name, []).append(path)
    found, missing = [], []
    for name in names:
        known = set(_HASH.findall(pins[name].text))
        file = next((one for one in files.get(name, []) if _sha256(one) in known), None)
        if file is None:
            missing.append(f"{name}=={pins[name].version}")
        else:
            found.append(file)
    if missing:
        kind, only = ("file", "") if sources else ("wheel", " --only-binary=:all:")
        raise WheelhouseError(
            f"The wheelhouse {folder} has no {kind} that the lock knows for {', '.join(missing)}. "
            "Fill it on a machine with a network and the host's Python and platform: "
            f"pip download --no-deps --require-hashes{only} --dest {folder} -r LOCK"
        )
    return found


def _package_of(path: Path) -> str:
    """Canonical name of the package that a file is of; empty where it is none."""
    if path.suffix == ".whl":
        return str(canonical(path.name.partition("-")[0]))
    for suffix in _SOURCES:
        if path.name.endswith(suffix):
            return str(canonical(path.name.removesuffix(suffix).rpartition("-")[0]))
    return ""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
