# SPDX-License-Identifier: Apache-2.0
"""metrics.yml: which time is asked for, and the table of several hosts' series."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports.series import (
    ENOUGH_VALUES,
    MOST_VALUES,
    report,
    window,
)
from gpu_metrics.readings import READINGS

ROOT = Path(__file__).parents[3]
NOW = 1_800_000_007.5
SERIES = {"a": "up"}
WHERE = "127.0.0.1:9090"


def asked(**settings: Any) -> dict[str, Any]:
    named = {f"metrics_{name}": value for name, value in {"series": SERIES, **settings}.items()}
    return window(named, NOW)


@pytest.mark.parametrize(
    ("settings", "seconds", "step"),
    [
        ({}, 3600, 15),
        ({"since": "8h"}, 8 * 3600, 15),
        ({"since": "9h"}, 9 * 3600, 30),
        ({"since": "7d", "until": ""}, 7 * 86400, 600),
        ({"since": "30d"}, 30 * 86400, 1800),
        ({"since": "2h", "until": "1h", "step": "1m"}, 3600, 60),
        ({"since": "1h", "step": 5}, 3600, 5),
        ({"since": "10s"}, 10, 15),
    ],
)
def test_the_time_is_read(settings: dict[str, Any], seconds: int, step: int) -> None:
    found = asked(**settings)
    assert found["problems"] == []
    assert found["step"] == step
    # Rows of several runs fit together.
    assert found["start"] % step == 0
    assert seconds - step <= found["end"] - found["start"] <= seconds or seconds < step
    assert (found["end"] - found["start"]) / step <= ENOUGH_VALUES


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"since": "yesterday"}, "metrics_since is 'yesterday', which is no time."),
        ({"until": "2026-13-01"}, "metrics_until is '2026-13-01', which is no time."),
        ({"since": "1h", "until": "2h"}, "metrics_until is not after metrics_since"),
        ({"step": "often"}, "metrics_step is 'often'."),
        ({"step": "0"}, "metrics_step is '0'."),
        ({"since": "7d", "step": "15s"}, "Take 55 seconds or more"),
        ({"series": "up"}, "metrics_series is no dictionary"),
        ({"series": {}}, "metrics_series is no dictionary"),
        ({"series": {"a": 5}}, "metrics_series.a is no expression"),
    ],
)
def test_what_cannot_be_meant_is_told(settings: dict[str, Any], said: str) -> None:
    [problem] = asked(**settings)["problems"]
    assert said in problem


def test_what_the_message_advises_is_taken() -> None:
    found = asked(since="7d", step="55")
    assert (found["end"] - found["start"]) / found["step"] <= MOST_VALUES


def answer(name: str, *series: tuple[dict[str, str], list[tuple[float, str]]]) -> dict[str, Any]:
    result = [{"metric": labels, "values": values} for labels, values in series]
    data = {"resultType": "matrix", "result": result}
    return {"item": {"key": name}, "status": 200, "json": {"status": "success", "data": data}}


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_is_a_gpu_of_a_host_at_a_moment() -> None:
    used = ({"gpu": "10"}, [(0, "5"), (15, "6")]), ({"gpu": "2"}, [(0, "7"), (15, "NaN")])
    one = {"results": [answer("used", *used), answer("tokens", ({}, [(0, "1.5")]))]}
    two = {"results": [answer("used", ({"gpu": "0"}, [(0, "8")])), answer("tokens")]}
    found = report({"one": one, "two": two}, WHERE)
    assert found["failed"] == []
    midnight = "1970-01-01T00:00:00Z"
    table = [[row[name] for name in ("time", "host", "gpu", "used", "tokens")]
             for row in rows(found["csv"])]  # fmt: skip
    assert table == [
        [midnight, "one", "", "", "1.5"],
        [midnight, "one", "2", "7", ""],
        [midnight, "one", "10", "5", ""],
        [midnight, "two", "0", "8", ""],
        ["1970-01-01T00:00:15Z", "one", "10", "6", ""],
    ]
    assert found["rows"] == len(table)
    assert found["lines"] == [
        "one: 4 rows from 1970-01-01T00:00:00Z to 1970-01-01T00:00:15Z.",
        "two: 1 rows from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z.",
    ]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            {"results": [{"item": {"key": "a"}, "status": -1, "msg": "refused"}]},
            "no Prometheus answers on it at 127.0.0.1:9090. Set monitoring_enabled",
        ),
        (
            {
                "results": [
                    {
                        "item": {"key": "a"},
                        "status": 400,
                        "json": {"status": "error", "error": "parse error: no"},
                    }
                ]
            },
            "Prometheus refuses metrics_series.a: parse error: no",
        ),
        (
            {"results": [{"item": {"key": "a"}, "unreachable": True, "msg": "Connection lost"}]},
            "Connection lost",
        ),
        ({"unreachable": True, "msg": "no route"}, "no route"),
        ({}, "it was not asked"),
    ],
)
def test_a_host_that_has_none_is_named_once(result: dict[str, Any], said: str) -> None:
    well = {"results": [answer("a", ({}, [(0, "1")]))]}
    found = report({"well": well, "ill": result}, WHERE)
    [failed] = found["failed"]
    assert failed.startswith("ill: ")
    assert said in failed
    assert found["rows"] == 1
    assert report({"ill": result}, WHERE)["csv"] == ""


def test_a_host_without_such_series_says_so() -> None:
    found = report({"cpu": {"results": [answer("a")]}}, WHERE)
    assert found["lines"] == ["cpu: its Prometheus has nothing of these series in this time."]
    assert (found["rows"], found["failed"]) == (0, [])


def test_the_playbook_asks_for_what_the_collector_has() -> None:
    plays = yaml.safe_load((ROOT / "playbooks/metrics.yml").read_text(encoding="utf-8"))
    [series] = re.findall(r"'__metrics_of_gpus': ({.*?})", str(plays))
    names = set(re.findall(r"DCGM_FI_DEV_\w+", series))
    assert len(names) == 5
    assert names <= {one.name for one in READINGS}
