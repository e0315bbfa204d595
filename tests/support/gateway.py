# SPDX-License-Identifier: Apache-2.0
"""The gateway's own Caddy with the role's own configuration, before a server that does as told."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from demo.ports import free_port
from tests.support.role_values import ROOT, files

LOCK = ROOT / "roles/gateway/files/locks/caddy.txt"
#: No wait in here is meant to end by it.
TIMEOUT_S = 120.0


def caddy() -> str:
    """Where the program of the role's lock is; installed on first use."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gce-vllm" / "caddy"
    base.mkdir(parents=True, exist_ok=True)
    pin = next(line for line in LOCK.read_text().splitlines() if "==" in line).split()[0]
    target = base / pin.replace("==", "-")
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            fresh = target.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-input"]
            pip += ["--require-hashes", "--only-binary=:all:", f"--target={fresh}", f"-r{LOCK}"]
            subprocess.run(pip, check=True, timeout=600)
            fresh.rename(target)
    return str(target / "bin" / "caddy")


def until(what: Callable[[], Any]) -> Any:
    """Polls until it is true, and gives what it was."""
    end = time.monotonic() + TIMEOUT_S
    while not (found := what()):
        assert time.monotonic() < end, f"still not: {what}"
        time.sleep(0.02)
    return found


class Upstream:
    """A server that says what it was asked; a stream of it goes on when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.streams = 0
        self.left = 0
        self.asked: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def _answer(self) -> None:
                body = self._body()
                told = {
                    "method": self.command,
                    "path": self.path,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                    "bytes": len(body),
                }
                with outer.lock:
                    outer.asked.append(told)
                if self.path.startswith("/v1/completions"):
                    self._stream(body)
                    return
                text = json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.send_header("X-Request-Id", self.headers.get("X-Request-Id", "none"))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else text)

            def _body(self) -> bytes:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                found = b""
                while size := int(self.rfile.readline() or b"0", 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return found

            def _stream(self, body: bytes) -> None:
                kind = "application/json" if b"plain" in body else "text/event-stream"
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self._piece(b"data: first\n\n")
                with outer.lock:
                    outer.streams += 1
                try:
                    # It notices only by writing that nobody listens.
                    while not outer.go_on.wait(0.05):
                        self._piece(b": \n\n")
                    self._piece(b"data: last\n\n")
                    self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    with outer.lock:
                        outer.left += 1
                    self.close_connection = True

            def _piece(self, piece: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

            do_GET = do_POST = do_HEAD = do_OPTIONS = do_PUT = do_DELETE = _answer  # noqa: N815

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.port = free_port()
        self.server = Server(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listens no longer."""
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


class Gateway:
    """Caddy as the unit runs it, on loopback, with folders of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.port = settings.setdefault("gateway_port", free_port())
        self.environment = {"XDG_DATA_HOME": str(folder), "HOME": str(folder)}
        self.settings = {
            "gateway_hostname": "localhost",
            "gateway_tls": "internal",
            "__gateway_http_port": free_port(),
            "__gateway_admin": f"unix/{folder}/admin.sock",
            "__gateway_tls_file": f"{folder}/tls.pem",
            **settings,
        }
        self.config = folder / "Caddyfile"
        self.journal = folder / "journal"
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, **more: Any) -> str:
        """Writes what the role would, and gives it."""
        self.settings |= more
        [text] = files("gateway", ["Caddyfile.j2"], **self.settings)
        self.config.write_text(text)
        return text

    def run(self, verb: str, *more: str) -> subprocess.CompletedProcess[str]:
        """A command of Caddy's with the configuration."""
        command = [caddy(), verb, "--adapter", "caddyfile", "--config", str(self.config), *more]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        command = [caddy(), "run", "--adapter", "caddyfile", "--config", str(self.config)]
        with self.journal.open("ab") as journal:
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=journal, stderr=journal
            )
        until(lambda: self.process.poll() is not None or self._serves())  # type: ignore[union-attr]
        assert self.process.poll() is None, self.journal.read_text()

    def _serves(self) -> bool:
        import socket

        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as raw:
                context = ssl._create_unverified_context()  # noqa: S323 - to see that it listens
                with context.wrap_socket(raw, server_hostname="localhost"):
                    return True
        except OSError:
            return False

    def reload(self) -> subprocess.CompletedProcess[str]:
        """As the unit's ExecReload."""
        return self.run("reload", "--force", "--address", f"unix/{self.folder}/admin.sock")

    def stop(self) -> int:
        """As systemd does; its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=TIMEOUT_S)

    def trusted(self) -> ssl.SSLContext:
        """What a client needs that has fetched the root certificate."""
        return ssl.create_default_context(
            cafile=str(self.folder / "caddy/pki/authorities/local/root.crt")
        )

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged, so far."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def access(self) -> list[dict[str, Any]]:
        """Its access log, so far."""
        return [one for one in self.lines() if "access" in one.get("logger", "")]


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[tuple[Gateway, Upstream]]:
    """A gateway before an upstream."""
    upstream = Upstream()
    gateway = Gateway(folder, gateway_server_port=upstream.port, **settings)
    try:
        gateway.configure()
        gateway.start()
        yield gateway, upstream
    finally:
        upstream.go_on.set()
        if gateway.process and gateway.process.poll() is None:
            gateway.process.kill()
            gateway.process.wait()
        upstream.close()
