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

#: An id that a client may choose: it goes into logs and into the engine.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: Set for the task that serves a request, and so for every task that it starts.
current: ContextVar[RequestRecord | None] = ContextVar("current", default=None)


@dataclass
class RequestRecord:
    """One request, from its first byte to the last of its answer."""

    request_id: str
    method: str
    path: str
    key: str | None = None
    status: int | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    #: Seconds from the start.
    first_token: float | None = None
    content: str | None = None
    #: Its requests in the engine, by their ids there, with how many answers each generates.
    running: dict[str, int] = field(default_factory=dict)
    expired: bool = False
    #: Ends the given requests in the engine.
    abort: Callable[[list[str]], None] = lambda _: None
    began: float = field(default_factory=time.monotonic)

    def expire(self) -> None:
        """Its time is over: the engine works for it no more."""
        self.expired = True
        if self.running:
            self.abort(list(self.running))

    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.began

    def line(self) -> dict[str, Any]:
        """What is logged; never what was asked or answered, unless that was switched on."""
        first = self.first_token
        line: dict[str, Any] = {
            "request_id": self.request_id,
            "key": self.key,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "time_to_first_token_s": None if first is None else round(first, 4),
            "total_s": round(self.seconds(), 4),
        }
        if self.expired:
            line["expired"] = True
        if self.content is not None:
            line["content"] = self.content
        return line


def accept_id(wish: str | None) -> str:
    """The id that a client asked for where it is harmless, else a new one."""
    return wish if wish and _ID.fullmatch(wish) else uuid.uuid4().hex
