# SPDX-License-Identifier: Apache-2.0
"""Programs that tests take from Debian, installed where they are missing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from emulator.machines import attempts

#: Long enough for a slow mirror.
TIMEOUT_S = 900
#: A mirror may fail for a moment, and somebody else may be at apt: pauses between the attempts.
PAUSES_S = (10, 30, 60)


def install(*programs: str) -> None:
    """Has each of them, by the package of the same name; waits where another test installs.

    Raises:
        RuntimeError: it is missing and cannot be installed; the text says what to do.
    """
    with _alone():
        missing = [name for name in programs if shutil.which(name, path=_path()) is None]
        if not missing:
            return
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            raise RuntimeError(f"Missing: {' '.join(missing)}. Install them and run again.")
        added = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing]
        _again_and_again(["apt-get", "update", "-qq"], added)


def unpacked(package: str, program: str) -> str:
    """Where a program of a package is that is unpacked and not installed: it starts no service.

    Raises:
        RuntimeError: the package cannot be installed; the text says what to do.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gce-vllm" / "debian"
    base.mkdir(parents=True, exist_ok=True)
    found = base / package / "usr/bin" / program
    if found.exists():
        return str(found)
    with _alone():
        if found.exists():
            return str(found)
        if shutil.which("apt-get") is None:
            raise RuntimeError(f"Missing: {program}. These tests need Debian or Ubuntu.")
        with tempfile.TemporaryDirectory(dir=base) as folder:
            download = ["apt-get", "download", "-qq", package]
            try:
                _run(download, folder=folder)
            except RuntimeError:
                # Its lists may be of another day, or not there.
                renewed = [["apt-get", "update", "-qq"]] if os.geteuid() == 0 else []
                _again_and_again(*renewed, download, folder=folder)
            (file,) = Path(folder).glob("*.deb")
            whole = Path(folder) / "whole"
            subprocess.run(["dpkg-deb", "-x", file, whole], check=True, timeout=TIMEOUT_S)
            # Who is killed meanwhile leaves nothing that the next would take for the program.
            shutil.rmtree(base / package, ignore_errors=True)
            whole.rename(base / package)
        return str(found)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One at a time, also of steps that run side by side: apt refuses a second one at once."""
    with (Path(tempfile.gettempdir()) / f"gce-vllm-debian-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _again_and_again(*commands: list[str], folder: str = "/") -> None:
    """Run them one after the other, and all again where one fails."""

    def once() -> None:
        for command in commands:
            _run(command, folder=folder)

    attempts.several(once, pauses_s=PAUSES_S, failure=RuntimeError)


def _run(command: list[str], *, folder: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout)[-1500:]
        raise RuntimeError(f"`{' '.join(command)}` ended with {done.returncode}: {said}")


def program(name: str) -> str:
    """Where an installed program is, which may be among those for root."""
    found = shutil.which(name, path=_path())
    if found is None:
        raise RuntimeError(f"Missing: {name}. Install it and run again.")
    return found


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
