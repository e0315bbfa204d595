# SPDX-License-Identifier: Apache-2.0
"""A socket on which root of this host asks how long nobody came, and has no more let in.

One line of JSON each way. `{"do": "look"}` asks. `{"do": "rest", "seconds": S}` closes the door if
nobody has used the model for S seconds: all of that happens in one step of the event loop, so no
request comes between the look and the deed. `{"do": "wake"}` opens it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from typing import Any

from ..state import ServerState

logger = logging.getLogger("llm_server.control")

NAME = "control.sock"
#: The longest line that is read, and how long one is waited for.
LINE_BYTES, PATIENCE_S = 4096, 5.0


class Control:
    """Answers on a listening socket, in the event loop."""

    def __init__(self, state: ServerState, listener: socket.socket) -> None:
        self._state = state
        self._listener = listener
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begins; call it in the event loop."""
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Ends; whoever asks now is not answered."""
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        for task in self._tasks:
            task.cancel()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it has gone again
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with connection, contextlib.suppress(OSError, TimeoutError):
            # Any user may connect: by the file's mode root without its powers could not.
            if _peer(connection) not in (0, os.getuid()):
                return
            async with asyncio.timeout(PATIENCE_S):
                line = await loop.sock_recv(connection, LINE_BYTES)
                answer = self.answer(line)
                await loop.sock_sendall(connection, json.dumps(answer).encode() + b"\n")

    def answer(self, line: bytes) -> dict[str, Any]:
        """What a line is answered; nothing is awaited in here."""
        state = self._state
        try:
            asked = json.loads(line)
            deed = asked["do"]
            if deed == "rest":
                done = state.rest(float(asked["seconds"]))
            elif deed == "wake":
                done = state.wake()
            elif deed == "look":
                done = True
            else:
                raise ValueError(deed)
        except (ValueError, TypeError, KeyError):
            return {"error": "say look, rest with seconds, or wake"}
        if deed != "look":
            logger.warning("Asked to %s: %s", deed, "done" if done else "refused")
        status, body = state.health()
        return {
            "done": done,
            "ready": status == 200,
            "phase": body["status"],
            "resting": state.resting,
            "idle_seconds": round(state.unused(), 1),
            "in_flight": state.in_flight,
        }


def _peer(connection: socket.socket) -> int:
    """The number of the user at the other end."""
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", credentials)[1])
