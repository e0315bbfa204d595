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
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from . import weights_http
from .weights_http import AskAgainError, FetchError, Place
from .weights_sources import Offer, RemoteFile

AT_ONCE = 4
BLOCK = 1 << 20
PART = ".part"
# Beside the weights, room for the rest of the system to go on.
SPARE_BYTES = 1 << 30


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
            "1.1 GB to spare: make the disk larger, or keep models elsewhere (llm_model_dir)."
        )


def missing_bytes(offer: Offer, folder: Path) -> int:
    """Bytes that are not in the folder yet."""
    return sum(max(0, file.size - _had(folder / name)) for name, file in offer.files.items())


def download(offer: Offer, folder: Path) -> dict[str, str]:
    """Bring all files into a folder; returns the SHA-256 of each.

    What is there already is kept where its checksum is right; anything else is removed.

    Raises:
        FetchError: a file can't be had. What was fetched stays.
    """
    keep = {folder / name for name in offer.files}
    for path in [one for one in folder.rglob("*") if one.is_file()]:
        whole = path.with_name(path.name.removesuffix(PART))
        if path not in keep and (path == whole or whole not in keep):
            path.unlink()
    stop = threading.Event()
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            tasks = {
                name: pool.submit(_fetch, offer.place, file, folder / name, stop)
                for name, file in offer.files.items()
            }
            done, waiting = wait(tasks.values(), return_when=FIRST_EXCEPTION)
            if any(task.exception() for task in done):
                stop.set()
                for task in waiting:
                    task.cancel()
        for task in done:
            task.result()
        return {name: task.result() for name, task in tasks.items()}
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise FetchError(f"{folder} can't be written: {error.strerror or error}.") from error
        raise FetchError(
            f"The disk of {folder} filled up while {offer.place.where} was fetched. Make "
            "room: what was "
            "fetched is kept, and the next run goes on from there."
        ) from error


def _had(path: Path) -> int:
    for one in (path, path.with_name(path.name + PART)):
        if one.is_file():
            return one.stat().st_size
    return 0


def _fetch(place: Place, file: RemoteFile, path: Path, stop: threading.Event) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        digest, sha256 = digests(path, file.algorithm)
        if digest == file.digest:
            return sha256
        path.unlink()
    part = path.with_name(path.name + PART)
    for last in (False, True):
        _fill(place, file, part, stop)
        digest, sha256 = digests(part, file.algorithm)
        if digest == file.digest:
            # Nothing may count as fetched that a crash of the machine could still lose.
            with part.open("rb") as handle:
                os.fsync(handle.fileno())
            part.replace(path)
            return sha256
        part.unlink()
        if last:
            break
    raise FetchError(
        f"{file.url} sends other bytes than {place.where} lists: {digest} "
        f"({file.algorithm}) in place of "
        f"{file.digest}, twice. Nothing of it was kept: the file there, or a proxy on "
        "the way, is broken."
    )


def _fill(place: Place, file: RemoteFile, part: Path, stop: threading.Event) -> None:
    """Bring a part up to its size; a broken connection goes on where it broke."""
    if part.is_file() and part.stat().st_size > file.size:
        part.unlink()
    part.touch()
    most, failures = part.stat().st_size, 0
    while (had := part.stat().st_size) < file.size:
        try:
            with place.open(file.url, had) as answer:
                # A server that knows no ranges sends the file from its beginning.
                _write(answer, part, "r+b" if answer.status == 206 else "wb", file.size, stop)
            if (now := part.stat().st_size) < file.size:
                raise AskAgainError(f"the connection broke after {now} of {file.size} bytes")
        except AskAgainError as error:
            now = part.stat().st_size
            failures = 1 if now > most else failures + 1
            most = max(most, now)
            if failures > len(weights_http.PAUSES_S):
                raise weights_http.gave_up(file.url, error) from error
            time.sleep(max(weights_http.PAUSES_S[failures - 1], error.pause))


def _write(answer: Any, part: Path, mode: str, size: int, stop: threading.Event) -> None:
    # Unbuffered, and by what has arrived: a run that is killed keeps all that it got.
    with part.open(mode, buffering=0) as handle:
        handle.seek(0, os.SEEK_END)
        while handle.tell() < size:
            if stop.is_set():
                raise FetchError("another file failed")
            try:
                block = answer.read1(min(BLOCK, size - handle.tell()))
            except (http.client.HTTPException, OSError) as error:
                raise AskAgainError(str(error) or type(error).__name__) from error
            if not block:
                return
            handle.write(block)


def digests(path: Path, algorithm: str) -> tuple[str, str]:
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
    return own.hexdigest(), sha256.hexdigest()
