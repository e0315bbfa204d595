# SPDX-License-Identifier: Apache-2.0
"""SSH key pairs on the controller."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path


def public_key(private: Path, kind: str, comment: str) -> str:
    """Type and public key of a pair that is as it should be; empty if anything differs.

    Args:
        kind: as `ssh-keygen -t` takes it.
        comment: of the public key.
    """
    public = private.with_name(f"{private.name}.pub")
    try:
        if stat.S_IMODE(private.stat().st_mode) != 0o600:
            return ""
        words = public.read_text(encoding="utf-8").strip().split(maxsplit=2)
        # An empty passphrase: ssh-keygen would ask for one otherwise.
        derived = subprocess.run(
            ["ssh-keygen", "-y", "-P", "", "-f", str(private)],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired):
        return ""
    whole = (
        derived.returncode == 0
        and words[:2] == derived.stdout.split(maxsplit=2)[:2]
        and words[:1] == [f"ssh-{kind}"]
        and words[2:] == [comment]
    )
    return " ".join(words[:2]) if whole else ""
