# SPDX-License-Identifier: Apache-2.0
"""Bounds connections that ask for nothing, which uvicorn keeps for ever."""

from __future__ import annotations

import asyncio
import json
import resource
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ..errors import error_body
from .upgrades import Parser

#: How long a client may take to send the head of a request; as long as for the body.
HEAD_SECONDS = 30.0
#: How large a head may be: what uvicorn allows where it parses in Python.
HEAD_BYTES = 65_536
#: How much may come after an answer that did not wait for its request's body; it is thrown away.
REST_BYTES = 16 * 2**20
#: Connections at once, where the process may have as many open files.
MOST = 8192
#: Files that the process has open for other ends.
OTHER_FILES = 512

#: Where a request finds what closes its connection at once, whatever is still to be sent.
ABORT = "llm_server.abort"
#: Where it finds whether some of its body has still to come.
UNREAD = "llm_server.unread"


class Connections:
    """Makes uvicorn's protocols, and knows those that wait for the head of a request."""

    def __init__(
        self,
        most: int | None = None,
        head_seconds: float = HEAD_SECONDS,
        not_http: Callable[[str, str | None], None] = lambda *_: None,
    ) -> None:
        """`not_http` hears of what is no request: the id that it is answered with, and whose."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.most = most or max(64, min(MOST, files - OTHER_FILES))
        self.head_seconds = head_seconds
        self.not_http = not_http
        #: In the order in which they began to wait.
        self.silent: dict[Protocol, None] = {}

    def __call__(self, **kwargs: Any) -> asyncio.Protocol:
        """A protocol for one connection."""
        return Protocol(self, **kwargs)

    def drop_silent(self) -> None:
        """Closes what waits for the head of a request."""
        for connection in list(self.silent):
            connection.transport.abort()

    def make_room(self, new: Protocol) -> None:
        """Where there are too many, closes the one that has been silent or idle for longest."""
        if len(new.connections) <= self.most:
            return
        # Websockets are among them, and have no such timer.
        idle = (
            one
            for one in new.connections
            if getattr(one, "timeout_keep_alive_task", None) is not None
        )
        victim = next((one for one in self.silent if one is not new), None) or next(idle, new)
        victim.transport.abort()


class Protocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """uvicorn's own, with an end for those that never send the whole head of a request."""

    def __init__(self, opened: Connections, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._opened = opened
        self._timer: asyncio.TimerHandle | None = None
        self._head = 0
        self.app: Any = partial(self._serve, self.config.loaded_app)
        self.parser: Any = Parser(self)

    def _serve(self, app: Any, scope: Any, receive: Any, send: Any) -> Any:
        scope[ABORT] = self.transport.abort
        cycle = self.cycle
        scope[UNREAD] = lambda: cycle is not None and cycle.more_body
        return app(scope, receive, send)

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._wait()
        self._opened.make_room(self)

    def data_received(self, data: bytes) -> None:
        """It has sent something."""
        super().data_received(data)
        # One that became a websocket is no longer among them.
        if self not in self.connections or not self._is_silent():
            self._stop_waiting()
            return
        self._wait()
        self._head += len(data)
        if self.transport.is_closing():
            return
        if self.cycle is None and self._head > HEAD_BYTES:
            self.send_400_response("The head of the request is too large.")
        elif self.cycle is not None and self._head > self._rest():
            self.transport.abort()

    def takes_upgrade(self) -> bool:
        """Whether the protocol that the request offers is spoken here; only websockets are."""
        return bool(self._should_upgrade())

    def begin_body(self) -> None:
        """The head is whole, and its body comes after all."""
        self.cycle.more_body = True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP, in the shape of every other error."""
        self._stop_waiting()
        request_id = uuid.uuid4().hex
        self._opened.not_http(request_id, (self.client or (None,))[0])
        error = error_body(400, msg)["error"] | {"request_id": request_id}
        body = json.dumps({"error": error})
        self.transport.write(
            "HTTP/1.1 400 Bad Request\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\n"
            f"connection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()

    def _rest(self) -> int:
        # What was answered before its body ended (without a key, say) may still send that.
        return REST_BYTES if self.cycle.more_body else HEAD_BYTES

    def _is_silent(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self._opened.head_seconds, self.transport.abort)
            self._opened.silent[self] = None

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._head = 0
            self._opened.silent.pop(self, None)
