# SPDX-License-Identifier: Apache-2.0
"""A proxy in front of the emulator that fails on purpose, and remembers what was asked."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

# What may be done to a request: None passes it on.
#   a status: answered with it and never passed on
#   "drop": the connection is cut before it is passed on
#   "lose": it is passed on and carried out, and the answer is lost
Fault = int | str | None


@dataclass
class Seen:
    """One request as it came in."""

    verb: str
    path: str
    request_id: str
    fault: Fault


@dataclass
class FaultyProxy:
    """`plan(number, verb, path)` says what becomes of each request, counted from 0."""

    target: str
    plan: Callable[[int, str, str], Fault]
    seen: list[Seen] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    address: str = ""

    def decide(self, verb: str, target: str) -> Fault:
        """Count a request and say what becomes of it."""
        url = urlsplit(target)
        request_id = parse_qs(url.query).get("requestId", [""])[0]
        with self.lock:
            fault = self.plan(len(self.seen), verb, url.path)
            self.seen.append(Seen(verb, url.path, request_id, fault))
        return fault

    def mutating(self) -> list[Seen]:
        """Requests that change something: all but reads and waits."""
        return [one for one in self.seen if one.verb != "GET" and not one.path.endswith("/wait")]


@contextmanager
def faulty_proxy(
    emulator_url: str, plan: Callable[[int, str, str], Fault]
) -> Iterator[FaultyProxy]:
    """A proxy on loopback until the block ends; its `address` replaces the emulator's."""
    proxy = FaultyProxy(emulator_url, plan)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            fault = proxy.decide(self.command, self.path)
            if fault == "drop":
                self.cut()
                return
            if isinstance(fault, int):
                self.answer(fault, _error(fault))
                return
            status, content = self.forward(body)
            if fault == "lose":
                self.cut()
                return
            self.answer(status, content)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def forward(self, body: bytes) -> tuple[int, bytes]:
            upstream = urlsplit(proxy.target)
            connection = http.client.HTTPConnection(upstream.netloc, timeout=300)
            kept = {
                k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")
            }
            connection.request(self.command, self.path, body, kept)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, content

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def cut(self) -> None:
            # Linger of zero: the other side sees a reset, not an orderly end.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    proxy.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _error(status: int) -> bytes:
    reason = {429: "rateLimitExceeded", 403: "rateLimitExceeded"}.get(status, "backendError")
    error = {"code": status, "message": "on purpose", "errors": [{"reason": reason}]}
    return json.dumps({"error": error}).encode()
