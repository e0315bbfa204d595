# SPDX-License-Identifier: Apache-2.0
"""The process that asks for health."""

from __future__ import annotations

import socket
import time
from multiprocessing.connection import Connection

#: Between two questions.
INTERVAL_S = 0.02
#: How long one may take.
ANSWER_S = 90.0


def probe(port: int, pipe: Connection) -> None:
    """Times /health by a plan: what was late makes those after it late too."""
    took: list[float] = []
    planned = time.monotonic()
    pipe.send("began")
    while not pipe.poll():
        time.sleep(max(0.0, planned - time.monotonic()))
        _ask(port)
        now = time.monotonic()
        while planned < now:
            took.append(now - planned)
            planned += INTERVAL_S
    pipe.send(took)


def _ask(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while connection.recv(4096):
            pass
