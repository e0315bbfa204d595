# SPDX-License-Identifier: Apache-2.0
"""Requests that only have text read: tokens made of it, or it of tokens, and no answer generated.

The engine's client hears nothing of them, so what they take is bounded, counted and charged here.
They share one thread with the prompts of all chats: no more than one of them is ever before a chat.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import error_response
from ..facts import ModelFacts
from ..limits.turns import FullError, Turns
from ..record import RequestRecord, current

_ENDS = ("/tokenize", "/detokenize", "/count_tokens", "/render", "/derender")
#: Text that is read at once takes no more, whatever the context: JSON of its tokens is made in the
#: event loop.
MOST_CHARACTERS = 2**20
#: So much less where each token is sent as text too.
SHARE_WITH_STRINGS = 4
#: Characters of an ordinary token, where the answer does not tell how many there were.
USUAL_TOKEN = 4
#: Requests of one key that wait for their turn.
WAITING = 32
_COUNT = re.compile(rb'"(?:count|input_tokens)"\s*:\s*(\d+)')


def only_reads(path: str) -> bool:
    """Whether a path has text read and nothing generated."""
    return path.endswith(_ENDS)


def too_long(data: Any, facts: ModelFacts) -> str | None:
    """Why it is too much for one request; None is not."""
    if not facts.context:
        return None
    tokens = data.get("tokens") if isinstance(data, dict) else None
    if isinstance(tokens, list) and len(tokens) > facts.context:
        return (
            f"There are {len(tokens)} tokens; the model's context has {facts.context}."
            " Send several requests."
        )
    most = MOST_CHARACTERS
    if facts.longest_token:
        most = min(most, facts.context * facts.longest_token)
    if isinstance(data, dict) and data.get("return_token_strs"):
        most = min(most, MOST_CHARACTERS // SHARE_WITH_STRINGS)
    found = characters(data)
    if found > most:
        return (
            f"There are {found} characters; this server reads {most} at once, for a context of"
            f" {facts.context} tokens. Send several requests."
        )
    return None


def characters(data: Any) -> int:
    """Those of all text in a body."""
    total, waiting = 0, [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return total


def estimate(data: Any) -> int:
    """Tokens that it may be, before anybody has counted."""
    tokens = data.get("tokens") if isinstance(data, dict) else None
    return len(tokens) if isinstance(tokens, list) else characters(data) // USUAL_TOKEN


class Reading:
    """Lets one such request in at a time, and charges its key."""

    def __init__(self) -> None:
        self.turns = Turns(at_once=1, waiting=WAITING)

    async def serve(
        self, app: ASGIApp, scope: Scope, replay: Receive, send: Send, data: Any
    ) -> None:
        """Serves one, whose body `replay` has; `data` is that, parsed."""
        record = current.get()
        try:
            async with self.turns.turn((record and record.key) or ""):
                await self._read(app, scope, replay, send, data)
        except FullError:
            text = (
                f"{self.turns.most} requests of this key wait to have text read already;"
                " try again in 2 s."
            )
            headers = {"Retry-After": "2"}
            await error_response(429, text, headers=headers, reason="full")(scope, replay, send)

    @staticmethod
    async def _read(app: ASGIApp, scope: Scope, replay: Receive, send: Send, data: Any) -> None:
        record = current.get()
        expected = estimate(data)
        if record is None or record.rates is None:
            await app(scope, replay, send)
            return
        seconds = record.rates.reserve(expected)
        if seconds:
            text = (
                f"The key {record.key} has used up the tokens of this minute;"
                f" try again in {seconds} s."
            )
            headers = {"Retry-After": str(seconds)}
            response = error_response(429, text, headers=headers, reason="rate_tokens")
            await response(scope, replay, send)
            return
        record.reserved += expected
        await app(scope, replay, _Counting(record, expected, send))


class _Counting:
    """Counts the tokens that an answer tells of."""

    def __init__(self, record: RequestRecord, expected: int, send: Send) -> None:
        self._record = record
        self._expected = expected
        self._send = send
        self._good = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._good = message["status"] < 400
        elif self._good and message["type"] == "http.response.body":
            self._good = False
            found = _COUNT.search(message.get("body", b"")[:4096])
            self._record.tokens_in += int(found[1]) if found else self._expected
        await self._send(message)
