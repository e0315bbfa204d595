# SPDX-License-Identifier: Apache-2.0
"""Clients over real sockets: those that send nothing, those that read nothing, and the rest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from llm_server.asgi import edge
from llm_server.asgi.answer import Answer
from llm_server.record import Refusal, RequestRecord, current
from llm_server.state import Phase
from llm_server.transport import connections
from llm_server.transport.connections import Connections

from tests.unit.llm_server.fake_engine import Serving, answer, post

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n"


def app() -> FastAPI:
    made = FastAPI()

    @made.post("/big")
    async def big() -> StreamingResponse:
        async def events() -> Any:
            for _ in range(10_000):
                yield "data: " + "x" * 4000 + "\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @made.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @made.post("/hang")
    async def hang() -> None:
        await asyncio.sleep(60)

    @made.post("/half")
    async def half() -> StreamingResponse:
        async def events() -> Any:
            yield "data: 1\n\n"
            await asyncio.sleep(60)

        return StreamingResponse(events(), media_type="text/event-stream")

    @made.post("/v1/completions")
    async def completions(request: Request) -> JSONResponse:
        await request.json()
        raise AssertionError("the app is not asked")

    @made.post("/leave")
    async def leave(request: Request) -> int:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return 1

    @made.post("/leave/stream")
    async def leave_stream() -> StreamingResponse:
        async def events() -> Any:
            while True:
                yield "data: 1\n\n"
                await asyncio.sleep(0.01)

        return StreamingResponse(events(), media_type="text/event-stream")

    return made


def run(play: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(play, 120))


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What still came before the server closed the connection."""
    try:
        return await asyncio.wait_for(reader.read(), 50)
    except ConnectionResetError:
        return b""


async def quiet(_scope: Any, receive: Any, send: Any) -> None:
    """An app that hangs, and ends in silence when it is cancelled."""
    await receive()
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)


async def until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(("asked", "before"), [(False, b""), (False, HEALTH), (True, HEALTH)])
def test_a_connection_without_a_whole_head_is_closed(asked: bool, before: bytes) -> None:
    async def play() -> None:
        serving = Serving(app())
        # Who asks first has to be quicker than that, also on a busy machine.
        serving.server.connections.head_seconds = 2 if asked else 0.3
        async with serving.open():
            reader, writer = await serving.connect()
            if asked:
                writer.write(HEALTH + b"\r\n")
                assert (await answer(reader))[0] == 200
            writer.write(before)
            began = time.monotonic()
            await closed(reader)
            assert time.monotonic() - began < 40
            assert not serving.server.connections.silent

    run(play())


def test_who_asks_is_not_closed_while_the_answer_takes_long() -> None:
    async def play() -> None:
        serving = Serving(app(), max_request_seconds=2)
        serving.server.connections.head_seconds = 1
        async with serving.open():
            reader, _ = await serving.connect(post("/hang"))
            assert (await answer(reader))[0] == 504
            assert not serving.server.connections.silent

    run(play())


def test_a_head_has_a_bound() -> None:
    async def play() -> None:
        serving = Serving(app())
        async with serving.open():
            reader, _ = await serving.connect(HEALTH + b"X-A: " + b"a" * 70_000)
            status, body = await answer(reader)
            assert (status, body["error"]["code"]) == (400, 400)

    run(play())


def test_who_is_refused_may_send_the_rest_of_the_body() -> None:
    async def play() -> None:
        serving = Serving(app())
        async with serving.open():
            whole = post("/size", {"prompt": "x" * 400_000}, key="wrong")
            reader, writer = await serving.connect(whole[:1000])
            assert (await answer(reader))[0] == 401
            writer.write(whole[1000:])
            await writer.drain()
            await asyncio.sleep(0.1)
            assert len(serving.server.server_state.connections) == 1
            assert not reader.at_eof()

    run(play())


def test_too_many_connections_close_the_oldest_that_is_silent() -> None:
    async def play() -> None:
        serving = Serving(app())
        serving.server.connections.most = 3
        async with serving.open():
            first, *_, last = [await serving.connect() for _ in range(4)]
            await closed(first[0])
            last[1].write(HEALTH + b"\r\n")
            assert (await answer(last[0]))[0] == 200
            for reader, writer in [await serving.connect() for _ in range(6)]:
                del reader, writer
            await until(lambda: len(serving.server.server_state.connections) <= 3)

    run(play())


