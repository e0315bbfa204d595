# SPDX-License-Identifier: Apache-2.0
"""sd_notify over a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from llm_server.process.systemd_notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A socket as systemd opens it, and its address as NOTIFY_SOCKET gives it."""
    address = str(tmp_path / "n") if request.param == "path" else f"@llm-server-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:] if address[0] == "@" else address)
        listener.settimeout(60)
        yield address, listener


def test_messages(manager: tuple[str, socket.socket]) -> None:
    address, listener = manager
    notifier = Notifier(address)
    notifier.status("loading\nREADY=1")
    notifier.ready("serving m")
    notifier.stopping("finishing 2 requests")
    assert [listener.recv(4096) for _ in range(3)] == [
        b"STATUS=loading READY=1",  # a line break must not smuggle in another field
        b"READY=1\nSTATUS=serving m",
        b"STOPPING=1\nSTATUS=finishing 2 requests",
    ]


def test_children_cannot_speak_for_the_service(
    manager: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, listener = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notifier = Notifier.from_environment()
    assert "NOTIFY_SOCKET" not in os.environ
    notifier.ready("on")
    assert listener.recv(4096).startswith(b"READY=1")


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier.from_environment().ready("on")
    Notifier(str(tmp_path / "gone")).ready("on")


def test_a_full_socket_does_not_block(manager: tuple[str, socket.socket]) -> None:
    address, _ = manager
    notifier = Notifier(address)
    for number in range(2000):
        notifier.status(str(number))
