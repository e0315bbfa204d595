# SPDX-License-Identifier: Apache-2.0
"""Starts `engineless_server.py`, asks it, and reads what its ledger has kept."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from llm_server.keys.access import digest

from demo.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
KEY = "unit-test-key-0123456789"
#: A bound against hanging, as machines may be busy.
LONGEST_S = 120.0


class Engineless:
    """One server in a folder, from life to life."""

    def __init__(self, folder: Path, **bounds: int) -> None:
        """`bounds` are those of its one key, `k`."""
        self.folder = folder
        keys = [{"name": "k", "sha256": digest(KEY), **bounds}]
        (folder / "access.json").write_text(json.dumps({"keys": keys}))
        #: Where it can be asked whether it was used.
        self.control = str(folder / "control.sock")

    def start(self) -> None:
        """Starts it; it loads until `load` is called."""
        (self.folder / "go").unlink(missing_ok=True)
        self.port = free_port()
        program = ROOT / "tests" / "support" / "engineless_server.py"
        self.process = subprocess.Popen(
            [sys.executable, program, self.folder, str(self.port)],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT / 'files'}:{ROOT}", "RUNTIME_DIRECTORY": str(self.folder)},
        )
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {KEY}"},
            trust_env=False,
            timeout=LONGEST_S,
        )

    def load(self) -> None:
        """Lets it load, and waits until it is healthy."""
        (self.folder / "go").touch()
        deadline = time.monotonic() + LONGEST_S
        while not self._is_healthy():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _is_healthy(self) -> bool:
        # The room that others waited in may close a connection as it is used again.
        with contextlib.suppress(httpx.TransportError):
            return self.http.get("/health").status_code == 200
        return False

    def ask(self, body: dict[str, Any] | None = None) -> int:
        """The status of a whole answer; asks again while nobody listens, or hangs up."""
        deadline = time.monotonic() + LONGEST_S
        while True:
            try:
                return self.http.post("/v1/completions", json=body).status_code
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def connect(self) -> socket.socket:
        """A connection of its own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=LONGEST_S)

    def end(self, number: signal.Signals) -> None:
        """Ends it by a signal."""
        self.http.close()
        self.process.send_signal(number)
        assert self.process.wait(LONGEST_S) == (0 if number is signal.SIGTERM else -number)

    def kill(self) -> None:
        """Ends it, whatever state it is in."""
        self.http.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(LONGEST_S)

    def kept(self) -> Counter[str]:
        """What its ledger has, by kind; the time that it ran is left out."""
        path = self.folder / "ledger.sqlite"
        found: Counter[str] = Counter()
        with contextlib.closing(sqlite3.connect(path)) as db:
            found.update(dict(db.execute("SELECT kind, SUM(number) FROM usage GROUP BY 1")))
        del found["seconds"]
        return found

    def events(self) -> list[str]:
        """What began and ended, in this order."""
        path = self.folder / "events"
        return path.read_text().splitlines() if path.exists() else []


def request(method: str, target: str, body: dict[str, Any] | None = None, *more: str) -> bytes:
    """One request as it is on the wire."""
    data = b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}", *more]
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    return "\r\n".join([*head, "", ""]).encode() + data


class CutError(Exception):
    """An answer that began and did not end."""


def whole(connection: socket.socket) -> tuple[int, dict[str, str], bytes] | None:
    """Status, headers and body of one answer to its very end; None where none ever began.

    Raises:
        CutError: it ended before.
    """
    with connection.makefile("rb") as stream:
        try:
            first = stream.readline()
            if not first:
                return None
        except ConnectionResetError:
            return None
        try:
            return int(first.split()[1]), *_rest(stream)
        except (ValueError, IndexError, OSError) as error:
            raise CutError(f"{first!r}: {error}") from None


def _rest(stream: Any) -> tuple[dict[str, str], bytes]:
    headers: dict[str, str] = {}
    while (line := stream.readline()) != b"\r\n":
        name, value = line.decode().rstrip("\r\n").split(": ", 1)
        headers[name.lower()] = value
    if "content-length" in headers:
        return headers, _exactly(stream, int(headers["content-length"]))
    body = b""
    while size := int(stream.readline(), 16):
        body += _exactly(stream, size + 2)[:-2]
    _exactly(stream, 2)
    return headers, body


def _exactly(stream: Any, number: int) -> bytes:
    data: bytes = stream.read(number)
    if len(data) < number:
        raise ValueError(f"{number - len(data)} bytes are missing")
    return data
