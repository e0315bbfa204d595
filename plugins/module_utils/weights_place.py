# SPDX-License-Identifier: Apache-2.0
"""Puts a model's folder in place, all of it or nothing, whenever a run is cut off."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other run works on the folder: one that lost its connection may still do."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def leftovers(folder: Path) -> list[Path]:
    """What runs that were cut off left beside a folder."""
    old = folder.with_name(f".{folder.name}.old")
    found = sorted(folder.parent.glob(f".{folder.name}.*.partial"))
    return found + [old] * old.exists()


def remove_leftovers(folder: Path) -> None:
    """Give back the room that they take."""
    for path in leftovers(folder):
        shutil.rmtree(path)


def replace(folder: Path, key: str, fill: Callable[[Path], T], keep: Iterable[str] = ()) -> T:
    """Fill a folder beside its place, then put it there: a half-filled one never stands there.

    Args:
        key: names the contents. What an earlier try at the same left behind is there for `fill` to
            go on from; what a try at something else left is removed.
        keep: files of the folder that `fill` is to find too. They are links, which `fill` may
            replace or remove, and must not write to.
    """
    partial = folder.with_name(f".{folder.name}.{key}.partial")
    for other in leftovers(folder):
        if other != partial and (other.name != f".{folder.name}.old" or folder.exists()):
            shutil.rmtree(other)
    partial.mkdir(parents=True, exist_ok=True)
    for name in keep:
        _link(folder / name, partial / name)
    result = fill(partial)
    for path in partial.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    partial.chmod(0o755)
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    if old.exists():
        shutil.rmtree(old)
    return result


def _link(source: Path, target: Path) -> None:
    if source.is_file() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
