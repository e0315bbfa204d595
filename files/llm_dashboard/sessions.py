# SPDX-License-Identifier: Apache-2.0
"""Who is logged in, and who tried too often. In memory: a restart logs everybody out."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable

from .keys import Key

#: A working day.
LIFE_S = 12 * 3600
MOST_SESSIONS = 1000
#: Wrong keys of one address in so many seconds; after a tunnel all are one address.
TRIES, TRIES_S = 10, 300
MOST_ADDRESSES = 1000


class Sessions:
    """Random tokens, of which only digests are kept."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[Key, float]] = OrderedDict()

    def begin(self, key: Key) -> str:
        """A token for who has this key."""
        token = secrets.token_urlsafe(32)
        self._known[_digest(token)] = (key, self._clock() + LIFE_S)
        while len(self._known) > MOST_SESSIONS:
            self._known.popitem(last=False)
        return token

    def holder(self, token: str | None, keys: Iterable[Key]) -> Key | None:
        """Whose token it is; None where it ended, or its key did."""
        key, end = self._known.get(_digest(token or ""), (None, 0.0))
        if key is None or self._clock() >= end:
            return None
        # Under the same name there may be another key by now.
        return next((one for one in keys if one.sha256 == key.sha256), None)

    def end(self, token: str | None) -> None:
        """Forgets it."""
        self._known.pop(_digest(token or ""), None)


class Tries:
    """Wrong keys by address."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Seconds until that address may try again."""
        recent = self._recent(address)
        if len(recent) < TRIES:
            return 0
        return max(1, math.ceil(recent[-TRIES] + TRIES_S - self._clock()))

    def wrong(self, address: str) -> None:
        """Notes a wrong key."""
        self._wrong[address] = [*self._recent(address), self._clock()][-TRIES:]
        self._wrong.move_to_end(address)
        while len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        now = self._clock()
        return [at for at in self._wrong.get(address, ()) if now - at < TRIES_S]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
