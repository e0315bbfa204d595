# SPDX-License-Identifier: Apache-2.0
"""What the model can do right now, and what /health says of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from starlette.types import ASGIApp

from .idle import Idle


class Phase(StrEnum):
    """The life of the server; the values are what /health shows as `status`."""

    LOADING = "loading"
    HEALTHY = "healthy"
    STUCK = "stuck"
    DRAINING = "draining"
    UNHEALTHY = "unhealthy"


class Step(StrEnum):
    """The steps of a start, in their order."""

    BEGIN = "begin"
    IMPORT = "import"
    CONFIGURATION = "configuration"
    ENGINE = "engine"
    API = "api"
    FIRST_TOKEN = "first_token"  # noqa: S105 - no password
    WARM_UP = "warm_up"


_NEXT = {
    Phase.LOADING: {Phase.HEALTHY, Phase.DRAINING, Phase.UNHEALTHY},
    Phase.HEALTHY: {Phase.STUCK, Phase.DRAINING, Phase.UNHEALTHY},
    Phase.STUCK: {Phase.HEALTHY, Phase.DRAINING, Phase.UNHEALTHY},
    Phase.DRAINING: {Phase.UNHEALTHY},
    Phase.UNHEALTHY: set[Phase](),
}
_LOADED = (Phase.HEALTHY, Phase.STUCK, Phase.DRAINING)


class ServerState:
    """Holds the phase, the step of loading, the model's app and the requests in flight."""

    def __init__(self, model: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.model = model
        self.phase = Phase.LOADING
        self.detail = "starting"
        self.app: ASGIApp | None = None
        self.in_flight = 0
        #: Asked at each health check: an engine that died is seen at once.
        self.engine_died: Callable[[], bool] = lambda: False
        self.idle = Idle(clock)
        #: Whether anything runs for somebody, also what goes on after its request was answered.
        self.busy: Callable[[], bool] = lambda: False
        #: Whether it lets nobody in because nobody came, and could go back.
        self.resting = False
        self._clock = clock
        self._since = self._ready_since = self._step_began = clock()
        self._step: Step | None = Step.BEGIN
        self._steps: dict[Step, float] = {}

    def move(self, phase: Phase, detail: str) -> None:
        """Changes the phase; a step that cannot be (back from unhealthy) is ignored.

        Raises:
            ValueError: healthy without an app to answer.
        """
        if phase is Phase.HEALTHY and self.app is None:
            raise ValueError("healthy needs an app")
        self.resting = False
        if phase in _NEXT[self.phase]:
            if self.phase is Phase.LOADING:
                self._end_step(None)
            self.phase = phase
            self.detail = detail
            self._since = self._clock()
            if phase is Phase.HEALTHY:
                self._ready_since = self._since

    def unused(self) -> float:
        """Seconds for which it could have been used and was not."""
        if self.phase is not Phase.HEALTHY and not self.resting:
            return 0.0
        if self.busy():
            self.idle.touch()
        return min(self.idle.seconds(), self._clock() - self._ready_since)

    def rest(self, seconds: float) -> bool:
        """Lets nobody in from now on, if it has not been used for so long; else nothing changes.

        Awaits nothing: what the event loop lets in, it has let in before or refuses afterwards.
        """
        if self.resting:
            return True
        if not self.can_answer or self.unused() < seconds:
            return False
        self.move(Phase.DRAINING, "nobody used it for a while: this machine is being switched off")
        self.resting = True
        return True

    def wake(self) -> bool:
        """Lets requests in again where it rests."""
        if not self.resting or self.engine_died():
            return False
        self.phase, self.detail, self.resting = Phase.HEALTHY, "ready", False
        self._since = self._ready_since = self._clock()
        return True

    def progress(self, detail: str) -> None:
        """Says what there is to say of a phase that goes on: loading, or being stuck."""
        if self.phase in (Phase.LOADING, Phase.STUCK):
            self.detail = detail

    def begin(self, step: Step) -> None:
        """A step of the start begins, and ends the one before."""
        if self.phase is Phase.LOADING:
            self._end_step(step)

    def _end_step(self, following: Step | None) -> None:
        self._steps = self.steps()
        self._step, self._step_began = following, self._clock()

    def steps(self) -> dict[Step, float]:
        """The seconds that each step of the start took, or has taken so far."""
        if self._step is None:
            return self._steps
        so_far = self._steps.get(self._step, 0.0) + self._clock() - self._step_began
        return {**self._steps, self._step: so_far}

    @property
    def can_answer(self) -> bool:
        """Whether a request may be passed to the model's app."""
        return self.phase is Phase.HEALTHY and not self.engine_died()

    def health(self) -> tuple[int, dict[str, Any]]:
        """The HTTP status and body of /health; `seconds` is the time in this phase."""
        if self.phase in _LOADED and self.engine_died():
            self.move(Phase.UNHEALTHY, "the engine's process ended")
        body: dict[str, Any] = {
            "status": str(self.phase),
            "model_loaded": self.phase in _LOADED,
            "model": self.model,
            "seconds": round(self._clock() - self._since, 1),
        }
        if self.phase is not Phase.HEALTHY:
            body["detail"] = self.detail
        return (200 if self.phase is Phase.HEALTHY else 503), body

    def live(self) -> tuple[int, dict[str, Any]]:
        """The same for /health/live: 503 only where a new start is the remedy."""
        _, body = self.health()
        return (503 if self.phase in (Phase.STUCK, Phase.UNHEALTHY) else 200), body
