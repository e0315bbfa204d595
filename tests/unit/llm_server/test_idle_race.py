# SPDX-License-Identifier: Apache-2.0
"""A request at the worst moments of an idle stop: the real server in a process, the real watcher.

The watcher runs here, so that a test knows each of its steps; the command that powers the machine
off is recorded. Whoever asks is served in full, or told 503 and when to come back.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_server.process import idle_stop
from llm_server.process.idle_stop import Watch

from tests.support.engineless import LONGEST_S, Engineless, request, whole
from tests.support.exhaustive import FULL, part

#: For so long nobody may have asked.
IDLE_S = 0.2
PIECES = 4
WHOLE = b"".join(b"piece %d\n" % number for number in range(PIECES))
#: Steps of the watcher, one look with a drain; the last ones are there only if it drains for long.
STEPS = 20
WAYS = ("new connection", "kept connection", "body later", "head later")


class Watched(Watch):
    """Tells before and after each of its steps that it is there."""

    step = 0
    at: Callable[[int], None] = staticmethod(lambda _: None)

    def _tell(self) -> None:
        self.step += 1
        self.at(self.step)

    def ask(self, do: str, **more: float) -> dict[str, Any]:
        self._tell()
        answer = super().ask(do, **more)
        self._tell()
        return answer


class Host:
    """A server, its watcher, and a systemctl that notes among what the server did."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = Engineless(folder)
        self.systemctl = folder / "systemctl"
        self.says(f'echo "$@" >> {folder}/events')
        monkeypatch.setattr(idle_stop, "SYSTEMCTL", str(self.systemctl))
        monkeypatch.setattr(idle_stop, "METADATA", "127.0.0.1:9")
        self.watch = Watched(
            "llm-server", self.server.control, IDLE_S / 60, pause=self.pause, processes=self.seen
        )
        self.server.start()
        self.server.load()

    def says(self, line: str) -> None:
        self.systemctl.write_text(f"#!/bin/sh\n{line}\n")
        self.systemctl.chmod(0o755)

    def seen(self) -> list[list[str]]:
        self.watch._tell()
        return []

    def pause(self, _: float) -> None:
        self.watch._tell()
        time.sleep(0.02)

    def ask(self, do: str) -> dict[str, Any]:
        return Watch.ask(self.watch, do)

    def until_idle(self) -> None:
        """Waits until a look would find it unused for long enough: it tells tenths of a second."""
        deadline = time.monotonic() + LONGEST_S
        while self.ask("look")["idle_seconds"] < IDLE_S + 0.1:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def powered_off(self) -> int:
        return self.server.events().count("poweroff")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    made = Host(tmp_path, monkeypatch)
    yield made
    made.server.kill()


class Try:
    """One request, of which a part may come later."""

    def __init__(self, host: Host, name: str, way: str) -> None:
        self.host, self.name, self.way = host, name, way
        self.body = {"name": name, "pieces": PIECES, "pause": 0.005}
        self.connection = host.server.connect()
        if way == "kept connection":
            self.connection.sendall(request("GET", "/v1/models"))
            answer = whole(self.connection)
            assert answer is not None
            assert answer[0] == 200
        data = request("POST", "/v1/completions", self.body)
        head = data.index(b"\r\n\r\n") + 4
        first = {"body later": head + 5, "head later": 30}.get(way, len(data))
        self.parts = [data[:first], data[first:]]

    def send(self) -> None:
        """The first part of it."""
        self.connection.sendall(self.parts[0])

    def outcome(self) -> int:
        """Sends what is left, and looks at the whole of its answer; the status."""
        self.connection.sendall(self.parts[1])
        answer = whole(self.connection)
        self.connection.close()
        assert answer is not None, "nobody answered"
        status, headers, body = answer
        begun = f"begin {self.name}" in self.host.server.events()
        if status == 503:
            assert int(headers["retry-after"]) > 0
            assert (headers.get("connection") == "close") == (self.way != "body later")
            assert "switched off" in json.loads(body)["error"]["message"]
            assert not begun, "refused, and yet it ran"
        else:
            assert (status, body) == (200, WHOLE)
            assert begun
        return status


def nobody_was_cut_off(events: list[str]) -> None:
    """No request ran as the machine was powered off."""
    running = 0
    for event in events:
        running += {"begin": 1, "end": -1}.get(event.split()[0], 0)
        assert event != "poweroff" or running == 0, events
    assert running == 0


