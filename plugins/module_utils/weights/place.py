# SPDX-License-Identifier: Apache-2.0
"""Puts a model's folder in place, all of it or nothing, whenever a run is interrupted."""

from __future__ import annotations

import fcntl
import functools
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from .http import FetchError
from .progress import Progress, abandoned

T = TypeVar("T")
# Between two looks whether the other run has ended, and between two lines that say so.
PAUSE_S, TELL_S = 0.5, 30.0


@contextmanager
def alone(folder: Path, patience: float, progress: Progress) -> Iterator[None]:
    """Wait until no other run works on the folder: one that lost its connection may still do.

    Args:
        patience: seconds to wait at most.
        progress: is told who works on it, and how far that is.

    Raises:
        FetchError: the other one takes longer.
    """
    make_folder(folder.parent)
    path = folder.with_name(f".{folder.name}.lock")
    with path.open("a+", encoding="utf-8") as lock:
        until, told = time.monotonic() + patience, -math.inf
        while not _taken(lock):
            now, holder = time.monotonic(), _read(path)
            if now >= until:
                raise FetchError(
                    f"Another run has been at work on {folder} for longer than the {patience:.0f} "
                    f"seconds that this one waits (llm_model_wait): {holder}. Let it end, or end "
                    "that process on the host; what it fetched is kept, and the next run goes on "
                    "from there."
                )
            if now - told >= TELL_S:
                progress.say(f"waiting for another run, at most {until - now:.0f} s: {holder}")
                told = now
            time.sleep(min(PAUSE_S, max(0.0, until - now)))
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        write = functools.partial(_write, lock, f"process {os.getpid()}, since {since}")
        write("")
        progress.also_to(write)
        yield


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, open for everybody to read whatever the umask is."""
    for one in reversed([folder, *folder.parents]):
        if not one.exists():
            one.mkdir(exist_ok=True)
            one.chmod(0o755)


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(lock: IO[str], who: str, line: str) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(f"{who}{f', at: {line}' * bool(line)}")
    lock.flush()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() or "it does not say who it is"


def leftovers(folder: Path) -> list[Path]:
    """What runs that were interrupted left beside a folder."""
    old = folder.with_name(f".{folder.name}.old")
    found = sorted(folder.parent.glob(f".{folder.name}.*.partial"))
    return found + [old] * old.exists()


def remove_leftovers(folder: Path) -> None:
    """Give back the room that they take."""
    for path in leftovers(folder):
        shutil.rmtree(path)
    remove_progress(folder)


def remove_progress(folder: Path) -> None:
    """Remove files of progress that runs which were killed left."""
    for path in abandoned(folder):
        path.unlink(missing_ok=True)


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


def empty(folder: Path) -> None:
    """Remove all that is in a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _link(source: Path, target: Path) -> None:
    if source.is_file() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
