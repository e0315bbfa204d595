# SPDX-License-Identifier: Apache-2.0
"""Offers of another protocol, over real sockets: the request is answered as if there were none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest
from fastapi import FastAPI, Request

from tests.unit.llm_server.fake_engine import KEY, Serving, answer, post

OFFERS = [
    ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
    ("Connection: upgrade", "Upgrade: TLS/1.0, HTTP/1.1"),
    ("Connection: keep-alive, Upgrade", "upgrade: foo"),
]


def app() -> FastAPI:
    made = FastAPI()

    @made.post("/echo")
    async def echo(request: Request) -> Any:
        return await request.json()

    @made.get("/get")
    async def get() -> str:
        return "got"

    return made


def run(play: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(play, 60))


def get(*more: str) -> bytes:
    lines = ["GET /get HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(body: bytes, *more: str) -> bytes:
    lines = ["POST /echo HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}"]
    lines += ["Content-Type: application/json", "Transfer-Encoding: chunked", *more]
    head = "\r\n".join([*lines, "", ""]).encode()
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("step", [1, 3, 64, 100_000])
def test_the_body_is_kept_and_the_connection_goes_on(offer: tuple[str, ...], step: int) -> None:
    body = {"prompt": "x" * 300}

    async def play() -> None:
        serving = Serving(app())
        async with serving.open():
            reader, writer = await serving.connect()
            # Each before and after others on one connection, as an idle client keeps it.
            for sent, expected in (
                (post("/echo", body, *offer), body),
                (get(*offer), "got"),
                (chunked(json.dumps(body).encode(), *offer), body),
                (post("/echo", body), body),
                (post("/echo", body, *offer), body),
            ):
                for at in range(0, len(sent), step):
                    writer.write(sent[at : at + step])
                    if step < 100:
                        await asyncio.sleep(0)
                assert await answer(reader) == (200, expected)

    run(play())


def test_several_in_one_piece() -> None:
    async def play() -> None:
        serving = Serving(app())
        async with serving.open():
            reader, _ = await serving.connect(
                post("/echo", {"n": 1}, *OFFERS[0])
                + get(*OFFERS[1])
                + post("/echo", {"n": 2}, *OFFERS[2])
                + post("/echo", {"n": 3})
            )
            for expected in ({"n": 1}, "got", {"n": 2}, {"n": 3}):
                assert await answer(reader) == (200, expected)

    run(play())


def test_without_a_key_it_is_refused_like_any_other() -> None:
    async def play() -> None:
        serving = Serving(app())
        async with serving.open():
            reader, _ = await serving.connect(post("/echo", {}, *OFFERS[0], key="wrong"))
            assert (await answer(reader))[0] == 401

    run(play())


@pytest.mark.parametrize(
    "framing",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Content-Length: 4", "Content-Length: 5"),
        ("Transfer-Encoding: xchunked", "X: 1"),
    ],
)
def test_ambiguous_framing_is_refused_with_an_offer_too(framing: tuple[str, str]) -> None:
    async def play() -> None:
        serving = Serving(app())
        async with serving.open():
            lines = ["POST /echo HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}"]
            head = "\r\n".join([*lines, *OFFERS[0], *framing, "", ""]).encode()
            reader, _ = await serving.connect(head + b"0\r\n\r\n")
            assert (await answer(reader))[0] == 400

    run(play())