@contextlib.contextmanager
def someone_reads_the_list(host: Host) -> Iterator[None]:
    """Holds up the drain, and counts as no use."""
    with host.server.connect() as connection:
        connection.sendall(request("GET", "/v1/models?pause=0.15"))
        deadline = time.monotonic() + LONGEST_S
        while not host.ask("look")["in_flight"]:
            assert time.monotonic() < deadline
        yield
        answer = whole(connection)
        assert answer is not None
        assert answer[0] == 200


PLANNED = [(way, step) for way in WAYS for step in range(1, STEPS + 1)]


def test_a_request_at_each_step_of_the_watcher(host: Host) -> None:
    """What comes before the door closes keeps the machine on; what comes later is told so."""
    counted: Counter[tuple[str, int]] = Counter()
    for way, step in part("idle race", PLANNED, 8):
        name = f"{way} {step}"
        tried = Try(host, name, way)
        sent = False
        before = host.powered_off()
        host.until_idle()

        def at(now: int, step: int = step, tried: Try = tried) -> None:
            nonlocal sent
            if now == step:
                tried.send()
                sent = True

        with someone_reads_the_list(host):
            host.watch.step, host.watch.at = 0, at
            off = host.watch.look()
        host.watch.at = lambda _: None
        if not sent:
            tried.send()
        status = tried.outcome()
        assert host.powered_off() == before + off
        # Where its head came before the door closed the machine stays on, whenever the rest comes.
        assert status == 503 if off else status == 200, name
        counted[way, status] += 1
        if off:
            host.watch.stay()
        assert host.server.ask() == 200, "it goes on"
    nobody_was_cut_off(host.server.events())
    assert {status for _, status in counted} == {200, 503}, counted


def test_a_request_as_the_clock_runs_out(host: Host) -> None:
    """At random instants around the one at which it was unused for long enough."""
    chance = random.Random(1)  # noqa: S311 - the same each time
    counted: Counter[int] = Counter()
    number = 0
    while number < (60 if FULL else 6) or len(counted) < 2:
        assert number < 500, counted
        number += 1
        tried = Try(host, f"random {number}", chance.choice(WAYS[:3]))
        assert host.server.ask() == 200
        since = time.monotonic()
        answered = threading.Event()
        watching = threading.Thread(target=looks_again_and_again, args=(host.watch, answered))
        watching.start()
        wanted = since + IDLE_S + chance.uniform(-0.03, 0.09)
        while time.monotonic() < wanted:
            time.sleep(0.001)
        tried.send()
        counted[tried.outcome()] += 1
        answered.set()
        watching.join(LONGEST_S)
        host.watch.stay()
        assert host.server.ask() == 200, "it goes on"
    nobody_was_cut_off(host.server.events())


def looks_again_and_again(watch: Watch, end: threading.Event) -> None:
    while not end.is_set() and not watch.look():
        end.wait(0.005)


@pytest.mark.parametrize("life", range(12 if FULL else 1))
def test_those_who_ask_until_it_is_gone(host: Host, life: int) -> None:
    """The power-off ends the server as systemd does: no answer is cut, up to the last one."""
    pid = host.server.process.pid
    host.says(f'echo "$@" >> {host.server.folder}/events; kill -TERM {pid}')
    host.until_idle()
    chance = random.Random(life)  # noqa: S311 - the same each time
    answers: list[tuple[int, dict[str, str], bytes]] = []
    unanswered: list[str] = []
    gone = threading.Event()

    def client(number: int) -> None:
        one = 0
        with contextlib.suppress(ConnectionError):
            while not gone.is_set():
                with host.server.connect() as connection:
                    for _ in range(5):
                        one += 1
                        body = {"name": f"{number} {one}", "pieces": PIECES, "pause": 0.001}
                        connection.sendall(request("POST", "/v1/completions", body))
                        answer = whole(connection)
                        if answer is None:
                            unanswered.append(body["name"])
                            break
                        answers.append(answer)
                        if answer[1].get("connection") == "close":
                            break  # as every client does
                        time.sleep(pauses[number])

    pauses = [chance.uniform(0.0005, 0.004) for _ in range(4)]
    clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]

    def at(step: int) -> None:
        # From the moment on at which the door is closed.
        if step == 5:
            for each in clients:
                each.start()

    host.watch.step, host.watch.at = 0, at
    off = host.watch.look()
    assert off
    assert host.server.process.wait(LONGEST_S) == 0
    gone.set()
    for each in clients:
        each.join(LONGEST_S)
    events = host.server.events()
    nobody_was_cut_off(events)
    for status, headers, body in answers:
        assert status == 503
        assert int(headers["retry-after"]) > 0
        assert "error" in json.loads(body)
    assert answers
    # Nothing was begun for whom the server was gone.
    assert not [name for name in unanswered if f"begin {name}" in events]
