# SPDX-License-Identifier: Apache-2.0
"""The end of a server: what still runs, and what has had its time."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from llm_server.access import Access, AccessControl
from llm_server.notify import Notifier
from llm_server.server import Service
from llm_server.settings import Settings
from llm_server.state import Phase

from tests.unit.llm_server.fake_engine import Serving, answer, post


def app() -> FastAPI:
    made = FastAPI()

    @made.post("/takes/{seconds}")
    async def takes(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    return made


@pytest.mark.parametrize(("seconds", "status"), [(0.3, 200), (60, 503)])
def test_requests_end_before_the_server_does(seconds: float, status: int) -> None:
    async def play() -> None:
        settings = Settings(
            model_path="m", served_model_name="m", api_key_required=False, shutdown_timeout=1
        )
        room: Any = SimpleNamespace()
        service = Service(settings, AccessControl(Access()), Notifier(None), room, room)
        service.state.app = app()
        service.state.move(Phase.HEALTHY, "ready")
        serving = Serving(app())
        serving.server = service.server
        async with serving.open():
            reader, _ = await serving.connect(post(f"/takes/{seconds}"))
            while not service.state.in_flight:
                await asyncio.sleep(0.01)
            began = time.monotonic()
            await service._drain()
            assert service.state.in_flight == 0
            assert time.monotonic() - began < 4
            code, body = await answer(reader)
            assert code == status
            if status == 503:
                assert "stops" in body["error"]["message"]

    asyncio.run(asyncio.wait_for(play(), 30))
