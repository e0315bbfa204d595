# SPDX-License-Identifier: Apache-2.0
"""How long nobody has used the model; only the event loop reads and writes it."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import Scope

#: How this collection's own probe names itself (User-Agent): it asks, and nobody waits for it.
PROBE_AGENT = "gce-vllm-probe"
#: A load balancer may ask it by POST.
_PINGS = frozenset({"/ping"})
#: An answer that is made in the background is fetched from here, piece by piece.
_BACKGROUND = "/v1/responses/"


def is_use(scope: Scope, agent: str | None) -> bool:
    """Whether a request that was let in uses the model, and does not just ask for its state."""
    if (agent or "").startswith(PROBE_AGENT):
        return False
    path = scope["path"]
    works = scope["type"] == "websocket" or scope["method"] == "POST"
    return (works and path not in _PINGS) or path.startswith(_BACKGROUND)


class Idle:
    """The moment of the last use; while one goes on, it is now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running = 0
        self._last = clock()

    def begin(self) -> None:
        """A use begins."""
        self._running += 1

    def end(self) -> None:
        """It has ended, however it went."""
        self._running -= 1
        self.touch()

    def touch(self) -> None:
        """It is used at this moment."""
        self._last = self._clock()

    def seconds(self) -> float:
        """Since the last use."""
        return 0.0 if self._running else self._clock() - self._last
