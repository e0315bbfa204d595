# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the emulator as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import requests

from demo import paths

START_SECONDS = 300.0
STOP_SECONDS = 30.0


class DaemonError(Exception):
    """The emulator does not run; the text says why and where to look."""


def healthy(port: int) -> bool:
    """Whether the emulator answers on that port of loopback."""
    try:
        return requests.get(f"http://127.0.0.1:{port}/emulator/v1/health", timeout=20).ok
    except requests.RequestException:
        return False


def pid() -> int | None:
    """Process id of the running emulator; None where there is none.

    A number left in the file by a machine that went down may belong to somebody else by now, so the
    command line is looked at too.
    """
    try:
        number = int(paths.EMULATOR_PID.read_text())
        command = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return number if b"emulator" in command and b"serve" in command else None


def start(*, port: int, tls_port: int, proxy_port: int, options: Sequence[str]) -> None:
    """Start it in the background unless it runs; return when it answers. Raises DaemonError."""
    if pid() and healthy(port):
        return
    stop()
    command = [sys.executable, "-m", "emulator", "serve", "--backend", "podman"]
    command += ["--port", str(port), "--tls-port", str(tls_port), "--proxy-port", str(proxy_port)]
    command += ["--state-dir", str(paths.EMULATOR_STATE), *options]
    with paths.EMULATOR_LOG.open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=paths.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    paths.EMULATOR_PID.write_text(str(process.pid))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if healthy(port):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise DaemonError(f"The emulator did not start:\n{log_tail()}\nAll of it: {paths.EMULATOR_LOG}")


def stop() -> bool:
    """Stop it and wait until it is gone; whether there was one."""
    number = pid()
    if number is not None:
        os.kill(number, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while pid() is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        if pid() is not None:
            os.kill(number, signal.SIGKILL)
    paths.EMULATOR_PID.unlink(missing_ok=True)
    return number is not None


def log_tail(lines: int = 15) -> str:
    """The last lines of its log."""
    try:
        return "\n".join(paths.EMULATOR_LOG.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
