# SPDX-License-Identifier: Apache-2.0
"""The watch over an engine, and the end of a server: what still runs, and what has had its time."""

from __future__ import annotations

import asyncio
import subprocess
import time
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from llm_server import server
from llm_server.engine.progress import Stall
from llm_server.keys.access import Access, AccessControl
from llm_server.process.systemd_notify import Notifier
from llm_server.server import Service
from llm_server.settings import Settings
from llm_server.state import Phase
from llm_server.vllm_api import compat as vllm_compat

from tests.unit.llm_server.fake_engine import Client, Serving, answer, post


def app() -> FastAPI:
    made = FastAPI()

    @made.post("/takes/{seconds}")
    async def takes(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    return made


def make_service(notifier: Notifier | None = None) -> Service:
    settings = Settings(
        model_path="m", served_model_name="m", api_key_required=False, shutdown_timeout=1
    )
    other: Any = SimpleNamespace()
    service = Service(settings, AccessControl(Access()), notifier or Notifier(None), other, other)
    service.state.app = app()
    service.state.move(Phase.HEALTHY, "ready")
    service.meter.attach(Client())
    return service


class Told(Notifier):
    """What systemd hears."""

    def __init__(self) -> None:
        super().__init__(None)
        self.fields: list[str] = []

    def _send(self, *fields: str) -> None:
        self.fields += fields


def test_stuck_is_told_with_its_seconds_and_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "WATCH_INTERVAL_S", 0.0)
    seconds = [0.0, 121.0, 122.0, 123.0, 0.0]
    seen: list[tuple[str, str | None, int]] = []
    told = Told()

    async def play() -> None:
        service = make_service(told)
        engine: Any = SimpleNamespace(died=False)
        found = iter(seconds)

        def look() -> Stall:
            status, body = service.state.health()
            seen.append((body["status"], body.get("detail"), status))
            if (now := next(found, None)) is None:
                engine.died = True
            return Stall(now or 0.0, "the engine has not answered")

        service.progress.look = look  # type: ignore[method-assign]
        serving = asyncio.create_task(asyncio.sleep(600))
        await service._watch(engine, serving)  # type: ignore[arg-type]
        serving.cancel()

    asyncio.run(asyncio.wait_for(play(), 120))
    text = "the engine has not answered for {} s"
    assert seen == [
        ("healthy", None, 200),
        ("healthy", None, 200),
        *(("stuck", text.format(number), 503) for number in (121, 122, 123)),
        ("healthy", None, 200),
    ]
    assert told.fields.count("WATCHDOG=1") == 3, "not while it is stuck"
    assert f"STATUS=Stuck: {text.format(123)}" in told.fields


def test_who_waits_for_an_engine_that_died_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vllm_compat, "get", lambda _: RuntimeError)

    async def play() -> None:
        service = make_service()
        client = service.meter.view._client
        client.engine_core = SimpleNamespace(resources=SimpleNamespace(engine_dead=False))
        failed: list[Exception] = []
        client.output_processor.propagate_error = failed.append
        service.state.engine_died = lambda: client.engine_core.resources.engine_dead
        serving = Serving(app())
        serving.server = service.server
        async with serving.open():
            reader, _ = await serving.connect(post("/takes/60"))
            while not service.state.in_flight:
                await asyncio.sleep(0.01)
            child = subprocess.Popen(["sleep", "600"])
            service.deaths.watch({child.pid: "a worker of the engine"})
            child.kill()
            code, body = await answer(reader)
            child.wait()
            assert (code, "died" in body["error"]["message"]) == (503, True)
            assert len(failed) == 1
            assert service.state.health()[0] == 503
            assert not service.state.can_answer

    asyncio.run(asyncio.wait_for(play(), 120))


@pytest.mark.parametrize(("seconds", "timeout", "status"), [(0.3, 20, 200), (60, 1, 503)])
def test_requests_end_before_the_server_does(seconds: float, timeout: int, status: int) -> None:
    async def play() -> None:
        service = make_service()
        service.settings = service.settings.model_copy(update={"shutdown_timeout": timeout})
        serving = Serving(app())
        serving.server = service.server
        async with serving.open():
            reader, _ = await serving.connect(post(f"/takes/{seconds}"))
            while not service.state.in_flight:
                await asyncio.sleep(0.01)
            began = time.monotonic()
            await service._drain()
            assert service.state.in_flight == 0
            assert time.monotonic() - began < 50
            code, body = await answer(reader)
            assert code == status
            if status == 503:
                assert "stops" in body["error"]["message"]

    asyncio.run(asyncio.wait_for(play(), 120))


def test_a_second_signal_cuts_off_what_still_runs() -> None:
    async def play() -> None:
        service = make_service()
        service.settings = service.settings.model_copy(update={"shutdown_timeout": 3600})
        serving = Serving(app())
        serving.server = service.server
        async with serving.open():
            reader, _ = await serving.connect(post("/takes/60"))
            while not service.state.in_flight:
                await asyncio.sleep(0.01)
            service._end()
            draining = asyncio.create_task(service._drain())
            await asyncio.sleep(0.2)
            assert not draining.done()
            late, _ = await serving.connect(post("/takes/0"))
            assert (await answer(late))[0] == 503
            service._end()
            await draining
            code, body = await answer(reader)
            assert code == 503
            assert "stops" in body["error"]["message"]

    asyncio.run(asyncio.wait_for(play(), 120))
