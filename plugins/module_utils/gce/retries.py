# SPDX-License-Identifier: Apache-2.0
"""When to send a request again: statuses, pauses and a deadline, for urllib3."""

from __future__ import annotations

import random
import re
import time
from typing import Any

try:
    from urllib3.exceptions import (
        MaxRetryError,
        NameResolutionError,
        NewConnectionError,
        ProxyError,
        ReadTimeoutError,
        SSLError,
    )
    from urllib3.util.retry import Retry
except ImportError:
    # It comes with requests; whoever logs in says what is missing before any of this is used.
    Retry = object  # type: ignore[assignment, misc]

RETRY_STATUSES = frozenset({429, 500, 502, 503, 504})
FIRST_PAUSE_S = 0.4
LONGEST_PAUSE_S = 20.0
# Retries of a connection that nobody takes: more patience would only delay the message.
UNTAKEN = 3


def _stays(error: BaseException) -> bool:
    """Whether it is a certificate that does not hold, or a proxy that lets nobody through."""
    if isinstance(error, ProxyError):
        refused = re.search(r"tunnel connection failed: (403|407)", str(error), re.IGNORECASE)
        return bool(refused) or _stays(error.original_error)
    return isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


class DeadlineRetry(Retry):
    """Exponential backoff with full jitter, which ends at a deadline instead of after a count.

    Every verb is retried: each POST, PATCH and DELETE carries a requestId, by which Google
    recognises the second copy of a request it has already accepted.
    """

    def __init__(self, *args: Any, deadline: float = float("inf"), **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.deadline = deadline
        # Asked for twice, to see whether it is still to be and to make it: by chance, but the same.
        self._chance = random.random()  # noqa: S311 - jitter, not a secret

    def new(self, **changes: Any) -> DeadlineRetry:
        """Copy, as urllib3 does after each attempt; the deadline goes along."""
        return super().new(deadline=self.deadline, **changes)

    def get_backoff_time(self) -> float:
        """Seconds to the next attempt."""
        failures = sum(1 for past in self.history if past.redirect_location is None)
        if failures == 0:
            return 0.0
        ceiling = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures - 1, 16))
        return float(ceiling / 2 * (1 + self._chance))

    def get_retry_after(self, response: Any) -> float | None:
        """Seconds that the server asks for, never beyond the deadline."""
        asked = super().get_retry_after(response)
        if asked is None:
            return None
        return max(0.0, min(float(asked), self.deadline - time.monotonic()))

    def _is_connection_error(self, err: Exception) -> bool:
        """Only what `connect` counts: a connection that timed out may be taken later."""
        if isinstance(err, ProxyError):
            err = err.original_error
        if isinstance(err, NameResolutionError):
            return True
        return isinstance(err, NewConnectionError) and "refused" in str(err).lower()

    def increment(self, *args: Any, **rest: Any) -> DeadlineRetry:
        """Count one failure; give up where the deadline has passed or time won't fix it."""
        pool = args[4] if len(args) > 4 else rest.get("_pool")
        url = args[1] if len(args) > 1 else rest.get("url")
        error = args[3] if len(args) > 3 else rest.get("error")
        following = super().increment(*args, **rest)
        late = time.monotonic() + following.get_backoff_time() > self.deadline
        if late or (error is not None and _stays(error)):
            raise MaxRetryError(pool, url or "", error)  # type: ignore[arg-type]
        return following


class Patience:
    """Pauses between attempts that urllib3 can't repeat itself, up to the same deadline.

    Args:
        tries: attempts in all, for what time is not likely to fix; None for no such limit.
    """

    def __init__(self, deadline: float, tries: int | None = None) -> None:
        self.deadline = deadline
        self.tries = float("inf") if tries is None else tries
        self._ceiling = 2 * FIRST_PAUSE_S

    def pause(self) -> bool:
        """Wait for the next attempt; False, at once, where there is to be none."""
        seconds = self._ceiling / 2 + random.uniform(0, self._ceiling / 2)  # noqa: S311 - jitter
        self.tries -= 1
        if self.tries <= 0 or time.monotonic() + seconds > self.deadline:
            return False
        time.sleep(seconds)
        self._ceiling = min(LONGEST_PAUSE_S, 2 * self._ceiling)
        return True


def cut_short(error: BaseException) -> bool:
    """Whether an answer began and then broke off: urllib3 hands it over before it is whole."""
    from requests import exceptions  # noqa: PLC0415

    cause: BaseException | None = error
    while cause is not None:
        # A connection that failed before there was an answer is urllib3's to repeat.
        if isinstance(cause, exceptions.ChunkedEncodingError):
            return True
        inner = cause.args[0] if cause.args else None
        if isinstance(cause, exceptions.ConnectionError) and isinstance(inner, ReadTimeoutError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def retry_policy(deadline: float) -> DeadlineRetry:
    """The policy for one run: until the deadline.

    Only a connection that is refused, or whose name is not known, is given up after under two
    seconds: nothing listens there.
    """
    return DeadlineRetry(
        total=None,
        connect=UNTAKEN,
        redirect=3,
        status_forcelist=RETRY_STATUSES,
        allowed_methods=None,
        raise_on_status=False,
        respect_retry_after_header=True,
        deadline=deadline,
    )
