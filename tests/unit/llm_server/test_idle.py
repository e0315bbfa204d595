# SPDX-License-Identifier: Apache-2.0
"""What counts as use, and that a server which nobody uses closes without cutting anybody off."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from llm_server.idle import PROBE_AGENT, is_use
from llm_server.process.control import Control
from llm_server.state import Phase, ServerState
from llm_server.transport.listener import bind_path

from tests.unit.llm_server.fake_engine import KEY, Serving, post

N = 60.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("kind", "method", "path", "agent", "used"),
    [
        ("http", "POST", "/v1/chat/completions", None, True),
        ("http", "POST", "/v1/embeddings", "curl/8", True),
        ("http", "POST", "/generate", "python-requests", True),
        ("websocket", "", "/v1/realtime", None, True),
        # What was begun in the background is fetched.
        ("http", "GET", "/v1/responses/resp_1", None, True),
        ("http", "POST", "/v1/chat/completions", PROBE_AGENT, False),
        ("http", "GET", "/v1/models", None, False),
        ("http", "GET", "/version", None, False),
        ("http", "GET", "/ping", None, False),
        ("http", "POST", "/ping", None, False),
    ],
)
def test_what_counts_as_use(
    kind: str, method: str, path: str, agent: str | None, used: bool
) -> None:
    scope = {"type": kind, "path": path} | ({"method": method} if method else {})
    assert is_use(scope, agent) is used


def healthy(clock: Clock) -> ServerState:
    state = ServerState("m", clock)
    clock.now += 500
    state.app = FastAPI()
    state.move(Phase.HEALTHY, "ready")
    return state


def test_not_before_it_was_ready_for_so_long() -> None:
    clock = Clock()
    state = ServerState("m", clock)
    clock.now += 500
    assert state.unused() == 0
    assert not state.rest(N)
    state.app = FastAPI()
    state.move(Phase.HEALTHY, "ready")
    clock.now += N - 1
    assert not state.rest(N)
    clock.now += 1
    assert state.rest(N)
    assert state.health()[1]["status"] == "draining"


def test_use_puts_it_off_until_it_ended() -> None:
    clock = Clock()
    state = healthy(clock)
    state.idle.begin()
    clock.now += 10 * N
    assert not state.rest(N)
    state.idle.end()
    clock.now += N - 1
    assert not state.rest(N)
    busy = True
    state.busy = lambda: busy
    clock.now += 10
    assert not state.rest(N), "something runs in the background"
    busy = False
    clock.now += N
    assert state.rest(N)


def test_it_wakes_and_then_waits_as_long_again() -> None:
    clock = Clock()
    state = healthy(clock)
    assert not state.wake()
    clock.now += N
    assert state.rest(N)
    assert state.rest(N), "asked again by one that was killed in between"
    assert state.wake()
    assert state.can_answer
    assert not state.rest(N)


@pytest.mark.parametrize("phase", [Phase.STUCK, Phase.DRAINING, Phase.UNHEALTHY])
def test_only_one_that_can_answer_rests(phase: Phase) -> None:
    clock = Clock()
    state = healthy(clock)
    state.move(phase, "")
    clock.now += 2 * N
    assert not state.rest(N)
    assert not state.wake()


def test_a_stop_while_it_rests_is_for_good() -> None:
    clock = Clock()
    state = healthy(clock)
    clock.now += N
    assert state.rest(N)
    state.move(Phase.DRAINING, "stopping")
    assert not state.wake()
    assert state.phase is Phase.DRAINING


def app(begun: list[str]) -> FastAPI:
    made = FastAPI()

    @made.post("/v1/completions")
    async def completions(body: dict[str, Any]) -> StreamingResponse:
        begun.append(body["name"])

        async def pieces() -> AsyncIterator[bytes]:
            for number in range(4):
                await asyncio.sleep(0)
                yield b"piece %d\n" % number

        return StreamingResponse(pieces())

    @made.get("/v1/models")
    async def models() -> str:
        return "m"

    return made


async def whole(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer, to its very end."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    body = b""
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    return int(first.split()[1]), headers, body


def make_idle(state: ServerState) -> None:
    """As if nobody had come for long."""
    state.idle._last -= 10 * N
    state._ready_since -= 10 * N


@pytest.mark.parametrize("split", [False, True], ids=["whole", "body later"])
def test_the_race_at_every_step_of_the_event_loop(split: bool) -> None:
    """A request meets the door as it closes: it is answered in full, or told when to come back."""
    outcomes: list[tuple[bool, int]] = []
    unused = socket.socket()

    async def play() -> None:
        begun: list[str] = []
        serving = Serving(app(begun))
        state = serving.state
        control = Control(state, unused)
        rest = json.dumps({"do": "rest", "seconds": N}).encode()
        async with serving.open():
            for step in range(60):
                name = f"{split} {step}"
                data = post("/v1/completions", {"name": name})
                first = data.index(b"\r\n\r\n") + 6 if split else len(data)
                reader, writer = await serving.connect()
                make_idle(state)
                writer.write(data[:first])
                for _ in range(step):
                    await asyncio.sleep(0)
                closed = control.answer(rest)["done"]
                writer.write(data[first:])
                status, headers, body = await whole(reader)
                if status == 503:
                    assert closed
                    assert name not in begun, "refused, and yet it ran"
                    assert int(headers["retry-after"]) > 0
                    assert "switched off" in json.loads(body)["error"]["message"]
                else:
                    assert status == 200
                    assert body == b"".join(b"piece %d\n" % number for number in range(4))
                    assert not closed, "closed while somebody was inside"
                outcomes.append((closed, status))
                assert state.wake() is closed
                writer.close()

    asyncio.run(asyncio.wait_for(play(), 180))
    unused.close()
    assert len(outcomes) == 60
    assert set(outcomes) == {(True, 503), (False, 200)}, "the steps hit both sides of the door"


def test_many_at_once_while_it_closes_and_wakes() -> None:
    async def play() -> None:
        begun: list[str] = []
        serving = Serving(app(begun))
        state = serving.state
        counted = {200: 0, 503: 0}
        ended = False

        async def client(number: int) -> None:
            reader, writer = await serving.connect()
            for one in range(25):
                writer.write(post("/v1/completions", {"name": f"{number} {one}"}))
                status, headers, body = await whole(reader)
                counted[status] += 1
                if headers.get("connection") == "close":
                    reader, writer = await serving.connect()
                assert body.count(b"piece") == 4 if status == 200 else "retry-after" in headers
                for _ in range((number + one) % 7):
                    await asyncio.sleep(0)

        async def door() -> None:
            while not ended:
                make_idle(state)
                if state.rest(N):
                    for _ in range(5):
                        await asyncio.sleep(0)
                    assert state.in_flight == 0
                    state.wake()
                await asyncio.sleep(0)

        async with serving.open():
            closing = asyncio.create_task(door())
            await asyncio.gather(*(client(number) for number in range(4)))
            ended = True
            await closing
        assert counted[200] == len(begun)
        assert sum(counted.values()) == 100
        assert min(counted.values()) > 0, counted

    asyncio.run(asyncio.wait_for(play(), 180))


def test_who_only_looks_does_not_keep_it_on() -> None:
    async def play() -> None:
        serving = Serving(app([]))
        state = serving.state
        async with serving.open():
            make_idle(state)
            for path in ("/health", "/health/live", "/metrics", "/v1/models"):
                head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
                reader, _ = await serving.connect(head.encode())
                assert (await whole(reader))[0] == 200
            stranger, _ = await serving.connect(post("/v1/completions", {}, key="not-the-key"))
            assert (await whole(stranger))[0] == 401
            probe, _ = await serving.connect(
                post("/v1/completions", {"name": "probe"}, f"User-Agent: {PROBE_AGENT}")
            )
            assert (await whole(probe))[0] == 200
            assert state.unused() > N
            user, _ = await serving.connect(post("/v1/completions", {"name": "user"}))
            assert (await whole(user))[0] == 200
            assert state.unused() < N

    asyncio.run(asyncio.wait_for(play(), 180))


def test_the_socket_answers_its_own_user_and_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "c.sock")
        writer.write(line)
        try:
            text = await asyncio.wait_for(reader.read(), 60)
        except ConnectionResetError:
            text = b""  # hung up on before it was read
        writer.close()
        return text

    async def play() -> None:
        clock = Clock()
        state = healthy(clock)
        control = Control(state, bind_path(tmp_path / "c.sock"))
        control.open()
        assert (tmp_path / "c.sock").stat().st_mode & 0o777 == 0o666
        seen = json.loads(await ask(b'{"do": "look"}\n'))
        assert seen == {
            "done": True,
            "ready": True,
            "phase": "healthy",
            "resting": False,
            "idle_seconds": 0.0,
            "in_flight": 0,
        }
        for wrong in (b"\n", b"[]\n", b'{"do": "rest"}\n', b'{"do": "rest", "seconds": "x"}\n'):
            assert "error" in json.loads(await ask(wrong))
        assert state.phase is Phase.HEALTHY
        clock.now += N
        assert json.loads(await ask(b'{"do": "rest", "seconds": 60}\n'))["done"]
        assert state.resting
        monkeypatch.setattr("llm_server.process.control._peer", lambda _: os.getuid() + 1)
        assert await ask(b'{"do": "wake"}\n') == b"", "another user is not answered"
        assert state.resting
        control.close()

    asyncio.run(asyncio.wait_for(play(), 120))
