# SPDX-License-Identifier: Apache-2.0
"""Stands before the application: logs requests, and does to them what the fault rules say."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from emulator.errors import ApiError, Json
from emulator.faults.faults import Faults
from emulator.faults.request_log import RequestLog, project_of

_REASONS = {429: "rateLimitExceeded"}
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
OWN = "/emulator/"  # the emulator's own controls: neither logged nor disturbed


def _stranger(scope: Scope) -> str:
    """Why a request to the own controls is none of this machine's; empty where it may be.

    They ask for no credentials. A web page in a browser here can send requests as well, and by a
    name of its own that leads to this address it could read the answers.
    """
    headers = Headers(scope=scope)
    for name in ("host", "origin"):
        value = headers.get(name)
        if value is None and name == "origin":
            continue
        address = f"{value}" if name == "origin" else f"//{value or ''}"
        try:
            host = urlsplit(address).hostname or ""
        except ValueError:
            host = ""
        if not _LOOPBACK.fullmatch(host):
            return f"{name.title()} is {value!r}: only this machine may use the controls."
    return ""


class Connection(H11Protocol):
    """HTTP/1.1 whose requests know their connection, so that a rule can cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As ever, and leaves the transport where a request's scope has it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Gate:
    """ASGI middleware; `revoke` makes every token issued so far invalid."""

    def __init__(
        self, app: ASGIApp, faults: Faults, log: RequestLog, revoke: Callable[[], None]
    ) -> None:
        self._app = app
        self._faults = faults
        self._log = log
        self._revoke = revoke

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"].startswith(OWN):
            answer = self._app
            if scope["type"] == "http" and (stranger := _stranger(scope)):
                refused = ApiError(403, "forbidden", stranger)
                answer = JSONResponse(refused.body(), refused.status)
            await answer(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        effect = self._faults.request(method, path) or {}
        entry = self._log.begin(method, path, project_of(path), ",".join(effect))

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        if effect.get("latency"):
            await asyncio.sleep(effect["latency"])
        if effect.get("revoke_tokens"):
            await asyncio.to_thread(self._revoke)
        if effect.get("hold") == "before":
            entry["held"] = True
            await _gone(receive)
        elif effect.get("connection") == "drop_before":
            await _cut(scope, receive)
        elif "error" in effect:
            await JSONResponse(_refusal(effect["error"]), effect["error"]["http_status"])(
                scope, receive, noting
            )
        elif "status" in effect:
            await _answer(noting, effect)
        elif effect.get("connection") or effect.get("hold"):
            await self._handled(scope, receive, noting, effect, entry)
        else:
            await self._app(scope, receive, noting)

    async def _handled(
        self, scope: Scope, receive: Receive, send: Send, effect: Json, entry: Json
    ) -> None:
        """Carries the request out; its answer is lost, held back or cut short."""
        answer: list[Message] = []

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            answer.append(message)

        await self._app(scope, receive, collect)
        if effect.get("hold") == "after":
            entry["held"] = True
            await _gone(receive)
        elif effect["connection"] == "drop_after":
            await _cut(scope, receive)
        else:
            body = b"".join(one.get("body", b"") for one in answer[1:])
            await send(answer[0])  # announces the length of the whole
            half = body[: len(body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            # By an orderly end: a reset could overtake the half that was sent.
            transport(scope).close()
            await _gone(receive)


def transport(scope: Scope) -> asyncio.Transport:
    """The connection that a request came by."""
    found: asyncio.Transport = scope["state"]["transport"]
    return found


async def _gone(receive: Receive) -> None:
    """Returns once the client is no longer there."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cut(scope: Scope, receive: Receive) -> None:
    connection = transport(scope)
    # Linger of zero: the other side sees a reset, not an orderly end.
    raw: Any = connection.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.abort()
    await _gone(receive)


def _refusal(said: Json) -> Json:
    """A rule's error in Google's shape: one entry a message."""
    error = ApiError(
        said["http_status"],
        said["reason"],
        said["messages"][0],
        location=said.get("location"),
        location_type="header",
        info=said.get("info"),
    )
    body = error.body()
    first = body["error"]["errors"][0]
    body["error"]["errors"] = [{**first, "message": text} for text in said["messages"]]
    return body


async def _answer(send: Send, effect: Json) -> None:
    status = effect["status"]
    if status == 502:  # Google's front end answers this one with a page
        kind, content = b"text/html; charset=UTF-8", _page(status)
    else:
        error = ApiError(status, _REASONS.get(status, "backendError"), "A fault rule said so.")
        kind, content = b"application/json", json.dumps(error.body()).encode()
    headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
    if "retry_after" in effect:
        headers.append((b"retry-after", f"{effect['retry_after']:g}".encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _page(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase
    return f"<!DOCTYPE html><title>Error {status} ({phrase})</title>".encode()
