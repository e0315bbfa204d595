# SPDX-License-Identifier: Apache-2.0
"""Readies this machine: the Debian packages that booting machines takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from emulator.machines import attempts, runtime

#: Between the attempts: a mirror may fail for a moment, and somebody else may be at apt.
PAUSES_S = (10, 30, 60)


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
    attempts.several(lambda: _install(missing), pauses_s=PAUSES_S, failure=HostError)


def _install(packages: Sequence[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout)[-1500:]
            raise HostError(f"{' '.join(command[:2])} failed:\n{said}")
