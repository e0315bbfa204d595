# SPDX-License-Identifier: Apache-2.0
"""The load of several processes: how it is parted, and how their figures become one."""

from __future__ import annotations

from typing import Any

import pytest
from llm_benchmark.crew import merged, split
from llm_benchmark.load import Level, Load, NothingAnsweredError, figures_of


@pytest.mark.parametrize(
    ("level", "parts"),
    [
        ("256:512", [("64:128")] * 4),
        ("130:514", ["33:129", "33:129", "32:128", "32:128"]),
        ("32:96", ["16:48", "16:48"]),
        ("31:96", ["31:96"]),
        ("1:2", ["1:2"]),
        ("64:3", ["22:1", "21:1", "21:1"]),
    ],
)
def test_a_closed_level_is_parted_without_loss(level: str, parts: list[str]) -> None:
    assert split(Level.closed(level), 4) == [Level.closed(part) for part in parts]


def test_a_rate_is_parted_too() -> None:
    assert split(Level.open("10:100"), 4) == [Level(25, None, 2.5)] * 4


def result(start: float, ttfts: list[float], errors: list[str] | None = None) -> dict[str, Any]:
    return {
        "completed": sum(ttft > 0 for ttft in ttfts),
        "failed": sum(ttft == 0 for ttft in ttfts),
        "total_input_tokens": 10,
        "total_output_tokens": 3 * len(ttfts),
        "start_times": [start] * len(ttfts),
        "ttfts": ttfts,
        "itls": [[0.1, 0.3] if ttft else [] for ttft in ttfts],
        "errors": errors or [""] * len(ttfts),
    }


def test_figures_of_all_requests_together() -> None:
    whole = merged([result(100.0, [0.6]), result(101.0, [0.8, 0.0], ["", "x\nValueError: no"])])
    figures, window = figures_of(Load("http://h", "m", "/t"), Level.closed("32:3"), whole)
    # From 100.0 to 101.0 + 0.8 + 0.4.
    assert window == pytest.approx((100.0, 102.2))
    assert figures["completed"] == 2 and figures["failed"] == 1
    assert figures["output_throughput"] == pytest.approx(9 / 2.2)
    assert figures["p50_ttft_ms"] == pytest.approx(700)
    assert figures["p50_itl_ms"] == pytest.approx(200)
    assert figures["p50_e2el_ms"] == pytest.approx(1100)
    assert figures["errors"] == {"ValueError: no": 1}


def test_nothing_answered_is_said() -> None:
    with pytest.raises(NothingAnsweredError, match="none of 32 requests was answered: gone"):
        figures_of(
            Load("http://h", "m", "/t"),
            Level.closed("32:32"),
            merged([result(1.0, [0.0], ["gone"])]),
        )
