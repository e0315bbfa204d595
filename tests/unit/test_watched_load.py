# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of the demo's dashboard counts, and when it says that a goal is missed."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from llm_dashboard.panels import GPU, SECTIONS
from llm_server.reasons import REASONS

from benchmarks.watched_load.goals import COUNTS, goals, text
from benchmarks.watched_load.load import generation, used
from benchmarks.watched_load.seen import REFUSALS, Times, increase

BEGAN, RENEWED = 100.0, 200.0
WHOLE = {"usage": {"prompt_tokens": 4, "completion_tokens": 2}}
STREAM = f'data: {{"choices": []}}\n\ndata: {json.dumps(WHOLE)}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    ("values", "renewed", "wanted"),
    [
        ([(90, 5), (110, 7), (190, 9)], math.inf, 4),
        ([(110, 3), (190, 4)], math.inf, 4),
        ([(90, 5), (190, 9), (210, 2), (300, 8)], RENEWED, 12),
        # The new process has counted more than the old one when it is first seen.
        ([(90, 1), (190, 2), (210, 3), (300, 4)], RENEWED, 5),
        ([(210, 3), (300, 4)], RENEWED, 4),
        # While it loads it counts by itself.
        ([(110, 30), (180, 4), (190, 9), (210, 1), (300, 12)], RENEWED, 51),
        ([(90, 5)], RENEWED, 0),
    ],
)
def test_a_counter_over_a_restart(
    values: list[tuple[float, float]], renewed: float, wanted: int
) -> None:
    assert increase(values, BEGAN, renewed) == wanted


def test_health_has_a_hole() -> None:
    times = Times(began=0, restarted=100, ready=150, ended=200)
    assert [times.healthy(at) for at in (0, 99, 100, 149, 150)] == [True, True, False, False, True]


@pytest.mark.parametrize("answer", [json.dumps(WHOLE), STREAM])
def test_usage_is_read(answer: str) -> None:
    assert used(answer) == WHOLE["usage"]


def test_it_asks_in_every_way() -> None:
    dice = random.Random(1)  # noqa: S311
    ways = {
        (one.path, bool(one.body.get("stream")))
        for one in (generation(dice, "a") for _ in range(99))
    }
    paths = ("/v1/completions", "/v1/chat/completions")
    assert ways == {(path, streamed) for path in paths for streamed in (False, True)}


def test_refusals_are_words_of_the_server() -> None:
    assert REFUSALS <= REASONS


def figures() -> dict[str, Any]:
    """Those of a run in which all is well."""
    drawn = [panel.id for section in SECTIONS if section is not GPU for panel in section.panels]
    sent = dict.fromkeys(COUNTS, 1000)
    return {
        "date": "2026-12-01",
        "minutes": 10.0,
        "restart_s": 20.0,
        "sent": sent,
        "prometheus": sent | {"requests": 981},
        "unanswered": {},
        "alerts": {"healthy": [], "restart": ["LLMServerDown"]},
        "under_load": {"paint_ms": {"desktop": 1500.0}, "console": [], "too_wide_px": {"phone": 0}},
        "page": {
            "bytes": 40_000,
            "paint_ms": [300.0, 400.0, 5000.0],
            "drawn": drawn,
            "remarks": [],
            "barriers": [],
            "console": [],
            "starts": 1,
        },
    }


def test_all_is_well() -> None:
    found = goals(figures())
    assert [goal.what for goal in found if not goal.met] == []
    assert "LLMServerDown" in text(figures(), found)


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        (("prometheus", "requests"), 979, "979 / 1,000 (2.1 % apart)"),
        (("sent", "refused"), 0, "1,000 / 0"),
        (("page", "bytes"), 150_000, "150.0 kB"),
        (("page", "paint_ms"), [1000.0], "1000 ms"),
        (("page", "drawn"), [], "0 of "),
        (("page", "barriers"), ["phone: color-contrast (serious)"], "1: phone: color-contrast"),
        (("page", "console"), ["dark: oh"], "1: dark: oh"),
        (("page", "starts"), 0, "0"),
        (("alerts", "healthy"), ["HostMemoryLow"], "1: HostMemoryLow"),
    ],
)
def test_a_missed_goal_says_by_how_much(path: tuple[str, str], value: Any, what: str) -> None:
    document = figures()
    document[path[0]] = document[path[0]] | {path[1]: value}
    [missed] = [goal for goal in goals(document) if not goal.met]
    assert missed.found.startswith(what)
