# SPDX-License-Identifier: Apache-2.0
"""Ports for servers that are started later."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()


def free_port() -> int:
    """A TCP port on loopback that nothing uses at this moment.

    It is below those that the kernel gives to connections and to listeners on port 0: any of them
    could else have it before the server does.
    """
    end = int(_RANGE.read_text(encoding="ascii").split()[0])
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(min(end // 2, 10_000), end)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
