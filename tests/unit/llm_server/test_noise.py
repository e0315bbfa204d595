# SPDX-License-Identifier: Apache-2.0
"""Strangers: some lines a minute, then a number, in bounded memory."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from fastapi import FastAPI
from llm_server.telemetry.noise import ADDRESSES, Noise

from tests.unit.llm_server.fake_engine import Serving, answer, post


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "strangers" in r.getMessage()]


def test_the_first_are_logged_and_the_rest_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        some = Noise(logged=2, window_s=0.05)
        assert [some.is_logged("no_key", "a") for _ in range(5)] == [True] * 2 + [False] * 3
        assert [some.is_logged("wrong_key", "b") for _ in range(3)] == [True, True, False]
        some.is_logged("no_key", "c")
        await asyncio.sleep(0.1)
        assert some.is_logged("no_key", "a"), "a new minute"
        await asyncio.sleep(0.1)

    asyncio.run(play())
    first, second = said(caplog)
    assert "4 more requests of strangers (no_key)" in first
    assert first.endswith("from a (3), c (1)")
    assert "1 more requests of strangers (wrong_key)" in second
    assert all(r.levelno == logging.WARNING for r in caplog.records if "more" in r.getMessage())


def test_its_memory_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        some = Noise(logged=0)
        for number in range(5 * ADDRESSES):
            some.is_logged("no_key", f"2001:db8::{number:x}")
        assert len(some._rest["no_key"]) <= ADDRESSES + 1
        some.say()
        assert not some._rest

    asyncio.run(play())
    (line,) = said(caplog)
    assert f"{5 * ADDRESSES} more" in line
    assert len(line) < 1000


def test_a_flood_over_a_socket(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llm_server.access")

    async def play() -> None:
        serving = Serving(FastAPI())
        serving.front.edge.noise = Noise(logged=3)
        async with serving.open():
            for raw in (post("/v1/models", key="x" * 20), b"\x16\x03\x01 hello\r\n\r\n"):
                for _ in range(10):
                    reader, writer = await serving.connect(raw)
                    status, body = await answer(reader)
                    assert body["error"]["request_id"]
                    assert status in (400, 401)
                    writer.close()
            for _ in range(10):
                reader, _ = await serving.connect(post("/nothing"))
                assert (await answer(reader))[0] == 404
            serving.front.edge.noise.say()

    asyncio.run(asyncio.wait_for(play(), 60))
    lines = [json.loads(r.getMessage()) for r in caplog.records if "access" in r.name]
    seen = [line.get("reason") for line in lines]
    assert seen == ["wrong_key"] * 3 + ["not_http"] * 3 + [None] * 10
    assert {line["client"] for line in lines} == {"127.0.0.1"}
    assert [text.split(" within")[0] for text in said(caplog)] == [
        "7 more requests of strangers (wrong_key)",
        "7 more requests of strangers (not_http)",
    ]
