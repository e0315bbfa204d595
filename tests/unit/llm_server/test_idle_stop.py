# SPDX-License-Identifier: Apache-2.0
"""When an idle machine is switched off, and when it is not."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from llm_server.process import idle_stop
from llm_server.process.control import Control
from llm_server.process.idle_stop import Watch, decide, hindrances
from llm_server.state import Phase, ServerState
from llm_server.transport.listener import bind_path

QUIET = [
    ["/sbin/init"],
    ["sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"],
    ["sshd: [accepted]"],
    ["sshd: root [net]"],
    ["sshd: unknown [priv]"],
    ["/opt/vllm/releases/a/bin/python", "-m", "llm_server", "--config", "/etc/x.yaml"],
    ["/usr/bin/python3", "-I", "/opt/llm-server/llm_server/process/idle_stop.py"],
    ["/sbin/agetty", "-o", "-p -- \\u", "--noclear", "tty1", "linux"],
    ["/usr/bin/python3", "/usr/share/unattended-upgrades/unattended-upgrade-shutdown"],
    [""],
    [],
]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["sshd: alice@pts/0"], "alice is logged in by SSH"),
        (["sshd: gce-vllm@notty"], "gce-vllm is logged in by SSH"),
        (["sshd-session: bob@pts/1", ""], "bob is logged in by SSH"),
        # A tunnel without a terminal or a command.
        (["sshd: carol"], "carol is logged in by SSH"),
        (["/bin/login", "-p", "--"], "somebody is logged in at the console"),
        (["/usr/bin/python3", "/root/.ansible/tmp/1/AnsiballZ_apt.py"], "a deployment runs"),
        (["/usr/bin/python3", "/usr/bin/ansible-pull", "-U", "x"], "a deployment runs"),
        (["ansible-playbook", "site.yml"], "a deployment runs"),
        (
            ["/usr/bin/python3", "/root/.ansible/tmp/1/AnsiballZ_model_weights.py"],
            "weights are downloaded",
        ),
        (["/opt/vllm/venv/bin/python", "-m", "llm_benchmark", "run"], "a benchmark runs"),
        (["/opt/v/bin/python", "/opt/v/bin/vllm", "bench", "serve"], "a benchmark runs"),
        (["/usr/bin/dpkg", "--unpack"], "packages are installed"),
    ],
)
def test_what_keeps_the_machine_on(words: list[str], found: str) -> None:
    assert hindrances([*QUIET, words]) == [found]


def test_nothing_keeps_a_quiet_machine_on() -> None:
    assert hindrances(QUIET) == []


def answer(**given: Any) -> dict[str, Any]:
    usual = {"ready": True, "phase": "healthy", "resting": False, "idle_seconds": 900.0}
    return usual | {"in_flight": 0} | given


@pytest.mark.parametrize(
    ("given", "hindered", "off", "said"),
    [
        ({}, [], True, ""),
        ({"idle_seconds": 899.9}, [], False, ""),
        ({"idle_seconds": 0.0}, ["bob is logged in by SSH"], False, ""),
        ({}, ["bob is logged in by SSH"], False, "bob is logged in by SSH"),
        ({}, ["a benchmark runs", "a deployment runs"], False, "a benchmark runs, a deployment"),
        ({}, ["weights are downloaded"], False, "weights are downloaded"),
        ({"ready": False, "phase": "loading"}, [], False, "the server is loading"),
        ({"ready": False, "phase": "stuck"}, [], False, "the server is stuck"),
        ({"ready": False, "phase": "unhealthy"}, [], False, "the server is unhealthy"),
        # Stopped by somebody, or resting since one that was killed asked it to.
        ({"ready": False, "phase": "draining"}, [], False, "the server is draining"),
        ({"ready": False, "phase": "draining", "resting": True}, [], True, ""),
        ({"ready": False, "phase": "draining", "resting": True}, ["x"], False, "x"),
    ],
)
def test_the_decision(given: dict[str, Any], hindered: list[str], off: bool, said: str) -> None:
    decided, text = decide(answer(**given), 900, hindered)
    assert decided is off
    assert (said in text) if said else text == ""


class Server:
    """A server's state behind a real socket, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.state = ServerState("m", lambda: self.now)
        self.state.app = FastAPI()
        self.state.move(Phase.HEALTHY, "ready")
        self.path = str(folder / "control.sock")
        self._loop = asyncio.new_event_loop()
        self._control = Control(self.state, bind_path(Path(self.path)))
        self._loop.call_soon(self._control.open)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._control.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(120)
        self._loop.close()


