# SPDX-License-Identifier: Apache-2.0
"""From runs to figures: the median of the runs at each level, with their spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

#: What tells one level from another.
LEVEL = ("server", "target", "loop", "concurrency", "rate", "input_tokens", "output_tokens")

#: Added over the runs, where everything else is a median.
ADDED = frozenset({"completed", "failed"})


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The value that `percent` of all are at or below, interpolated as numpy does; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summarise(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a level, in the order of their first run.

    Figures are medians of the runs; `completed` and `failed` are sums; `runs` says how many,
    `spread` is (largest - smallest) / median of the output throughput.
    """
    levels: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        levels.setdefault(tuple(row.get(name) for name in LEVEL), []).append(row)
    return [_median(dict(zip(LEVEL, key, strict=True)), runs) for key, runs in levels.items()]


def _median(level: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name in runs[0]:
        values = [run[name] for run in runs if isinstance(run.get(name), int | float)]
        if name in LEVEL or name == "run" or not values:
            continue
        figures[name] = sum(values) if name in ADDED else statistics.median(values)
    speeds = [run["output_throughput"] for run in runs]
    middle = statistics.median(speeds)
    spread = (max(speeds) - min(speeds)) / middle if middle else 0.0
    return level | {"runs": len(runs), "spread": spread} | figures


def ratios(
    rows: Sequence[dict[str, Any]], baseline: str, figure: str = "output_throughput"
) -> list[dict[str, Any]]:
    """How each level of each server compares with the baseline's at the same concurrency.

    The baseline's row with the same target counts, else its best: /generate has none at vLLM's.
    """
    found = []
    for row in rows:
        if row["server"] == baseline or figure not in row:
            continue
        same = [
            other
            for other in rows
            if other["server"] == baseline
            and figure in other
            and all(
                other[k] == row[k]
                for k in ("loop", "concurrency", "rate", "input_tokens", "output_tokens")
            )
        ]
        if not same:
            continue
        twin = [other for other in same if other["target"] == row["target"]]
        other = twin[0] if twin else max(same, key=lambda each: float(each[figure]))
        if other[figure]:
            found.append(
                {name: row[name] for name in LEVEL}
                | {
                    "baseline": baseline,
                    "baseline_target": other["target"],
                    "ratio": row[figure] / other[figure],
                }
            )
    return found
