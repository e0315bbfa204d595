# SPDX-License-Identifier: Apache-2.0
"""Readies this machine: the Debian packages that booting machines takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

from emulator.machines import runtime


class HostError(Exception):
    """This machine cannot carry the demo; the text says what to do."""


def ready() -> None:
    """Install what is missing. Raises HostError with the remedy."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise HostError(
            "The demo boots machines as containers, with networks and firewalls of their own: "
            "run it as root on Linux (sudo make demo)."
        )
    missing = runtime.requirements()
    if shutil.which("ssh-keygen") is None:
        missing.append("openssh-client")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise HostError(f"Missing: {' '.join(missing)}. Install them with your package manager.")
    sys.stderr.write(f"Installing from Debian: {' '.join(missing)}\n")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing],
    )
    # A mirror may fail for a moment, and somebody else may be at apt.
    for pause in (10, 30, 60, None):
        for command in commands:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                break
        else:
            return
        said = (done.stderr or done.stdout)[-1500:]
        if pause is None:
            raise HostError(f"{' '.join(command[:2])} failed:\n{said}")
        sys.stderr.write(f"{said}\nAgain in {pause} s\n")
        time.sleep(pause)
