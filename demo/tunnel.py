# SPDX-License-Identifier: Apache-2.0
"""Leads a port of this machine to the dashboard, which listens on the instance's loopback alone.

OpenSSH itself keeps the connection and is told to end by its control socket. That has a relative
path, since a socket's may have about a hundred letters only.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import requests

from demo import paths
from demo.ports import free_port

SSH = ("ssh", "-F", "none")
NAME = "tunnel"
END_SECONDS = 10.0
#: Seconds in which the dashboard answers through a tunnel that is kept.
ANSWER_SECONDS = 10.0
_CHECK = ("-S", NAME, "-O", "check", "demo")


class TunnelError(Exception):
    """Nothing leads to the dashboard; the text says why."""


def login(address: str) -> list[str]:
    """The words behind `ssh` that log in to the instance."""
    return [
        *("-i", f"{paths.HOME}/ssh_key", "-o", f"UserKnownHostsFile={paths.HOME}/known_hosts"),
        *("-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"),
        f"gce-vllm@{address}",
    ]


def start(address: str, port: int, far_port: int) -> int:
    """Lead `port` to that port of the instance at that address, and nowhere else any more.

    One that leads there already stays: whoever has the dashboard open keeps the connection.

    Returns:
        The port; another one where somebody else listens at this one.

    Raises:
        TunnelError: the instance does not let it in; OpenSSH's own words.
    """
    if port and _leads(port, _words(address, port, far_port)):
        return port
    stop()
    port = port if port and _gets_free(port) else free_port()
    log = paths.HOME / f"{NAME}.log"
    with log.open("wb") as said:
        done = _ssh(*_words(address, port, far_port), output=said)
    if done.returncode:
        raise TunnelError(f"No SSH tunnel to the dashboard: {log.read_text(errors='replace')}")
    return port


def _words(address: str, port: int, far_port: int) -> list[str]:
    """The words behind `ssh` that open it."""
    return [
        # In the background once it has logged in and listens here.
        *("-f", "-N", "-M", "-S", NAME, "-L", f"127.0.0.1:{port}:127.0.0.1:{far_port}"),
        *("-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"),
        # So that it ends with the instance, however that ends.
        *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
        *login(address),
    ]


def _leads(port: int, words: Sequence[str]) -> bool:
    """Whether there is one that was opened with these words, and the dashboard answers through it.

    OpenSSH notices a connection that is dead after half a minute only.
    """
    process = re.search(rb"pid=(\d+)", _ssh(*_CHECK, output=subprocess.PIPE).stderr or b"")
    if not process:
        return False
    try:
        command = Path(f"/proc/{int(process[1])}/cmdline").read_bytes()
    except OSError:  # it ended just now
        return False
    if command.decode().split("\0")[:-1] != [*SSH, *words]:
        return False
    with requests.Session() as browser:
        browser.trust_env = False
        try:
            browser.get(f"http://127.0.0.1:{port}/login", timeout=ANSWER_SECONDS)
        except requests.RequestException:
            return False
    return True


def runs() -> bool:
    """Whether there is one."""
    if not (paths.HOME / NAME).exists():
        return False
    return _ssh(*_CHECK).returncode == 0


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
    return subprocess.run(
        [*SSH, *words],
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
