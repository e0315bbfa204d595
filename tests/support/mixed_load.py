# SPDX-License-Identifier: Apache-2.0
"""Requests of every kind that people send, and threads that keep sending them."""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.server_fixture import KEY, MODEL_NAME

PROMPT = "Count: 1, 2, 3,"
MESSAGES = [{"role": "user", "content": PROMPT}]


@dataclass(frozen=True)
class Kind:
    """One way to ask; `size` is the field that bounds the answer's tokens."""

    name: str
    path: str
    body: dict[str, Any]
    size: str = "max_tokens"
    #: What the end of a stream looks like; None where the answer comes whole.
    end: str | None = None

    def request(self, tokens: int) -> dict[str, Any]:
        """The body; it asks for so many tokens, and texts that all differ."""
        sampling = {"temperature": 1.5, "top_p": 1}
        stream = {"stream": True} if self.end else {}
        return self.body | sampling | stream | {self.size: tokens}


def _kinds() -> list[Kind]:
    model = {"model": MODEL_NAME}
    ways: list[tuple[str, str, dict[str, Any], str, str]] = [
        ("generate", "/generate", {"prompt": PROMPT}, "max_tokens", "[DONE]"),
        ("completions", "/v1/completions", model | {"prompt": PROMPT}, "max_tokens", "[DONE]"),
        ("chat", "/v1/chat/completions", model | {"messages": MESSAGES}, "max_tokens", "[DONE]"),
        (
            *("responses", "/v1/responses", model | {"input": PROMPT}),
            *("max_output_tokens", "response.completed"),
        ),
        ("messages", "/v1/messages", model | {"messages": MESSAGES}, "max_tokens", "message_stop"),
    ]
    return [
        Kind(f"{name}{' streamed' if end else ''}", path, body, size, end)
        for name, path, body, size, last in ways
        for end in (None, last)
    ]


KINDS = _kinds()
#: The usual ones, whole and streamed.
USUAL = [kind for kind in KINDS if kind.name.split()[0] in ("generate", "completions", "chat")]


@dataclass(frozen=True)
class Outcome:
    """What came of a request; `status` 0: no answer; `whole`: it came to its end."""

    kind: str
    status: int
    whole: bool
    said: str


def ask(http: httpx.Client, kind: Kind, tokens: int) -> Outcome:
    """Sends one request and reads its answer to the end."""
    status = 0
    try:
        with http.stream("POST", kind.path, json=kind.request(tokens)) as answer:
            status = answer.status_code
            text = answer.read().decode()
    except httpx.TransportError as error:
        return Outcome(kind.name, status, False, repr(error))
    if status != 200:
        return Outcome(kind.name, status, False, text[:300])
    # As a field: a model may say the word.
    whole = kind.end in text[-2000:] and '"error":' not in text if kind.end else _is_json(text)
    return Outcome(kind.name, status, whole, text[-300:])


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def client(url: str) -> httpx.Client:
    """One with the usual key."""
    return httpx.Client(
        base_url=url, timeout=300, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False
    )


def all_at_once(url: str, number: int, tokens: int) -> tuple[list[Outcome], list[threading.Thread]]:
    """Begins so many requests of all usual kinds; the list fills as they end."""
    outcomes: list[Outcome] = []

    def one(kind: Kind) -> None:
        with client(url) as http:
            outcomes.append(ask(http, kind, tokens))

    kinds = itertools.islice(itertools.cycle(USUAL), number)
    threads = [threading.Thread(target=one, args=(kind,), daemon=True) for kind in kinds]
    for thread in threads:
        thread.start()
    return outcomes, threads


@dataclass
class Load:
    """A context in which so many threads ask one thing after the other."""

    url: str
    threads: int = 4
    tokens: int = 16
    outcomes: list[Outcome] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._kinds = itertools.cycle(USUAL)
        self._workers = [
            threading.Thread(target=self._work, daemon=True) for _ in range(self.threads)
        ]
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Asks no more; returns when what was asked is answered."""
        self._stop.set()
        for worker in self._workers:
            worker.join(330)

    def _work(self) -> None:
        with client(self.url) as http:
            while not self._stop.is_set():
                outcome = ask(http, next(self._kinds), self.tokens)
                self.outcomes.append(outcome)
                if not outcome.whole:
                    time.sleep(0.1)

    def answered(self) -> int:
        """How many were answered to the end so far."""
        return sum(outcome.whole for outcome in self.outcomes)

    def wait_for(self, more: int, timeout: float = 600) -> None:
        """Until so many more were answered."""
        wanted, deadline = self.answered() + more, time.monotonic() + timeout
        while self.answered() < wanted:
            assert time.monotonic() < deadline, self.outcomes[-5:]
            time.sleep(0.05)
