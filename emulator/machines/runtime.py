# SPDX-License-Identifier: Apache-2.0
"""Finds out what podman needs on this host, and runs it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from emulator.world.backend import MachineError

CAP_SYS_RESOURCE = 24
CGROUP_ROOT = Path("/sys/fs/cgroup")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# program -> Debian package that brings it
PROGRAMS = {
    "podman": "podman",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
# netavark is no program on PATH, and Debian's podman only recommends it
NETAVARK = (Path("/usr/lib/podman/netavark"), Path("/usr/libexec/podman/netavark"))

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")  # Ubuntu hosts lack it


def find(program: str) -> str | None:
    """Return the path of `program`, looking in the sbin folders too."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def cgroups_unified() -> bool:
    """Whether the host has cgroup v2 only; crun refuses v1 and the hybrid of both."""
    return (CGROUP_ROOT / "cgroup.controllers").exists()


def requirements() -> list[str]:
    """Return the Debian packages that are missing here, sorted."""
    missing = {package for program, package in PROGRAMS.items() if find(program) is None}
    if not any(path.exists() for path in NETAVARK):
        missing.add("netavark")
    if not KEYRING.exists():
        missing.add("debian-archive-keyring")
    if not cgroups_unified() and find("runc") is None:
        missing.add("runc")
    return sorted(missing)


def check_host() -> None:
    """Raise MachineError with the remedy where machines cannot be booted here."""
    if os.geteuid() != 0:
        raise MachineError(
            "Booting machines needs root (networks, firewalls and mounts of their own). "
            "Run the same command as root, or use the records backend, which boots nothing."
        )
    missing = requirements()
    if missing:
        raise MachineError(
            f"Programs are missing to boot machines. Install them with: "
            f"apt-get install -y {' '.join(missing)}"
        )


def has_capability(bit: int, status: Path = Path("/proc/self/status")) -> bool:
    """Whether this process holds capability number `bit`."""
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return False


def ulimit_flags(*, may_raise: bool, nofile: int, nproc: int, pid_max: int) -> tuple[str, ...]:
    """Return podman's --ulimit flags, empty where its defaults work.

    podman asks for more than the hard limits, which needs CAP_SYS_RESOURCE; without it the
    container fails to start. It also lowers its own process limit to `pid_max` first, so that a
    larger hard limit of the shell's cannot be handed on.

    Args:
        may_raise: whether this process holds CAP_SYS_RESOURCE.
        nofile: hard limit of open files; negative for none.
        nproc: hard limit of processes; negative for none.
        pid_max: the kernel's.
    """
    if may_raise:
        return ()
    flags: list[str] = []
    if nofile >= 0:
        flags += ["--ulimit", f"nofile={nofile}:{nofile}"]
    processes = pid_max if nproc < 0 else min(nproc, pid_max)
    flags += ["--ulimit", f"nproc={processes}:{processes}"]
    return tuple(flags)


@dataclass(frozen=True)
class Podman:
    """Runs podman with what this host needs."""

    @cached_property
    def oci_runtime(self) -> tuple[str, ...]:
        """podman's global flags that name the runtime; empty where its default works."""
        return () if cgroups_unified() else ("--runtime", find("runc") or "runc")

    @cached_property
    def ulimits(self) -> tuple[str, ...]:
        """Flags for `podman create` and `podman run`."""
        return ulimit_flags(
            may_raise=has_capability(CAP_SYS_RESOURCE),
            nofile=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            nproc=resource.getrlimit(resource.RLIMIT_NPROC)[1],
            pid_max=int(Path("/proc/sys/kernel/pid_max").read_text()),
        )

    def command(self, *args: str) -> list[str]:
        """Return the argv of a podman call."""
        return ["podman", *self.oci_runtime, *args]

    def run(self, *args: str, stdin: str | None = None, timeout: float = 300) -> str:
        """Run podman and return its output; `timeout` in seconds. Raises MachineError."""
        return execute(self.command(*args), stdin=stdin, timeout=timeout)

    def json(self, *args: str) -> Any:
        """Run podman and return its output parsed as JSON; an empty output is an empty list."""
        return json.loads(self.run(*args).strip() or "[]")


def execute(argv: list[str], *, stdin: str | None = None, timeout: float = 300) -> str:
    """Run a program and return its standard output; a failure is a MachineError that names it."""
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"},
        )
    except FileNotFoundError:
        raise MachineError(f"{argv[0]} is not installed here") from None
    except subprocess.TimeoutExpired:
        raise MachineError(f"No answer within {timeout:.0f} s from: {' '.join(argv[:8])}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-1000:]
        raise MachineError(f"{_short(argv)} ended with {done.returncode}: {said}")
    return done.stdout


def _short(argv: list[str]) -> str:
    words = [word for word in argv if len(word) < 80]
    return " ".join(words[:8])
