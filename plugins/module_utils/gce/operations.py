# SPDX-License-Identifier: Apache-2.0
"""Waiting: a predicate and a clock. A timeout says what was last seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import ApiError, OperationError, WaitTimeoutError
from . import error_kinds, naming
from .client import GceClient

T = TypeVar("T")


@dataclass(frozen=True)
class Clock:
    """Where time comes from; tests bring their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def wait_until(
    poll: Callable[[], T],
    done: Callable[[T], bool],
    *,
    seconds: float,
    what: str,
    describe: Callable[[T], str],
    clock: Clock = Clock(),
    pause: float = 0.5,
    longest_pause: float = 5.0,
) -> T:
    """Call `poll` until `done` says so; pauses grow by half each time.

    Raises:
        WaitTimeoutError: after `seconds`, with `describe` of the last state seen.
    """
    end = clock.now() + seconds
    while True:
        state = poll()
        if done(state):
            return state
        left = end - clock.now()
        if left <= 0:
            raise WaitTimeoutError(
                f"Waited {seconds:.0f} s for {what}; the last state seen was {describe(state)}.",
                reason="timeout",
                remedy="run again, which goes on from there, or raise timeout.",
            )
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, longest_pause)


def finish(
    client: GceClient, operation: dict[str, Any], what: str, clock: Clock = Clock()
) -> dict[str, Any]:
    """Wait for an operation to end and return it.

    Raises:
        OperationError: it ended with an error; carries Google's reason, all messages and details.
        WaitTimeoutError: the run's deadline came first.
    """
    path = naming.relative(operation["selfLink"])
    seen = [operation]

    def poll() -> dict[str, Any]:
        # The first look costs nothing: some operations are done when they are answered.
        if seen[0].get("status") != "DONE":
            seen[0] = client.hold(f"{path}/wait", f"wait for: {what}")
        return seen[0]

    ended = operation
    if operation.get("status") != "DONE":
        ended = wait_until(
            poll,
            lambda state: state.get("status") == "DONE",
            seconds=client.seconds_left(),
            what=f"Google Cloud to {what}",
            describe=lambda state: f"{state.get('status')}, {state.get('progress', 0)} % done",
            clock=clock,
        )
    _raise_for(ended, what, client.project)
    return ended


def remove(client: GceClient, path: str, what: str) -> None:
    """Delete a resource and wait until it is gone; one that went meanwhile is gone as well.

    A deletion that an earlier, killed run began may end between the read and the request.
    """
    try:
        finish(client, client.delete(path, what), what)
    except ApiError as error:
        if error.status != 404 or error.details.get("missing") != path:
            raise
    except OperationError as error:
        if error.reason != "RESOURCE_NOT_FOUND":
            raise


def _raise_for(operation: dict[str, Any], what: str, project: str) -> None:
    errors = (operation.get("error") or {}).get("errors") or []
    if not errors:
        return
    code = errors[0].get("code", "unknown")
    status = operation.get("httpErrorStatusCode", 0)
    texts = "; ".join(str(one.get("message") or one.get("code")).rstrip(".") for one in errors)
    found = error_kinds.meaning(error_kinds.of_operation(status, errors), project)
    raise OperationError(
        f"Could not {what}: {texts} ({code}).",
        reason=found.reason,
        remedy=found.remedy,
        status=status,
        details={**found.details, "operation_errors": errors},
    )
