# SPDX-License-Identifier: Apache-2.0
"""What a plan does not know, and to which side it may be wrong for it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Unknown:
    """One thing that is not counted.

    Attributes:
        text: for people.
        adds: whether it may take memory that is not counted, so that nothing may be called fitting.
        frees: whether too much may be counted, so that it may fit where the count does not.
    """

    text: str
    adds: bool = True
    frees: bool = True


def texts(unknown: Iterable[Unknown]) -> list[str]:
    """Each thing once, in order."""
    return list(dict.fromkeys(one.text for one in unknown))


def decides(unknown: Iterable[Unknown], fits: bool) -> list[str]:
    """What may turn an answer around."""
    return texts(one for one in unknown if (one.adds if fits else one.frees))
