# SPDX-License-Identifier: Apache-2.0
"""What is known of one request while it runs: what is logged of it, and counted for its key."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .limits.budgets import KeyBudget
from .limits.rates import KeyRates
from .reasons import Reason

#: An id that a client may choose: it goes into logs and into the engine.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: Set for the task that serves a request, and so for every task that it starts.
current: ContextVar[RequestRecord | None] = ContextVar("current", default=None)


@dataclass(frozen=True)
class Refusal:
    """Why this server ends a request, whatever the app inside would say of it."""

    status: int
    message: str
    retry_after: int | None = None
    reason: Reason | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


TOO_LONG = Refusal(
    504,
    "The request took longer than this server allows (llm_server_limits.max_request_seconds).",
    reason="timeout",
)


@dataclass
class RequestRecord:
    """One request, from its first byte to the last of its answer."""

    request_id: str
    method: str
    path: str
    #: Who asks: an address, and what it says that it is.
    client: str | None = None
    agent: str | None = None
    key: str | None = None
    #: The model or adapter that was asked for.
    model: str | None = None
    #: The adapter that the engine used.
    adapter: str | None = None
    #: Whether the answer is a stream.
    stream: bool = False
    status: int | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    #: Seconds from the start.
    first_token: float | None = None
    #: The longest that one of its requests waited for the engine to begin with it.
    queue_seconds: float | None = None
    #: Tokens of prompts that were in the cache.
    tokens_cached: int = 0
    #: Why the engine ended its answers, `stop` or `length` for instance.
    finish_reasons: set[str] = field(default_factory=set)
    content: str | None = None
    #: Its requests in the engine, by their ids there, with how many answers each generates.
    running: dict[str, int] = field(default_factory=dict)
    #: What the engine's client keeps of them, by the same ids.
    states: dict[str, list[Any]] = field(default_factory=dict)
    #: Whether the model's app has it: what that says of its own failures is not for clients.
    inside: bool = False
    #: Whether the client left before the answer was complete.
    gone: bool = False
    refusal: Refusal | None = None
    #: Why this server refused it, in one word.
    reason: Reason | None = None
    #: What an app said of its own failure where it answered with one, and the status of that.
    failed: str | None = None
    failed_status: int = 500
    #: What went wrong on the way; see `failures`.
    failures: list[Any] = field(default_factory=list)
    #: Whether its line is in the log.
    ended: bool = False
    #: What its key may use in a minute, and how much of that is set aside for it.
    rates: KeyRates | None = None
    reserved: int = 0
    #: The same of a day or a month.
    budget: KeyBudget | None = None
    aside: int = 0
    #: Whether its answer has ended; work in the background may go on.
    done: bool = False
    #: Ends the given requests in the engine.
    abort: Callable[[list[str]], None] = lambda _: None
    #: Adds up what its requests in the engine have used so far.
    settle: Callable[[], None] = lambda: None
    #: Counts tokens as they are settled, prompts' and answers'.
    used: Callable[[int, int], None] = lambda *_: None
    began: float = field(default_factory=time.monotonic)

    def expire(self, refusal: Refusal = TOO_LONG) -> None:
        """Its time is over: the engine works for it no more."""
        self.refuse(self.refusal or refusal)
        if self.running:
            self.abort(list(self.running))

    def refuse(self, refusal: Refusal) -> None:
        """Whatever the app inside says of it, this is what its client is told."""
        self.refusal = refusal
        self.reason = refusal.reason

    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.began


def note_reason(reason: Reason | None) -> None:
    """Keeps, for the request that is served now, why it is refused; also a websocket's."""
    record = current.get()
    if record is not None and reason is not None:
        record.reason = reason


def accept_id(requested: str | None) -> str:
    """The id that a client asked for where it is harmless, else a new one."""
    return requested if requested and _ID.fullmatch(requested) else uuid.uuid4().hex