def test_the_bound_leaves_files_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (1024, 4096))
    assert Connections().most == 512


def test_what_is_no_http_has_the_shape_of_other_errors() -> None:
    async def play() -> None:
        serving = Serving(app())
        async with serving.open():
            reader, _ = await serving.connect(b"nonsense\r\n\r\n")
            status, body = await answer(reader)
            assert status == 400
            assert set(body["error"]) == {"message", "type", "param", "code", "request_id"}

    run(play())


@pytest.mark.parametrize("phase", [Phase.HEALTHY, Phase.LOADING])
def test_health_waits_for_no_body(phase: Phase) -> None:
    async def play() -> None:
        serving = Serving(app())
        if phase is Phase.LOADING:
            serving.state.__init__("m")  # type: ignore[misc]
        async with serving.open():
            # The body never comes: an answer is the proof.
            reader, _ = await serving.connect(HEALTH + b"Content-Length: 8000000\r\n\r\n")
            status, body = await answer(reader)
            assert (status, body["status"]) == (200 if phase is Phase.HEALTHY else 503, str(phase))

    run(play())


def test_a_client_that_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "GRACE_S", 0.2)
    monkeypatch.setattr(edge, "LAST_WORDS_S", 0.2)

    async def play() -> None:
        serving = Serving(app(), max_request_seconds=3, max_requests=1)
        async with serving.open():
            _, blocked = await serving.connect(post("/big"), 4096)
            await until(lambda: serving.state.in_flight)
            reader, _ = await serving.connect(post("/size"))
            assert (await answer(reader))[0] == 429
            await until(lambda: not serving.state.in_flight)
            reader, _ = await serving.connect(post("/size"))
            assert (await answer(reader))[0] == 200, "its place is free"
            await until(lambda: len(serving.server.server_state.connections) == 2)
            blocked.close()

    run(play())


@pytest.mark.parametrize("path", ["/hang", "/half", "/quiet"])
def test_an_app_that_hangs_is_cut_off(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "GRACE_S", 0.1)

    async def play() -> None:
        serving = Serving(quiet if path == "/quiet" else app(), max_request_seconds=1)
        async with serving.open():
            reader, _ = await serving.connect(post(path, None, "Connection: close"))
            text = (await closed(reader)).decode()
            error = json.loads(text[text.index('{"error"') :].splitlines()[0])["error"]
            assert set(error) == {"message", "type", "param", "code", "request_id"}
            assert error["code"] == 504
            assert f"x-request-id: {error['request_id']}" in text
            # A stream without an event has not begun: its end is an error like any other.
            assert ("data: [DONE]" in text) is (path not in ("/hang", "/quiet"))
            assert serving.state.in_flight == 0

    run(play())


def test_who_has_no_answer_at_the_end_is_told() -> None:
    async def play() -> None:
        serving = Serving(app())
        async with serving.open():
            reader, _ = await serving.connect(post("/hang"))
            stream, _ = await serving.connect(post("/half"))
            await stream.readuntil(b"data: 1")
            serving.front.end_all(Refusal(503, "The server stops.", retry_after=10), 0.1)
            status, body = await answer(reader)
            assert (status, body["error"]["message"]) == (503, "The server stops.")
            assert b'"code": 503' in await stream.readuntil(b"[DONE]")
            assert serving.state.in_flight == 0

    run(play())


def test_a_request_that_was_let_in_is_answered_also_when_its_body_comes_later() -> None:
    async def play() -> None:
        serving = Serving(app(), max_requests=1)
        async with serving.open():
            whole = post("/size", {"prompt": "x" * 500})
            reader, writer = await serving.connect(whole[:-100])
            await until(lambda: serving.state.in_flight)
            other, _ = await serving.connect(post("/size"))
            assert (await answer(other))[0] == 429, "bodies are read for those only that have room"
            serving.state.move(Phase.DRAINING, "stopping")
            writer.write(whole[-100:])
            assert await answer(reader) == (200, 514)
            other, _ = await serving.connect(post("/size"))
            assert (await answer(other))[0] == 503

    run(play())


def test_all_bodies_together_have_a_bound() -> None:
    async def play() -> None:
        serving = Serving(app(), max_body_bytes=2000)
        async with serving.open():
            whole = post("/size", {"prompt": "x" * 1900})
            halves = [await serving.connect(whole[:-20]) for _ in range(33)]
            await until(lambda: serving.state.in_flight >= 33)
            reader, _ = await serving.connect(whole)
            assert (await answer(reader))[0] == 429
            for _, writer in halves:
                writer.write(whole[-20:])
            assert {(await answer(half))[0] for half, _ in halves} <= {200, 429}
            reader, _ = await serving.connect(whole)
            assert (await answer(reader))[0] == 200

    run(play())


