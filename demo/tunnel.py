# SPDX-License-Identifier: Apache-2.0
"""Leads a port of this machine to the dashboard, which listens on the instance's loopback alone.

OpenSSH itself keeps the connection and is told to end by its control socket. That has a relative
path, since a socket's may have about a hundred letters only.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence
from typing import IO

from demo import paths
from demo.ports import free_port

NAME = "tunnel"
#: What the role monitoring takes where nobody names another one.
FAR_PORT = 8080
END_SECONDS = 10.0


class TunnelError(Exception):
    """Nothing leads to the dashboard; the text says why."""


def login(address: str) -> list[str]:
    """The words behind `ssh` that log in to the instance."""
    return [
        *("-i", f"{paths.HOME}/ssh_key", "-o", f"UserKnownHostsFile={paths.HOME}/known_hosts"),
        *("-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"),
        f"gce-vllm@{address}",
    ]


def start(address: str, port: int) -> int:
    """Lead `port` to the instance at that address, and nowhere else any more. Raises TunnelError.

    Returns:
        The port; another one where somebody else listens at this one.
    """
    stop()
    port = port if port and _gets_free(port) else free_port()
    log = paths.HOME / f"{NAME}.log"
    with log.open("wb") as said:
        done = _ssh(
            # In the background once it has logged in and listens here.
            *("-f", "-N", "-M", "-S", NAME, "-L", f"127.0.0.1:{port}:127.0.0.1:{FAR_PORT}"),
            *("-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"),
            # So that it ends with the instance, however that ends.
            *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
            *login(address),
            output=said,
        )
    if done.returncode:
        raise TunnelError(f"No SSH tunnel to the dashboard: {log.read_text(errors='replace')}")
    return port


def runs() -> bool:
    """Whether there is one."""
    if not (paths.HOME / NAME).exists():
        return False
    return _ssh("-S", NAME, "-O", "check", "demo").returncode == 0


def stop() -> None:
    """End it."""
    control = paths.HOME / NAME
    if control.exists():
        _ssh("-S", NAME, "-O", "exit", "demo")
    until = time.monotonic() + END_SECONDS
    while control.exists() and time.monotonic() < until:
        if not runs():
            control.unlink(missing_ok=True)  # of a machine that went down
        time.sleep(0.05)


def _ssh(
    *words: str, output: int | IO[bytes] = subprocess.DEVNULL
) -> subprocess.CompletedProcess[bytes]:
    command: Sequence[str] = ["ssh", "-F", "none", *words]
    return subprocess.run(
        command,
        cwd=paths.HOME,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=output,
        check=False,
    )


def _gets_free(port: int) -> bool:
    """Whether nobody listens there, or whoever did ends by now, as an earlier tunnel."""
    until = time.monotonic() + END_SECONDS
    while not (free := _is_free(port)) and time.monotonic() < until:
        time.sleep(0.05)
    return free


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
