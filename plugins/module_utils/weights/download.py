# SPDX-License-Identifier: Apache-2.0
"""Downloads a model's files, several at once: each goes on where it stopped, and is checked."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import threading
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import http as weights_http
from .file_choice import PART
from .http import AskAgainError, FetchError, Place
from .progress import Meter, Progress
from .sources import Offer, RemoteFile

AT_ONCE = 4
BLOCK = 1 << 20
# Beside the weights, room for the rest of the system to go on.
SPARE_BYTES = 1 << 30


@dataclass(frozen=True)
class _Job:
    """What all files of a model share while they are fetched; `stop` ends it."""

    place: Place
    stop: threading.Event
    meter: Meter


def check_space(folder: Path, needed: int) -> None:
    """Refuse to start what would fill the disk.

    Args:
        needed: bytes still to be written.

    Raises:
        FetchError: too little is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise FetchError(
            f"{folder} has {free / 1e9:.1f} GB free, the model needs {needed / 1e9:.1f} GB and "
            "1.1 GB to spare: make the disk larger, keep models elsewhere (llm_model_dir), or "
            f"remove models that are no longer served{_others(folder)}."
        )


def _others(folder: Path) -> str:
    """The models beside one that is being fetched, with their sizes."""
    found = [
        f"{path.name} ({folder_bytes(path) / 1e9:.1f} GB)"
        for path in sorted(folder.parent.iterdir())
        if path.is_dir() and not path.name.startswith(".") and path.name != "lost+found"
    ]
    return f": {folder.parent} has {', '.join(found)}" if found else ""


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def sort_out(offer: Offer, folder: Path, progress: Progress) -> dict[str, str]:
    """Remove what is no part of the model, or differs from it; SHA-256 of each file that is right.

    Parts of files stay: a download goes on from them.
    """
    keep = {folder / name for name in offer.files}
    for path in [one for one in folder.rglob("*") if one.is_file()]:
        whole = path.with_name(path.name.removesuffix(PART))
        if path not in keep and (path == whole or whole not in keep):
            path.unlink()
    there = {name: file for name, file in offer.files.items() if (folder / name).is_file()}
    good: dict[str, str] = {}
    if not there:
        return good
    size = sum((folder / name).stat().st_size for name in there)
    with progress.stage("checking what is there", size, len(there)) as meter:
        for name, file in there.items():
            digest, sha256 = digests(folder / name, file.algorithm, meter)
            if digest == file.digest:
                good[name] = sha256
            else:
                (folder / name).unlink()
            meter.file_done()
    return good


def missing_bytes(offer: Offer, folder: Path, good: Mapping[str, str]) -> int:
    """Bytes that are not in the folder yet, of files that are not `good`."""
    return sum(
        max(0, file.size - _part_bytes(folder / name, file))
        for name, file in offer.files.items()
        if name not in good
    )


def download(
    offer: Offer, folder: Path, good: Mapping[str, str], progress: Progress
) -> dict[str, str]:
    """Bring the files that are not `good` into a folder; returns the SHA-256 of each.

    Raises:
        FetchError: a file can't be fetched. What was fetched stays.
    """
    missing = {name: file for name, file in offer.files.items() if name not in good}
    size = sum(file.size for file in missing.values())
    present = size - missing_bytes(offer, folder, good)
    try:
        what = f"fetching from {offer.place.where}"
        with progress.stage(what, size, len(missing), present) as meter:
            return {**good, **_fetch_all(offer.place, missing, folder, meter)}
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise FetchError(f"{folder} can't be written: {error.strerror or error}.") from error
        raise FetchError(
            f"The disk of {folder} filled up while {offer.place.where} was fetched. Make "
            "room: what was "
            "fetched is kept, and the next run goes on from there."
        ) from error


def _fetch_all(
    place: Place, files: Mapping[str, RemoteFile], folder: Path, meter: Meter
) -> dict[str, str]:
    job = _Job(place, threading.Event(), meter)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = {
            name: pool.submit(_fetch, job, file, folder / name) for name, file in files.items()
        }
        done, waiting = wait(tasks.values(), return_when=FIRST_EXCEPTION)
        if any(task.exception() for task in done):
            job.stop.set()
            for task in waiting:
                task.cancel()
    for task in done:
        task.result()
    return {name: task.result() for name, task in tasks.items()}


def _part_bytes(path: Path, file: RemoteFile) -> int:
    part = path.with_name(path.name + PART)
    size = part.stat().st_size if part.is_file() else 0
    # A longer one is no part of this file, and is thrown away.
    return size if size <= file.size else 0


def _fetch(job: _Job, file: RemoteFile, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART)
    for last in (False, True):
        _fill(job, file, part)
        digest, sha256 = digests(part, file.algorithm)
        if digest == file.digest:
            # Nothing may count as fetched that a crash of the machine could still lose.
            with part.open("rb") as handle:
                os.fsync(handle.fileno())
            part.replace(path)
            job.meter.file_done()
            return sha256
        job.meter.add(-file.size)
        part.unlink()
        if last:
            break
    raise FetchError(
        f"{file.url} sends other bytes than {job.place.where} lists: {digest} "
        f"({file.algorithm}) in place of "
        f"{file.digest}, twice. Nothing of it was kept: the file there, or a proxy on "
        "the way, is broken."
    )


def _fill(job: _Job, file: RemoteFile, part: Path) -> None:
    """Bring a part up to its size; a broken connection goes on where it broke."""
    if part.is_file() and part.stat().st_size > file.size:
        part.unlink()
    part.touch()
    most, failures = part.stat().st_size, 0
    while (present := part.stat().st_size) < file.size:
        try:
            with job.place.open(file.url, present) as answer:
                mode = "r+b"
                if answer.status != 206:
                    # A server that knows no ranges sends the file from its beginning.
                    mode = "wb"
                    job.meter.add(-present)
                _write(job, answer, part, mode, file.size)
            if (now := part.stat().st_size) < file.size:
                raise AskAgainError(f"the connection broke after {now} of {file.size} bytes")
        except AskAgainError as error:
            now = part.stat().st_size
            failures = 1 if now > most else failures + 1
            most = max(most, now)
            if failures > len(weights_http.PAUSES_S):
                raise weights_http.gave_up(file.url, error) from error
            time.sleep(max(weights_http.PAUSES_S[failures - 1], error.pause))


def _write(job: _Job, answer: Any, part: Path, mode: str, size: int) -> None:
    # Unbuffered, and by what has arrived: a run that is killed keeps all that it got.
    with part.open(mode, buffering=0) as handle:
        handle.seek(0, os.SEEK_END)
        while handle.tell() < size:
            if job.stop.is_set():
                raise FetchError("another file failed")
            try:
                block = answer.read1(min(BLOCK, size - handle.tell()))
            except (http.client.HTTPException, OSError) as error:
                raise AskAgainError(str(error) or type(error).__name__) from error
            if not block:
                return
            handle.write(block)
            job.meter.add(len(block))


def digests(path: Path, algorithm: str, meter: Meter | None = None) -> tuple[str, str]:
    """A file's checksum by `algorithm` (see RemoteFile), and by SHA-256, reading it once."""
    sha256 = hashlib.sha256()
    own = hashlib.md5(usedforsecurity=False) if algorithm == "md5" else sha256
    if algorithm == "git":
        own = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as handle:
        while block := handle.read(BLOCK):
            sha256.update(block)
            if own is not sha256:
                own.update(block)
            if meter:
                meter.add(len(block))
    return own.hexdigest(), sha256.hexdigest()
