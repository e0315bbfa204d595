# SPDX-License-Identifier: Apache-2.0
"""The listening socket and the HTTP server on it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from .connections import Connections
from .errors import ConfigError

#: How long answers that are complete get to reach slow clients at the end.
CLOSE_TIMEOUT_S = 5


class HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the service decides what a signal means."""

    def __init__(self, app: ASGIApp, *, keep_alive: bool = True) -> None:
        self.connections = Connections(not_http=getattr(app, "not_http", lambda *_: None))
        super().__init__(
            uvicorn.Config(
                app,
                http=self.connections,  # type: ignore[arg-type]  # called like the class it makes
                headers=[] if keep_alive else [("Connection", "close")],
                lifespan="off",  # vLLM's app has its own, which begins when it is built
                log_config=None,
                access_log=False,
                timeout_keep_alive=65,  # above the 60 s of common load balancers
                timeout_graceful_shutdown=CLOSE_TIMEOUT_S,
                server_header=False,
                proxy_headers=False,  # the edge's business: it would believe each local process
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """Opens the listening socket before anything else.

    Raises:
        ConfigError: the address is not there or taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        raise ConfigError(
            [f"host, port: cannot listen on {host}:{port}: {error.strerror}"]
        ) from None
    return listener
