# SPDX-License-Identifier: Apache-2.0
"""A few requests of two keys and of nobody, which it counts itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.demo.commands import TIMEOUT_S
from tests.demo.watched import Used

MODEL = "SmolLM2-135M-Instruct"
#: How Prometheus names the key of a request that had none, or a wrong one.
NO_KEY = "none"
#: Requests until a budget has to be used up.
MOST = 30
_OF_NOBODY = "a-key-that-opens-nothing"


@dataclass
class Load:
    """Sends, and counts what was answered, in Prometheus' words.

    Attributes:
        keys: the text of each key by its name.
        counted: by key and outcome, direction of tokens, or reason.
        answered: ids of the requests that the model answered, by key.
    """

    endpoint: str
    keys: dict[str, str]
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    answered: dict[str, list[str]] = field(default_factory=dict)

    def generate(self, name: str) -> bool:
        """Ask the model; whether it answered, and did not refuse since the budget is used up."""
        body = {"model": MODEL, "prompt": "The capital of France is", "max_tokens": 8}
        answer = self._send("POST", "/v1/completions", self.keys[name], body)
        if answer.status_code == 429:
            self._refused(name, "budget_day")
            return False
        assert answer.status_code == 200, answer.text
        usage = answer.json()["usage"]
        self.counted[name, "ok"] += 1
        self.counted[name, "prompt"] += usage["prompt_tokens"]
        self.counted[name, "generation"] += usage["completion_tokens"]
        self.answered.setdefault(name, []).append(answer.headers["X-Request-Id"])
        return True

    def use_up(self, name: str) -> None:
        """Ask until its budget is used up."""
        assert any(not self.generate(name) for _ in range(MOST))

    def overreach(self, name: str) -> None:
        """Ask for what the key does not open."""
        assert self._send("GET", "/metrics", self.keys[name]).status_code == 403
        self._refused(name, "out_of_scope")

    def guess(self) -> None:
        """Ask with a key that nobody has."""
        assert self._send("GET", "/v1/models", _OF_NOBODY).status_code == 401
        self._refused(NO_KEY, "wrong_key")

    def used(self, name: str) -> Used:
        """All of it as the ledger has it."""
        of = {word: number for (key, word), number in self.counted.items() if key == name}
        refused = of.get("refused", 0)
        return Used(
            of.get("ok", 0) + refused, of.get("prompt", 0), of.get("generation", 0), refused
        )

    def reasons(self, name: str) -> dict[str, int]:
        """Why it was refused."""
        other = ("ok", "refused", "prompt", "generation")
        return {w: n for (key, w), n in self.counted.items() if key == name and w not in other}

    def _refused(self, name: str, reason: str) -> None:
        self.counted[name, "refused"] += 1
        self.counted[name, reason] += 1

    def _send(self, method: str, path: str, key: str, body: Any = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return requests.request(
            method, self.endpoint + path, json=body, headers=headers, timeout=TIMEOUT_S
        )
