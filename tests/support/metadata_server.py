# SPDX-License-Identifier: Apache-2.0
"""Google's metadata server, as far as a Spot instance asks it: `metadata_server.py ADDRESS PORT`.

As a program it takes the instance back at SIGUSR1, and writes each question to standard output.
"""

from __future__ import annotations

import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class MetadataServer(ThreadingHTTPServer):
    """Google's interface: a flavour is demanded, a value can be waited for by its etag."""

    daemon_threads = True

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((address, port), Handler)
        self.values = {"scheduling/preemptible": "TRUE", "preempted": "FALSE"}
        self.changed = threading.Condition()
        self.failures: list[int] = []
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def set(self, path: str, value: str) -> None:
        with self.changed:
            self.values[path] = value
            self.changed.notify_all()


class Handler(BaseHTTPRequestHandler):
    server: MetadataServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        path = url.path.removeprefix("/computeMetadata/v1/instance/")
        self.server.asked.append(self.path)
        sys.stdout.write(f"{self.path}\n")
        sys.stdout.flush()
        if self.server.failures:
            self.send_error(self.server.failures.pop(0))
            return
        if self.headers.get("Metadata-Flavor") != "Google" or path not in self.server.values:
            self.send_error(403 if path in self.server.values else 404)
            return
        with self.server.changed:
            if query.get("wait_for_change") == "true":
                last = query.get("last_etag", self._etag(path))
                self.server.changed.wait_for(lambda: self._etag(path) != last, timeout=20)
            value, etag = self.server.values[path], self._etag(path)
        self.send_response(200)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(value.encode())

    def _etag(self, path: str) -> str:
        # Of the value alone: that of another value may be the same.
        return f"{hash(self.server.values[path]) & 0xFFFFFFFF:x}"

    def log_message(self, *_: object) -> None:
        """Nothing."""


def main() -> None:
    """Serves until it is ended."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    server = MetadataServer(sys.argv[1], int(sys.argv[2]))
    signal.sigwait({signal.SIGUSR1})
    server.set("preempted", "TRUE")
    signal.pause()


if __name__ == "__main__":
    main()
