# SPDX-License-Identifier: Apache-2.0
"""Tests whose usage is of today, or of this month."""

from __future__ import annotations

import time


def await_a_day_that_lasts(seconds: float = 300) -> None:
    """Waits for the next day, in UTC, where this one ends before a test on a busy machine does."""
    left = 86_400 - time.time() % 86_400
    if left < seconds:
        time.sleep(left + 1)
