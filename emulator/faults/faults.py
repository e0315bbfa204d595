# SPDX-License-Identifier: Apache-2.0
"""The fault rules in force: which of them fire for a request or an operation."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

from emulator.errors import ApiError, Json
from emulator.faults.rules import Asked, Rule


class OperationFaultError(Exception):
    """A rule wants the operation that is being begun to fail; its request is then undone."""

    def __init__(self, kind: str, target: str, target_id: str | None, failure: ApiError) -> None:
        super().__init__(kind)
        self.kind = kind
        self.target = target
        self.target_id = target_id
        self.failure = failure


class Faults:
    """Rules of one emulator; kept in memory, so that a restart is free of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._chance = random.Random(0)  # noqa: S311 - reproducible on purpose

    def set(self, rules: Sequence[Rule], seed: int) -> None:
        """Replaces all rules; the same seed and requests give the same faults again."""
        with self._lock:
            self._rules = list(rules)
            self._chance = random.Random(seed)  # noqa: S311 - reproducible on purpose

    def shown(self) -> list[Json]:
        """The rules with their counts."""
        with self._lock:
            return [rule.shown() for rule in self._rules]

    def request(self, method: str, path: str) -> Json | None:
        """Effect of the first rule that fires for a request; None where all let it pass."""
        with self._lock:
            rule = self._first(Asked(method, path), of_operations=False)
        return rule.effect if rule else None

    def operation(self, kind: str, target: str) -> ApiError | None:
        """Error that an operation is to end with; None for its own outcome."""
        with self._lock:
            rule = self._first(Asked("", target, kind, target), of_operations=True)
        return rule.failure() if rule else None

    def _first(self, asked: Asked, *, of_operations: bool) -> Rule | None:
        for rule in self._rules:
            if rule.of_operations != of_operations or not rule.matches(asked):
                continue
            rule.matched += 1
            if rule.matched <= rule.skip or rule.fired == rule.count:
                continue
            if rule.share < 1 and self._chance.random() >= rule.share:
                continue
            rule.fired += 1
            return rule
        return None
