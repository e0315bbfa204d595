# SPDX-License-Identifier: Apache-2.0
"""The page that Prometheus reads. Only one request at a time asks the driver, which may hang."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import prometheus_client

#: How long a second scrape waits for the first; less than Prometheus' timeout.
WAIT_S = 5.0
Answer = Callable[[str, list[tuple[str, str]]], Any]


class Page:
    """A WSGI application: /metrics, and nothing else."""

    def __init__(self, collector: Any, wait: float = WAIT_S) -> None:
        self._registry = prometheus_client.CollectorRegistry()
        self._registry.register(collector)
        self._one = threading.Lock()
        self._wait = wait

    def __call__(self, environ: Mapping[str, Any], answer: Answer) -> Iterable[bytes]:
        """Answers one request."""
        if environ["REQUEST_METHOD"] != "GET" or environ["PATH_INFO"] != "/metrics":
            answer("404 Not Found", [("Content-Type", "text/plain")])
            return [b"This serves GET /metrics.\n"]
        # Threads that wait for a driver that hangs would else become more with each scrape.
        if not self._one.acquire(timeout=self._wait):
            answer("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"The driver has not answered an earlier request yet.\n"]
        try:
            text = prometheus_client.generate_latest(self._registry)
        finally:
            self._one.release()
        answer("200 OK", [("Content-Type", prometheus_client.CONTENT_TYPE_PLAIN_0_0_4)])
        return [text]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 30  # a client that sends nothing keeps no thread

    def log_message(self, *_about: Any) -> None:
        """Four lines a minute say nothing."""


def server(page: Page, host: str, port: int) -> WSGIServer:
    """Listens; the caller serves."""
    return make_server(host, port, page, server_class=_Server, handler_class=_Quiet)
