# SPDX-License-Identifier: Apache-2.0
"""An engine's client as vLLM 0.25 and 0.32 have it, and a server around any app."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

from llm_server.asgi.stack import build_front
from llm_server.keys.access import Access, AccessControl, Key, Limits, digest
from llm_server.settings import Settings
from llm_server.state import Phase, ServerState
from llm_server.transport.listener import HttpServer, bind
from starlette.types import ASGIApp

KEY = "unit-test-key-0123456789"


def params(kind: str, n: int = 1, max_tokens: int = 6) -> Any:
    """Parameters of sampling, as far as anybody looks at them."""
    return SimpleNamespace(n=n, max_tokens=max_tokens, output_kind=SimpleNamespace(name=kind))


def state(request_id: str, prompt_len: int = 7) -> Any:
    """What the client keeps of one request."""
    tokens: list[int] = []
    return SimpleNamespace(
        external_req_id=request_id,
        prompt_len=prompt_len,
        tokens=tokens,
        detokenizer=SimpleNamespace(num_output_tokens=lambda: len(tokens)),
        stats=SimpleNamespace(first_token_latency=0.5),
        parent_req=None,
    )


class Processor:
    """The part that keeps what is not finished."""

    def __init__(self) -> None:
        self.request_states: dict[str, Any] = {}
        self.external_req_ids: dict[str, list[str]] = {}
        self.parent_requests: dict[str, Any] = {}

    def add_request(self, request: Any, *_: Any) -> None:
        state = request.state
        self.request_states[request.request_id] = state
        self.external_req_ids.setdefault(state.external_req_id, []).append(request.request_id)
        if state.parent_req is not None:
            self.parent_requests[state.parent_req.request_id] = state.parent_req

    def forget(self, request_id: str) -> None:
        """As vLLM where a request has ended: one of several answers, or what stands for all."""
        parent = self.parent_requests.pop(request_id, None)
        for name in [request_id] if parent is None else parent.child_requests:
            if (state := self.request_states.pop(name, None)) is not None:
                names = self.external_req_ids[state.external_req_id]
                names.remove(name)
                if not names:
                    del self.external_req_ids[state.external_req_id]

    def process_outputs(self, outputs: Any) -> Any:
        return outputs

    def update_scheduler_stats(self, _stats: Any) -> None: ...


class Client:
    """Gives three messages of two tokens; the engine has all of them before anybody asks."""

    def __init__(self) -> None:
        self.output_processor = Processor()
        self.aborted: list[str] = []
        self.closed = False
        #: Raised once a request is registered, as where it can't be sent.
        self.fails: Exception | None = None
        #: Awaited between the messages, and before the request gets to the engine.
        self.pause: Callable[[], Any] = lambda: asyncio.sleep(0)
        self.render: Callable[[], Any] = lambda: asyncio.sleep(0)

    async def generate(
        self, prompt: Any, sampling_params: Any, request_id: str
    ) -> AsyncGenerator[Any, None]:
        del prompt
        await self.render()
        processor = self.output_processor
        made = state(request_id)
        processor.add_request(SimpleNamespace(request_id=request_id + "-x", state=made))
        if self.fails is not None:
            raise self.fails
        try:
            for number in range(3):
                made.tokens += [1, 2]
                processor.process_outputs([1])
                if number == 2:
                    processor.forget(request_id + "-x")
                if sampling_params.output_kind.name != "FINAL_ONLY" or number == 2:
                    yield SimpleNamespace(number=number, finished=number == 2)
                await self.pause()
        finally:
            self.closed = True

    async def encode(
        self, prompt: Any, pooling_params: Any, request_id: str
    ) -> AsyncGenerator[Any, None]:
        async for each in self.generate(prompt, pooling_params, request_id):
            yield each

    async def abort(self, ids: list[str], *, internal: bool) -> None:
        assert internal
        self.aborted += ids
        for each in ids:
            self.output_processor.forget(each)

    async def is_paused(self) -> bool:
        return False


class Serving:
    """A real HTTP server on loopback in front of an app."""

    def __init__(self, app: ASGIApp, tokens: int | None = None, **limits: float) -> None:
        key = Key(name="k", sha256=digest(KEY), tokens_per_minute=tokens)
        access = Access(keys=(key,), limits=Limits.model_validate(limits))
        self.control = AccessControl(access)
        self.state = ServerState("m")
        self.state.app = app
        self.state.move(Phase.HEALTHY, "ready")
        settings = Settings(model_path="m", served_model_name="m", access_file="x")
        self.front = build_front(settings, self.state, self.control)
        self.server = HttpServer(self.front)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serves."""
        self._clients: list[asyncio.StreamWriter] = []
        listener = bind("127.0.0.1", 0)
        self.address = listener.getsockname()
        task = asyncio.create_task(self.server.serve(sockets=[listener]))
        while not self.server.started:
            await asyncio.sleep(0.01)
        try:
            yield
        finally:
            for writer in self._clients:
                writer.transport.abort()
            for one in list(self.server.server_state.connections):
                one.transport.abort()  # type: ignore[union-attr]
            self.server.should_exit = True
            await task

    async def connect(
        self, data: bytes = b"", receive_buffer: int | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client that has sent so much; with a small buffer it takes no more than that."""
        raw = socket.socket()
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, self.address)
        reader, writer = await asyncio.open_connection(sock=raw, limit=receive_buffer or 65536)
        self._clients.append(writer)
        writer.write(data)
        await writer.drain()
        return reader, writer


def post(path: str, body: Any = None, *more: str, key: str = KEY) -> bytes:
    """A request's bytes."""
    content = json.dumps(body or {}).encode()
    head = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *more,
    ]
    return "\r\n".join([*head, "", ""]).encode() + content


async def answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """Status and JSON of one answer."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 50)).decode().lower()
    length = int(head.split("content-length:")[1].split()[0])
    return int(head.split()[1]), json.loads(await reader.readexactly(length))
