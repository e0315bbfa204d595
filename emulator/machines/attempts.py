# SPDX-License-Identifier: Apache-2.0
"""Tries once more what a mirror, or somebody else at apt, made fail for a moment."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

Made = TypeVar("Made")


def several(
    make: Callable[[], Made], *, pauses_s: Sequence[float], failure: type[Exception]
) -> Made:
    """Return what `make` returns at the first attempt that does not raise `failure`.

    Args:
        pauses_s: seconds between the attempts, of which there is one more. Before each pause
            standard error says what failed.

    Raises:
        failure: that of the last attempt.
    """
    for pause in pauses_s:
        try:
            return make()
        except failure as error:
            sys.stderr.write(f"{error}\nAgain in {pause} s\n")
            sys.stderr.flush()
            time.sleep(pause)
    return make()
