# SPDX-License-Identifier: Apache-2.0
"""Filters that put results of modules into words, and levels of load into requests."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.filter import (
    load_levels,
    quota_line,
    request_lines,
    shortage_lines,
)

REQUEST = {"metric": "NVIDIA_L4_GPUS", "region": "us-central1", "request": 4}


@pytest.mark.parametrize(
    ("concurrency", "rates", "closed", "opened", "requests"),
    [
        ([], [], [], [], 0),
        ([1, 2, 3, 64], [], ["1:8", "2:8", "3:12", "64:256"], [], 284),
        ([], [0.5, 0.85, 2], [], ["0.5:8", "0.85:8", "2:20"], 36),
        # As -e on the command line gives them.
        (["8"], ["1.25"], ["8:32"], ["1.25:12"], 44),
    ],
)
def test_load_levels(
    concurrency: list[Any], rates: list[Any], closed: list[str], opened: list[str], requests: int
) -> None:
    found = load_levels.load_levels(concurrency, rates)
    assert (found["closed"], found["open"], found["requests"]) == (closed, opened, requests)


def test_load_levels_in_words() -> None:
    found = load_levels.load_levels([4], [0.5])
    assert found["text"] == "16 requests, 4 at once; 8 requests, 0.5 a second"


def test_shortage_lines() -> None:
    results = [
        {
            "item": {"item": {"said": "g2-standard-4 in a"}},
            "lines": ["GPUS: 1 of 1", "CPUS: 8 of 8"],
        },
        {"item": {"item": {"said": "g2-standard-4 in b"}}, "lines": []},
    ]
    assert shortage_lines.shortage_lines(results) == [
        "Not enough quota for g2-standard-4 in a:",
        "GPUS: 1 of 1",
        "CPUS: 8 of 8",
        "Not enough quota for g2-standard-4 in b:",
    ]
    assert shortage_lines.shortage_lines([]) == []


@pytest.mark.parametrize(
    ("outcome", "detail", "end"),
    [
        ("granted", "", "was granted"),
        ("denied", "No capacity", "was denied. Google says: No capacity"),
        ("pending", "", "is asked for, and Google has not decided yet"),
        # In check mode.
        ("none", "", "would be asked for"),
    ],
)
def test_request_lines(outcome: str, detail: str, end: str) -> None:
    result = {"item": REQUEST, "outcome": outcome, "state_detail": detail}
    said = f"NVIDIA_L4_GPUS (us-central1): a limit of 4 {end}"
    assert request_lines.request_lines([result]) == [said]


def test_quota_line_tells_unknown_from_zero() -> None:
    quotas = [
        {"metric": "GPUS", "usage": 0, "limit": 1},
        {"metric": "CPUS", "usage": None, "limit": None, "instead_of": "N1_CPUS"},
    ]
    assert quota_line.quota_line(quotas) == "GPUS 0 of 1, CPUS ? of ? in place of N1_CPUS"
