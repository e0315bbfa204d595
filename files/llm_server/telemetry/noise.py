# SPDX-License-Identifier: Apache-2.0
"""Requests of strangers: the first of a minute are logged one by one, the rest as a number."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from ..reasons import Reason

logger = logging.getLogger("llm_server.edge")

#: What needs no key, such as the page.
OPEN = "open"
#: Why a request is a stranger's.
STRANGERS: frozenset[Reason | None] = frozenset(
    ("no_key", "wrong_key", "wrong_scheme", "several_keys", "expired_key", "not_http")
)
#: Lines a minute of each kind.
LOGGED = 20
WINDOW_S = 60.0
#: Addresses that are told apart in a minute, and those of them that are named.
ADDRESSES, NAMED = 1000, 10


class Noise:
    """Counts what is not logged, and says it once a minute."""

    def __init__(self, logged: int = LOGGED, window_s: float = WINDOW_S) -> None:
        self._most = logged
        self._window_s = window_s
        self._logged: Counter[str] = Counter()
        self._rest: dict[str, Counter[str]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def is_logged(self, kind: str, client: str | None) -> bool:
        """Whether this one has a line of its own; call it in the event loop.

        Args:
            kind: why it is a stranger's: one of `STRANGERS`, or `OPEN`.
            client: the address that it came from.
        """
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._window_s, self.say)
        self._logged[kind] += 1
        if self._logged[kind] <= self._most:
            return True
        addresses = self._rest.setdefault(kind, Counter())
        known = client in addresses or len(addresses) < ADDRESSES
        addresses[client or "?" if known else "others"] += 1
        return False

    def say(self) -> None:
        """Ends the minute."""
        if self._timer is not None:
            self._timer.cancel()
        for kind, addresses in self._rest.items():
            named = dict(addresses.most_common(NAMED))
            rest = addresses.total() - sum(named.values())
            told = ", ".join(f"{address} ({number})" for address, number in named.items())
            logger.warning(
                "%d more requests of strangers (%s) within %.0f s, from %s%s",
                addresses.total(),
                kind,
                self._window_s,
                told,
                f" and others ({rest})" if rest else "",
            )
        self._logged.clear()
        self._rest.clear()
        self._timer = None