class Metadata(BaseHTTPRequestHandler):
    written: list[tuple[str, dict[str, Any]]]

    def do_PUT(self) -> None:
        assert self.headers["Metadata-Flavor"] == "Google"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.written.append((self.path, json.loads(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Host:
    """The server, a metadata server, and a systemctl that only notes what it is asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> None:
        self.server = Server(folder)
        self.processes: list[list[str]] = list(QUIET)
        self.told = folder / "told"
        systemctl = folder / "systemctl"
        systemctl.write_text(f'#!/bin/sh\necho "$@" >> {self.told}\nexit {status}\n')
        systemctl.chmod(0o755)
        monkeypatch.setattr(idle_stop, "SYSTEMCTL", str(systemctl))
        self.written: list[tuple[str, dict[str, Any]]] = []
        handler = type("Handler", (Metadata,), {"written": self.written})
        self.metadata = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.metadata.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(idle_stop, "METADATA", f"127.0.0.1:{self.metadata.server_port}")
        self.watch = Watch(
            "llm-server.service",
            self.server.path,
            15,
            pause=self.pause,
            processes=lambda: self.processes,
        )

    def pause(self, _seconds: float) -> None:
        self.server.state.in_flight = max(self.server.state.in_flight - 1, 0)

    def close(self) -> None:
        self.server.end()
        self.metadata.shutdown()
        self.metadata.server_close()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    made = Host(tmp_path, monkeypatch)
    yield made
    made.close()


def test_idle_is_switched_off_and_the_reason_kept(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    assert not host.watch.look()
    assert not host.told.exists()
    host.server.now += 15 * 60
    host.server.state.in_flight = 3  # someone reads the list of models
    assert host.watch.look()
    assert host.told.read_text() == "poweroff\n"
    assert host.server.state.resting
    [(path, record)] = host.written
    assert path == "/computeMetadata/v1/instance/guest-attributes/gce-vllm/stopped"
    assert (record["reason"], record["idle_minutes"]) == ("idle", 15)
    assert record["since"] < record["at"]
    assert f"idle since {record['since']}" in caplog.text


def test_somebody_who_comes_while_it_closes_comes_first(host: Host) -> None:
    host.server.now += 15 * 60
    host.server.state.in_flight = 1

    def pause(_: float) -> None:
        host.server.state.in_flight = 0
        host.processes.append(["sshd: alice@pts/0"])

    host.watch._pause = pause
    assert not host.watch.look()
    assert not host.told.exists()
    assert host.written == []
    assert host.server.state.can_answer
    assert host.server.state.unused() == 0, "it waits as long again"


def test_a_power_off_that_fails_opens_the_server_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(tmp_path, monkeypatch, status=1)
    host.server.now += 15 * 60
    assert not host.watch.look()
    assert host.server.state.can_answer
    assert "can't be switched off" in caplog.text
    host.close()


def test_a_machine_that_stays_on_serves_again(host: Host) -> None:
    host.server.now += 15 * 60
    assert host.watch.look()
    host.watch.stay()
    assert host.server.state.can_answer


def test_one_that_was_killed_in_between_is_carried_on(host: Host) -> None:
    host.server.now += 15 * 60
    assert host.watch.ask("rest", seconds=900.0)["done"]
    host.processes.append(["sshd: alice@pts/0"])
    assert not host.watch.look()
    assert host.server.state.can_answer, "alice has it back"
    host.processes.pop()
    host.server.now += 15 * 60
    assert host.watch.ask("rest", seconds=900.0)["done"]
    assert host.watch.look()
    assert host.told.read_text() == "poweroff\n"


def test_a_server_that_cannot_be_asked_keeps_the_machine_on(
    host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watch = Watch("llm-server.service", str(tmp_path / "none"), 15, processes=lambda: [])
    for _ in range(3):
        assert not watch.look()
    assert caplog.text.count("can't be asked") == 1, "said once"
    assert not host.told.exists()


def test_without_a_metadata_server_it_is_switched_off_all_the_same(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(idle_stop, "METADATA", "127.0.0.1:9")
    host.server.now += 15 * 60
    assert host.watch.look()
    assert "could not be published" in caplog.text


def test_it_sees_this_machines_processes() -> None:
    assert any("pytest" in " ".join(words) for words in idle_stop.running())
