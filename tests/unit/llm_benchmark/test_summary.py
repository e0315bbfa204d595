# SPDX-License-Identifier: Apache-2.0
"""From runs to figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from llm_benchmark.health import summarise as summarise_health
from llm_benchmark.load import Level, Load
from llm_benchmark.report import write
from llm_benchmark.summary import percentile, ratios, summarise


def row(server: str, target: str, throughput: float, run: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "server": server,
        "target": target,
        "loop": "closed",
        "concurrency": 8,
        "rate": None,
        "run": run,
        "input_tokens": 4,
        "output_tokens": 2,
        "completed": 8,
        "failed": 1,
        "output_throughput": throughput,
        "p50_e2el_ms": throughput / 10,
    } | more


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, None),
        ([7], 99, 7),
        ([1, 2, 3, 4], 50, 2.5),
        ([4, 1, 3, 2], 100, 4),
        ([0, 10], 95, 9.5),
    ],
)
def test_percentile(values: list[float], percent: float, expected: float | None) -> None:
    assert percentile(values, percent) == expected


def test_a_level_is_the_median_of_its_runs() -> None:
    runs = [row("a", "x", speed, number) for number, speed in enumerate((100.0, 400.0, 200.0), 1)]
    (level,) = summarise(runs)
    assert level["output_throughput"] == 200
    assert level["p50_e2el_ms"] == 20
    assert level["spread"] == 1.5
    assert (level["runs"], level["completed"], level["failed"]) == (3, 24, 3)


def test_levels_are_kept_apart() -> None:
    rows = [row("a", "x", 1), row("b", "x", 2), row("a", "y", 3), row("a", "x", 4, concurrency=9)]
    assert len(summarise(rows)) == 4


def test_ratio_to_the_same_target_else_to_the_best() -> None:
    rows = summarise(
        [row("base", "x", 100), row("base", "y", 200), row("ours", "x", 110), row("ours", "z", 150)]
    )
    found = {r["target"]: (r["baseline_target"], r["ratio"]) for r in ratios(rows, "base")}
    assert found == {"x": ("x", pytest.approx(1.1)), "z": ("y", 0.75)}


def test_no_ratio_where_the_baseline_has_no_such_level() -> None:
    assert ratios([row("base", "x", 1), row("ours", "x", 1, concurrency=9)], "base") == []


def test_health_samples() -> None:
    found = summarise_health([(0.0, 0.001, 503), (0.1, 0.003, 200), (0.2, 0.002, 200)])
    assert found["statuses"] == {"503": 1, "200": 2}
    assert found["p50_ms"] == pytest.approx(2)
    assert found["max_ms"] == pytest.approx(3)
    assert summarise_health([])["p99_ms"] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4:10", Level(10, concurrency=4)), ("1", Level(8, concurrency=1)), ("16", Level(64, 16))],
)
def test_closed_levels(text: str, expected: Level) -> None:
    assert Level.closed(text) == expected


@pytest.mark.parametrize("text", ["0", "4:0", "x", "-1"])
def test_closed_levels_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Level.closed(text)


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "x"])
def test_open_levels_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Level.open(text)


def test_the_tool_is_told_the_level() -> None:
    load = Load("http://h", "m", "/t", "generate")
    closed = load.words(Level.closed("4:10"), 7)
    assert {"--endpoint=/generate", "--max-concurrency=4", "--num-prompts=10"} <= set(closed)
    assert "--seed=7" in closed
    opened = load.words(Level.open("2.5:10"), 7)
    assert "--request-rate=2.5" in opened
    assert not [word for word in opened if word.startswith("--max-concurrency")]


def test_the_report(tmp_path: Path) -> None:
    document = {
        "environment": {"vllm": "0.1", "gpus": []},
        "rows": [row("base", "x", 100), row("ours", "x", 250, p50_ttft_ms=12.34)],
        "starts": [{"server": "ours", "seconds": 12.5, "cache": "warm"}],
    }
    summary, page = write([document], tmp_path, "A title", "base")
    assert json.loads(summary.read_text())["ratios"][0]["ratio"] == 2.5
    text = page.read_text()
    assert "| ours | x | 8 at once | 1 | 250 | 12.3 |" in text
    assert "| ours | x | 8 at once | x | 2.50 |" in text
    assert "| ours | warm | 12.5 |" in text
