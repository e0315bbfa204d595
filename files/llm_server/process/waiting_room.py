# SPDX-License-Identifier: Apache-2.0
"""A small process that answers while the big one is busy loading.

Importing vLLM and building its app hold Python's lock for up to half a second at a time. A load
balancer that asks for health then would wait. So a process forked before any of that begins
accepts on the same listening socket until the model's server accepts there too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from starlette.types import ASGIApp

from ..logs import log
from ..state import ServerState, Step
from ..transport.listener import HttpServer


class Waiting(NamedTuple):
    """What the room needs of the server."""

    state: ServerState
    app: ASGIApp
    reload: Callable[[], None]
    #: Called at its end.
    end: Callable[[], None]


#: Makes it, in the room's own process.
Build = Callable[[], Waiting]
#: How long the last answers get when the room is closed.
CLOSE_S = 1.0
#: How long a connection gets that was opened just before, to send its request.
SILENT_S = 0.1


class WaitingRoom:
    """The parent's end of it."""

    def __init__(self, pid: int, pipe: int) -> None:
        self._pid = pid
        self._pipe = pipe

    @classmethod
    def open(
        cls,
        listener: socket.socket,
        build: Build,
        tls: ssl.SSLContext | None = None,
    ) -> WaitingRoom:
        """Forks; call it while there is one thread and no event loop.

        Args:
            listener: the socket to accept on.
            build: makes, in the new process, what it needs.
            tls: how connections are encrypted; None is plain HTTP.
        """
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(write)
            _live(listener, read, build, tls)
        os.close(read)
        os.set_blocking(write, False)
        return cls(pid, write)

    def descriptors(self) -> list[int]:
        """What a forked engine must not keep."""
        return [self._pipe] if self._pipe >= 0 else []

    def progress(self, detail: str, step: Step) -> None:
        """Tells the step of loading that runs now."""
        self._tell(detail=detail, step=step)

    def reload(self) -> None:
        """Has the keys read again."""
        self._tell(reload=True)

    async def close(self) -> None:
        """Ends it; somebody else must accept on the socket already."""
        self._tell(close=True)
        deadline = time.monotonic() + 2 * CLOSE_S
        while not self._gone():
            if time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
            await asyncio.sleep(0.005)
        os.close(self._pipe)
        self._pipe = -1

    def _gone(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] == self._pid
        except ChildProcessError:
            return True

    def _tell(self, **message: Any) -> None:
        if self._pipe < 0:
            return
        with contextlib.suppress(OSError):  # it has died: loading goes on without it
            os.write(self._pipe, json.dumps(message).encode() + b"\n")


def _live(
    listener: socket.socket,
    pipe: int,
    build: Build,
    tls: ssl.SSLContext | None,
) -> NoReturn:
    """The child: serves until told to close, or until its parent has gone."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        made = build()
        # The next request of the same client shall find the model's server.
        server = HttpServer(made.app, keep_alive=False, tls=tls)
        asyncio.run(_serve(listener, pipe, made.state, server, made.reload))
        made.end()
    finally:
        log.finish()
        os._exit(0)


async def _serve(
    listener: socket.socket,
    pipe: int,
    state: ServerState,
    server: HttpServer,
    reload: Callable[[], None],
) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb")
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    async for line in reader:
        message = json.loads(line)
        if "detail" in message:
            state.progress(message["detail"])
            state.begin(Step(message["step"]))
        if "reload" in message:
            reload()
        if "close" in message:
            break
    # First no more: what is accepted in the moment in which asyncio closes a server, is lost.
    asyncio.get_running_loop().remove_reader(listener.fileno())
    await asyncio.sleep(0.02)
    for one in server.servers:
        one.close()
    began = time.monotonic()
    while server.server_state.connections and time.monotonic() < began + CLOSE_S:
        await asyncio.sleep(0.005)
        if time.monotonic() > began + SILENT_S:
            server.connections.drop_silent()
    serving.cancel()
