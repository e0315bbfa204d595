# SPDX-License-Identifier: Apache-2.0
"""Whether the engine works: it is asked, and what it reports of itself is looked at.

Never by what its client still waits for: that keeps requests which the engine never got, and
some that wait for what is no business of the engine's, such as a grammar.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

logger = logging.getLogger("llm_server.progress")

#: The longest time between two looks that counts. What is longer was this server's own: its loop
#: was held up, or all of the machine, and an answer may lie there unread.
LONGEST_LOOK_S = 3.0


@dataclass(frozen=True)
class Stall:
    """For how long the engine has done nothing, and how that is known."""

    seconds: float = 0.0
    evidence: str = ""

    def __str__(self) -> str:
        """For people."""
        return f"{self.evidence} for {self.seconds:.0f} s"


class Progress:
    """Evidence for and against an engine that stands still."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked = clock()
        self._seen = False
        self._question: asyncio.Future[bool] | None = None
        self._silent = self._held = 0.0
        self._paused = False
        #: Asks the engine whether it is paused; one that stands still does not answer.
        self.ask: Callable[[], Awaitable[bool]] | None = None
        #: Whether the engine has reported since the last look that some wait and none runs.
        self.holds: Callable[[], bool] = lambda: False

    def seen(self) -> None:
        """The engine did something."""
        self._seen = True

    def look(self) -> Stall:
        """What is known now; called about once a second."""
        now = self._clock()
        passed = min(now - self._looked, LONGEST_LOOK_S)
        self._looked = now
        seen, self._seen = self._seen, False
        holds = self.holds()
        unanswered = self._unanswered()
        self._silent = self._silent + passed if unanswered and not seen else 0.0
        self._held = self._held + passed if holds and not seen and not self._paused else 0.0
        if self._silent >= self._held:
            return Stall(self._silent, "the engine has not answered")
        return Stall(self._held, "the engine has let requests wait and worked at none")

    def _unanswered(self) -> bool:
        """Whether the question of before is still open; asks the next one where it is not."""
        question = self._question
        if question is not None:
            if not question.done():
                return True
            # An error is an answer too: what ends an engine is seen elsewhere.
            failed = question.cancelled() or question.exception() is not None
            self._paused = False if failed else question.result()
        self._question = None if self.ask is None else asyncio.ensure_future(self.ask())
        return False

    def close(self) -> None:
        """Asks no more."""
        self.ask = None
        if self._question is not None:
            self._question.cancel()
