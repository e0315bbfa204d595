# SPDX-License-Identifier: Apache-2.0
"""How many tokens a key may use on a day or in a month, of UTC."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ..reasons import Reason

Period = Literal["day", "month"]
#: Where requests that run have set aside what is left: some of it may come back soon.
ASIDE_S = 10
#: The word that clients of the OpenAI API know for what does not help to ask again for.
USED_UP = "insufficient_quota"


@dataclass(frozen=True)
class Over:
    """Why a key has to wait, and until when."""

    period: Period
    bound: int
    #: When the next day or month begins.
    resets: datetime
    #: Whole seconds to wait.
    seconds: int
    #: Whether some is left, but set aside for requests that run.
    aside: bool = False

    @property
    def reason(self) -> Reason:
        """The word for it."""
        return "budget_day" if self.period == "day" else "budget_month"

    def message(self, key: str) -> str:
        """What its client is told."""
        budget = f"the {self.bound} tokens that it has for a {self.period} (UTC)"
        if self.aside:
            return (
                f"The key {key} has requests running that may use all that is left of {budget};"
                f" try again in {self.seconds} s."
            )
        return (
            f"The key {key} has used up {budget}. The next {self.period} begins at"
            f" {self.resets:%Y-%m-%dT%H:%M:%SZ}, in {self.seconds} s."
        )

    def answer(self) -> dict[str, Any]:
        """What else belongs to the answer: fields of the error, and headers."""
        headers = {"Retry-After": str(self.seconds)}
        if self.aside:
            return {"headers": headers}
        # Clients of OpenAI and Anthropic would ask twice more within seconds.
        headers["x-should-retry"] = "false"
        return {"kind": USED_UP, "code": USED_UP, "headers": headers}


class KeyBudget:
    """The budgets of one key, and what requests that run have set aside."""

    def __init__(
        self, spent: Callable[[], tuple[int, int]], clock: Callable[[], float] = time.time
    ) -> None:
        """`spent` says what requests that have ended used, today and in this month."""
        self._spent = spent
        self._clock = clock
        self._bounds: dict[Period, int] = {}
        self._aside = 0

    def bound(self, day: int | None, month: int | None) -> None:
        """Sets the budgets; None is no bound."""
        given: tuple[tuple[Period, int | None], ...] = (("day", day), ("month", month))
        self._bounds = {period: bound for period, bound in given if bound is not None}

    def over(self) -> Over | None:
        """Why a request has to wait; None while a token is left that nobody has set aside."""
        if not self._bounds:
            return None
        spent = dict(zip(("day", "month"), self._spent(), strict=True))
        used_up = [period for period, most in self._bounds.items() if spent[period] >= most]
        if used_up:
            # Of both the month, which ends with a day.
            return self._over(used_up[-1])
        for period, most in self._bounds.items():
            if spent[period] + self._aside >= most:
                return self._over(period, aside=True)
        return None

    def _over(self, period: Period, *, aside: bool = False) -> Over:
        now = datetime.fromtimestamp(self._clock(), UTC)
        resets = ends(period, now)
        seconds = max(1, math.ceil((resets - now).total_seconds()))
        seconds = min(seconds, ASIDE_S) if aside else seconds
        return Over(period, self._bounds[period], resets, seconds, aside)

    def reserve(self, tokens: int, *, more: bool = False) -> Over | None:
        """Sets tokens aside that a request may use, or says why it has to wait.

        Args:
            tokens: the prompt's, and as many as the answer may have.
            more: it belongs to a request that was let in already.
        """
        over = None if more else self.over()
        if over is None:
            self._aside += tokens
        return over

    def release(self, tokens: int) -> None:
        """Gives back what was set aside; what was used of it has been counted."""
        self._aside -= tokens

    def levels(self) -> dict[Period, tuple[int, int]]:
        """Of each budget what is used and what there is."""
        if not self._bounds:
            return {}
        day, month = self._spent()
        return {p: (day if p == "day" else month, most) for p, most in self._bounds.items()}


def ends(period: Period, now: datetime) -> datetime:
    """When the day or the month of a moment ends."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return day + timedelta(days=1)
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
