# SPDX-License-Identifier: Apache-2.0
"""One at a time for each key, and few at a time for all."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator


class FullError(Exception):
    """Too many requests of one key wait already."""


class Turns:
    """Hands out turns: who has many requests waits for his own, not others for him."""

    def __init__(self, at_once: int, waiting: int) -> None:
        """`at_once` is how many have a turn; of each key so many may wait or have theirs."""
        self.most = waiting
        self._all = asyncio.Semaphore(at_once)
        self._locks: dict[str, asyncio.Lock] = {}
        self._here: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many wait or have their turn."""
        return self._here.total()

    @contextlib.asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Waits for it, and has it.

        Raises:
            FullError: too many of this key wait.
        """
        if self._here[key] >= self.most:
            raise FullError
        self._here[key] += 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()), self._all:
                yield
        finally:
            self._here[key] -= 1
            if not self._here[key]:
                del self._here[key]
                self._locks.pop(key, None)
