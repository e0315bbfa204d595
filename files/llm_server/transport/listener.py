# SPDX-License-Identifier: Apache-2.0
"""The listening socket and the HTTP server on it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from ..errors import ConfigError
from .connections import Connections

#: How long answers that are complete get to reach slow clients at the end.
CLOSE_TIMEOUT_S = 5
#: Above the 600 s for which Google's load balancer keeps connections to a server that are idle:
#: who closes first must be the one that sends, or a request meets a connection that is closing.
KEEP_ALIVE_TIMEOUT_S = 620


class HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the service decides what a signal means."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keep_alive: bool = True,
        keep_alive_timeout: int = KEEP_ALIVE_TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.connections = Connections(not_http=getattr(app, "not_http", lambda *_: None))
        super().__init__(
            uvicorn.Config(
                app,
                http=self.connections,  # type: ignore[arg-type]  # called like the class it makes
                headers=[] if keep_alive else [("Connection", "close")],
                lifespan="off",  # vLLM's app has its own, which begins when it is built
                log_config=None,
                access_log=False,
                timeout_keep_alive=keep_alive_timeout,
                ssl_context_factory=(lambda *_: tls) if tls else None,
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
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigError(
            [f"host, port: cannot listen on {host}:{port}: {error.strerror}"]
        ) from None
    return listener


def bind_path(path: Path) -> socket.socket:
    """The same for a socket that is a file, which any user of the machine may connect to.

    Raises:
        ConfigError: it cannot be made, something else is there, or a server listens on it.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_if_left(path)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise ConfigError([f"uds: cannot listen on {path}: {reason}"]) from None
    return listener


def _remove_if_left(path: Path) -> None:
    """Removes the socket of a server that has ended."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(errno.EEXIST, "another file is there; remove it or name another path")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink()
        return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