@pytest.mark.parametrize("stream", [False, True])
def test_a_batch_that_is_far_too_large(stream: bool) -> None:
    async def play() -> None:
        serving = Serving(app())
        async with serving.open():
            batch = {"prompt": ["a"] * 10_000, "stream": stream}
            reader, _ = await serving.connect(post("/v1/completions", batch))
            began = time.monotonic()
            health, _ = await serving.connect(HEALTH + b"\r\n")
            assert (await answer(health))[0] == 200
            assert time.monotonic() - began < 50
            status, body = await answer(reader)
            assert status == 400
            assert "10000 entries; this server takes 128" in body["error"]["message"]

    run(play())


@pytest.mark.parametrize("path", ["/leave", "/leave/stream"])
def test_a_client_that_leaves_is_logged_so(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logging.getLogger("llm_server.access").propagate = True

    async def play() -> None:
        serving = Serving(app())
        async with serving.open():
            reader, writer = await serving.connect(post(path))
            await until(lambda: serving.state.in_flight)
            if path == "/leave/stream":
                await reader.readuntil(b"data: 1")
            writer.close()
            await until(lambda: not serving.state.in_flight)

    run(play())
    (line,) = [json.loads(r.getMessage()) for r in caplog.records if r.name.endswith(".access")]
    assert line["status"] == 499
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info]


def test_a_failure_because_the_client_left_is_none_of_the_server() -> None:
    made = FastAPI()

    @made.post("/fail")
    async def fail(request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        raise RuntimeError("nobody to answer")

    async def play() -> None:
        serving = Serving(made)
        async with serving.open():
            _, writer = await serving.connect(post("/fail"))
            await until(lambda: serving.state.in_flight)
            writer.close()
            await until(lambda: not serving.state.in_flight)

    logger = logging.getLogger("llm_server.edge")
    seen: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = seen.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        run(play())
    finally:
        logger.removeHandler(handler)
    assert seen == []


def test_the_key_of_one_request_bounds_the_next() -> None:
    made = app()

    @made.post("/use")
    async def use() -> None:
        record = current.get()
        assert record is not None
        record.tokens_out = 100

    async def play() -> None:
        serving = Serving(made, tokens=50)
        async with serving.open():
            codes = []
            for _ in range(2):
                reader, _ = await serving.connect(post("/use"))
                codes.append((await answer(reader))[0])
            assert codes == [200, 429]

    run(play())


def test_a_websocket_counts_as_a_connection_and_is_not_closed_for_a_new_one() -> None:
    class Transport:
        aborted = False

        def abort(self) -> None:
            self.aborted = True

    class Websocket:  # uvicorn keeps those in the same set
        transport = Transport()

    class Http(Websocket):
        transport = Transport()
        timeout_keep_alive_task = None

    old, new = Websocket(), Http()
    new.connections = {old, new}  # type: ignore[attr-defined]
    Connections(most=1).make_room(new)  # type: ignore[arg-type]
    assert (old.transport.aborted, new.transport.aborted) == (False, True)


def test_the_end_of_the_server_is_not_put_off_by_a_request_that_takes_too_long() -> None:
    async def play() -> tuple[float | None, float | None]:
        record = RequestRecord("id", "POST", "/generate")
        async with asyncio.timeout(None) as time_left:
            call = edge._Call(record, time_left)
            call.end(Refusal(503, "stopping"), grace=0.5)
            first = time_left.when()
            call.end()
            when = time_left.when()
            time_left.reschedule(None)
        return when, first

    when, first = run(play())
    assert when is not None
    assert when == first


def test_last_words_that_cannot_be_said_still_close_the_connection() -> None:
    async def gone(_: Any) -> None:
        raise RuntimeError("the websocket is closed")

    async def play() -> list[str]:
        record = RequestRecord("id", "WEBSOCKET", "/v1/realtime")
        aborted: list[str] = []
        scope = {"type": "websocket", connections.ABORT: lambda: aborted.append("closed")}
        await edge.Edge(app(), None)._cut(record, scope, Answer(record, gone))  # type: ignore[arg-type]
        return aborted

    assert run(play()) == ["closed"]
