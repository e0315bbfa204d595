# SPDX-License-Identifier: Apache-2.0
"""The outside half of the guest agent: what metadata asks for, handed into the machine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from emulator.machines.runtime import Podman
from emulator.world.backend import MachineError

AGENT = Path(__file__).with_name("guest_agent.py")
USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
EXPIRING = " google-ssh "

Accounts = dict[str, list[str]]


def accounts(metadata: Mapping[str, str], now: datetime | None = None) -> Accounts:
    """Return the users that `ssh-keys` names, each with its keys in order.

    Lines that are not `USER:KEY` and keys that have expired are left out, as Google's agent does.
    """
    users: Accounts = {}
    for line in metadata.get("ssh-keys", "").splitlines():
        user, _, key = line.strip().partition(":")
        key = key.strip()
        if not USER_NAME.fullmatch(user) or not key:
            continue
        if EXPIRING in key and _expired(key, now or datetime.now(UTC)):
            continue
        keys = users.setdefault(user, [])
        if key not in keys:
            keys.append(key)
    return users


def _expired(key: str, now: datetime) -> bool:
    """Whether a key's `google-ssh {…"expireOn": …}` comment has passed or can't be read."""
    try:
        expires = json.loads(key.partition(EXPIRING)[2])["expireOn"]
        return datetime.strptime(expires, "%Y-%m-%dT%H:%M:%S%z") < now
    except (ValueError, KeyError, TypeError):
        return True


def call(
    podman: Podman, container: str, *, desired: Accounts | None, wait: float = 0
) -> dict[str, dict[str, str]]:
    """Run the agent in a running container and return its guest attributes.

    Args:
        desired: the accounts to make; None leaves users alone.
        wait: seconds to wait for sshd; 0 asks nothing of it.
    """
    order = json.dumps({"accounts": desired, "wait": wait})
    argv = ["exec", "--interactive", container, "python3", "-c", AGENT.read_text()]
    answer = json.loads(podman.run(*argv, stdin=order, timeout=wait + 60))
    if not isinstance(answer, dict):
        raise MachineError(f"The guest agent of {container} answered {answer!r}")
    return answer
