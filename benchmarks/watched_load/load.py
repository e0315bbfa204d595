# SPDX-License-Identifier: Apache-2.0
"""Workers that ask as two teams do, streamed and whole, with mistakes; they count the answers."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from tests.demo.commands import TIMEOUT_S
from tests.demo.load import MODEL, NO_KEY

#: What these statuses are called in Prometheus: the server was asked, and refused.
REFUSED = frozenset({401, 403, 429, 503})
#: Seconds until a worker asks again, at least and at most.
PAUSE_S = (0.5, 2.0)
#: How much longer those wait who make mistakes.
RARELY = 3.0
_TOPICS = ("tides", "glaciers", "bread", "compilers", "violins", "harbours", "copper", "bees")


@dataclass(frozen=True)
class Ask:
    """One request: to which path, with whose key, and what."""

    path: str
    key: str
    body: Any = None


@dataclass
class MixedLoad:
    """A context in which the workers ask, one thing after the other each.

    Attributes:
        keys: the text of each key by its name; of NO_KEY one that opens nothing.
        counted: by key and what: requests, refused, wrong, prompt, generation, and HTTP statuses.
        unanswered: requests without an answer to the end, by the client's error.
    """

    endpoint: str
    keys: dict[str, str]
    first: str
    second: str
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        self._stop, self._lock = threading.Event(), threading.Lock()
        workers: list[tuple[Callable[[random.Random], Ask], float]] = [
            (lambda dice: generation(dice, self.first), 1.0),
            (lambda dice: generation(dice, self.first), 1.0),
            (lambda dice: generation(dice, self.second), 1.0),
            (self._mistake, RARELY),
        ]
        self._threads = [
            threading.Thread(target=self._work, args=(number, *worker), daemon=True)
            for number, worker in enumerate(workers)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def total(self, what: str) -> int:
        """That of all keys."""
        return sum(number for (_, word), number in self.counted.items() if word == what)

    def _mistake(self, dice: random.Random) -> Ask:
        """What is refused, or is no request at all."""
        wrong = {"model": MODEL, "prompt": "One", "max_tokens": -1}
        return dice.choice(
            [
                Ask("/v1/completions", self.first, wrong),
                Ask("/v1/completions", self.second, {"model": MODEL}),
                Ask("/v1/completions", NO_KEY, {"model": MODEL, "prompt": "One"}),
                Ask("/metrics", self.second),
            ]
        )

    def _work(self, number: int, chosen: Callable[[random.Random], Ask], slower: float) -> None:
        dice = random.Random(number)  # noqa: S311 - the same load each time
        with httpx.Client(base_url=self.endpoint, timeout=TIMEOUT_S, trust_env=False) as http:
            while not self._stop.is_set():
                self._send(http, chosen(dice))
                self._stop.wait(slower * dice.uniform(*PAUSE_S))

    def _send(self, http: httpx.Client, ask: Ask) -> None:
        headers = {"Authorization": f"Bearer {self.keys[ask.key]}"}
        method = "GET" if ask.body is None else "POST"
        try:
            answer = http.request(method, ask.path, json=ask.body, headers=headers)
        except httpx.TransportError as error:
            with self._lock:
                self.unanswered[type(error).__name__] += 1
            return
        usage = used(answer.text) if answer.status_code == 200 else {}
        with self._lock:
            self.counted[ask.key, "requests"] += 1
            self.counted[ask.key, str(answer.status_code)] += 1
            self.counted[ask.key, "refused"] += answer.status_code in REFUSED
            self.counted[ask.key, "wrong"] += answer.status_code == 400
            self.counted[ask.key, "prompt"] += usage.get("prompt_tokens", 0)
            self.counted[ask.key, "generation"] += usage.get("completion_tokens", 0)


def generation(dice: random.Random, key: str) -> Ask:
    """A chat or a completion, every other one streamed."""
    text = f"Tell me something about {dice.choice(_TOPICS)}, number {dice.randrange(10**6)}."
    body: dict[str, Any] = {"model": MODEL, "max_tokens": dice.randint(8, 48)}
    if dice.random() < 0.5:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if dice.random() < 0.5:
        return Ask("/v1/completions", key, body | {"prompt": text})
    return Ask(
        "/v1/chat/completions", key, body | {"messages": [{"role": "user", "content": text}]}
    )


def used(text: str) -> dict[str, int]:
    """The tokens that an answer says it took, whole or streamed."""
    found: dict[str, int] = {}
    for document in _documents(text):
        found = document.get("usage") or found
    return found


def _documents(text: str) -> Iterator[dict[str, Any]]:
    if not text.startswith("data:"):
        yield json.loads(text)
        return
    for line in text.splitlines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))
