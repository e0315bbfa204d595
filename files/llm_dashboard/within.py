# SPDX-License-Identifier: Apache-2.0
"""The share of a histogram's observations below a bound. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .prometheus import Series


def share_within(buckets: Iterable[Series], bound: float) -> Series:
    """The share at each moment, linear between two buckets as in Prometheus' own quantiles.

    Args:
        buckets: series with the label `le`, cumulative.
        bound: in the histogram's unit.
    """
    at: dict[float, list[tuple[float, float]]] = {}
    for one in buckets:
        edge = float(one.labels["le"])
        for moment, value in one.points:
            at.setdefault(moment, []).append((edge, value))
    points = ((moment, _share(sorted(pairs), bound)) for moment, pairs in sorted(at.items()))
    return Series({}, tuple((moment, share) for moment, share in points if share is not None))


def _share(pairs: list[tuple[float, float]], bound: float) -> float | None:
    total = pairs[-1][1]
    if not math.isinf(pairs[-1][0]) or total <= 0:
        return None
    below_edge, below = 0.0, 0.0
    for edge, value in pairs:
        if edge >= bound:
            # Of the last bucket nobody knows how far it goes.
            part = 0.0 if math.isinf(edge) else (bound - below_edge) / (edge - below_edge)
            return (below + part * (value - below)) / total
        below_edge, below = edge, value
    return None
