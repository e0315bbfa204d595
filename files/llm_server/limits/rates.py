# SPDX-License-Identifier: Apache-2.0
"""Token buckets: how much a key may ask in a minute."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ..reasons import Reason

MINUTE_S = 60.0


class Bucket:
    """Holds a minute's worth and refills evenly; what is known too late may overdraw it."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._level = float(per_minute)
        self._at = clock()

    def _refill(self) -> None:
        now = self._clock()
        gained = (now - self._at) * self.per_minute / MINUTE_S
        self._level, self._at = min(self._level + gained, self.per_minute), now

    def wait(self, amount: float) -> float:
        """Seconds until `amount` is there; 0 is now."""
        self._refill()
        return max(0.0, (amount - self._level) * MINUTE_S / self.per_minute)

    def left(self) -> float:
        """What is there; below 0 where it was overdrawn."""
        self._refill()
        return self._level

    def take(self, amount: float) -> None:
        """Takes out, also more than there is."""
        self._refill()
        self._level -= amount


class KeyRates:
    """Requests and tokens of one key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._requests: Bucket | None = None
        self._tokens: Bucket | None = None
        self._reserved = 0

    def bound(self, requests: int | None, tokens: int | None) -> None:
        """Sets the bounds for a minute; a bound that stays keeps what is used up."""
        self._requests = self._renew(self._requests, requests)
        self._tokens = self._renew(self._tokens, tokens)

    def _renew(self, bucket: Bucket | None, per_minute: int | None) -> Bucket | None:
        if per_minute is None:
            return None
        same = bucket is not None and bucket.per_minute == per_minute
        return bucket if same else Bucket(per_minute, self._clock)

    def admit(self) -> int:
        """Counts one request; returns 0, or the whole seconds to wait where it is one too many.

        A request is let in while any token is left that nobody has set aside.
        """
        requests = 0.0 if self._requests is None else self._requests.wait(1)
        seconds = math.ceil(max(requests, self._token_wait()))
        if not seconds and self._requests is not None:
            self._requests.take(1)
        return seconds

    def scarcer(self) -> Reason:
        """Which of the two a request has to wait for the longest."""
        requests = 0.0 if self._requests is None else self._requests.wait(1)
        return "rate_tokens" if self._token_wait() > requests else "rate_requests"

    def headers(self) -> dict[str, str]:
        """What is left, as headers of an answer: with the names and forms of the OpenAI API."""
        made: dict[str, str] = {}
        for unit, bucket, aside in (
            ("requests", self._requests, 0),
            ("tokens", self._tokens, self._reserved),
        ):
            if bucket is not None:
                full = bucket.wait(bucket.per_minute + aside)
                values = {
                    "limit": str(bucket.per_minute),
                    "remaining": str(max(0, math.floor(bucket.left() - aside))),
                    "reset": _duration(full),
                }
                made |= {f"x-ratelimit-{name}-{unit}": value for name, value in values.items()}
        return made

    def _token_wait(self) -> float:
        if self._tokens is None:
            return 0.0
        # What is set aside may come back at any time: no longer than a minute for that.
        return max(self._tokens.wait(1), min(self._tokens.wait(1 + self._reserved), MINUTE_S))

    def reserve(self, tokens: int, *, more: bool = False) -> int:
        """Sets tokens aside that a request may use; returns 0, or the seconds to wait instead.

        Args:
            tokens: the prompt's, and as many as the answer may have.
            more: it belongs to a request that was let in already.
        """
        seconds = 0 if more else math.ceil(self._token_wait())
        if not seconds:
            self._reserved += tokens
        return seconds

    def settle(self, reserved: int, tokens: int) -> None:
        """Counts what a request has used, and gives back what was set aside for it."""
        self._reserved -= reserved
        self.spend(tokens)

    def spend(self, tokens: int) -> None:
        """Counts the tokens of a request that has ended."""
        if self._tokens is not None:
            self._tokens.take(tokens)


def _duration(seconds: float) -> str:
    """As `20ms`, `1.5s` or `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), MINUTE_S)
    tail = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes:.0f}m{tail}" if minutes else tail
