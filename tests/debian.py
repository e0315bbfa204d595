# SPDX-License-Identifier: Apache-2.0
"""Programs that tests take from Debian, installed where they are missing."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

#: Long enough for a slow mirror.
TIMEOUT_S = 900


def install(*programs: str) -> None:
    """Has each of them, by the package of the same name; waits where another test installs.

    Raises:
        RuntimeError: it is missing and cannot be installed; the text says what to do.
    """
    with (Path(tempfile.gettempdir()) / f"gce-vllm-debian-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in programs if shutil.which(name, path=_path()) is None]
        if not missing:
            return
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            raise RuntimeError(f"Missing: {' '.join(missing)}. Install them and run again.")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing],
        ):
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            if done.returncode:
                said = (done.stderr or done.stdout)[-1500:]
                raise RuntimeError(f"{' '.join(command[:2])} failed:\n{said}")


def unpacked(package: str, program: str) -> str:
    """Where a program of a package is that is unpacked and not installed: it starts no service.

    Raises:
        RuntimeError: the package cannot be had; the text says what to do.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gce-vllm" / "debian"
    base.mkdir(parents=True, exist_ok=True)
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = base / package / "usr/bin" / program
        if found.exists():
            return str(found)
        if shutil.which("apt-get") is None:
            raise RuntimeError(f"Missing: {program}. These tests need Debian or Ubuntu.")
        with tempfile.TemporaryDirectory(dir=base) as folder:
            said = _tried(["apt-get", "download", "-qq", package], folder)
            if said and os.geteuid() == 0:  # its lists may be of another day, or not there
                said = _tried(["apt-get", "update", "-qq"], folder)
                said = said or _tried(["apt-get", "download", "-qq", package], folder)
            if said:
                raise RuntimeError(f"{package} can't be downloaded:\n{said}")
            (file,) = Path(folder).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", file, base / package], check=True, timeout=TIMEOUT_S)
        return str(found)


def _tried(command: list[str], folder: str) -> str:
    """What a command said that failed, else nothing."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return (done.stderr or done.stdout)[-1500:] if done.returncode else ""


def program(name: str) -> str:
    """Where an installed program is, which may be among those for root."""
    found = shutil.which(name, path=_path())
    if found is None:
        raise RuntimeError(f"Missing: {name}. Install it and run again.")
    return found


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
