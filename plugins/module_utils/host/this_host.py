# SPDX-License-Identifier: Apache-2.0
"""The host that this runs on, as `gpu_probe` asks it."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import subprocess
from pathlib import Path

# A driver that hangs keeps nvidia-smi from ever answering.
LONGEST_COMMAND = 60.0
FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/cuda/bin")


def _give_up(running: subprocess.Popen[str]) -> None:
    """End a command with all that it started; what hangs in a driver does not die of it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(1)
    for pipe in (running.stdout, running.stderr):
        if pipe is not None:
            pipe.close()


class ThisHost:
    """Runs commands and reads files here.

    Args:
        longest: seconds that a command gets.
    """

    def __init__(self, longest: float | None = None) -> None:
        self._longest = LONGEST_COMMAND if longest is None else longest

    def run(self, *command: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr; 127 for a missing program, 124 for one that hangs."""
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), *FOLDERS))
        program = shutil.which(command[0], path=path)
        if program is None:
            return 127, "", ""
        running = subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            out, err = running.communicate(timeout=self._longest)
        except subprocess.TimeoutExpired:
            _give_up(running)
            return 124, "", f"no answer within {self._longest:g} s"
        return running.returncode, out, err

    def read(self, path: str) -> str:
        """Text of a file, empty where it is missing."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def pci_vendors(self) -> list[str]:
        """The vendor of each device on the PCI bus."""
        return [path.read_text().strip() for path in Path("/sys/bus/pci/devices").glob("*/vendor")]

    def machine(self) -> str:
        """Kind of processor."""
        return platform.machine()
