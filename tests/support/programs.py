# SPDX-License-Identifier: Apache-2.0
"""Programs beside this file that run in another environment's Python."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent


def output_of(
    python: str,
    program: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    timeout: float = 900,
) -> str:
    """What a program writes that has to succeed."""
    done = subprocess.run(
        [python, str(HERE / program), *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
