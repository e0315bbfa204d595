# SPDX-License-Identifier: Apache-2.0
"""Fault rules: what they match, how often they fire, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.errors import ApiError
from emulator.faults.faults import Faults
from emulator.faults.rules import parse

ZONAL = "/compute/v1/projects/project-a/zones/us-central1-a/instances/one"


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ({}, True),
        ({"method": "GET"}, True),
        ({"method": ["POST", "DELETE"]}, False),
        ({"path": "*/instances/*"}, True),
        ({"path": "*/instances"}, False),
        ({"project": "project-?"}, True),
        ({"project": "other"}, False),
        ({"zone": "us-central1-*"}, True),
        ({"zone": ["europe-*"], "method": "GET"}, False),
    ],
)
def test_matches(rule: dict[str, Any], matches: bool) -> None:
    faults = Faults()
    faults.set([parse({**rule, "status": 503}, "rules[0]")], 0)
    assert (faults.request("GET", ZONAL) is not None) == matches


def test_skip_and_count() -> None:
    faults = Faults()
    faults.set([parse({"status": 500, "skip": 2, "count": 3}, "rules[0]")], 0)
    fired = [faults.request("GET", ZONAL) is not None for _ in range(8)]
    assert fired == [False, False, True, True, True, False, False, False]
    assert faults.shown() == [{"status": 500, "skip": 2, "count": 3, "matched": 8, "fired": 3}]


def test_share_is_reproducible() -> None:
    def run(seed: int) -> list[bool]:
        faults = Faults()
        faults.set([parse({"status": 429, "share": 0.2}, "rules[0]")], seed)
        return [faults.request("GET", ZONAL) is not None for _ in range(1000)]

    assert run(1) == run(1) != run(2)
    assert 150 < sum(run(1)) < 250


def test_operations_have_rules_of_their_own() -> None:
    faults = Faults()
    error = {"code": "QUOTA_EXCEEDED", "message": "No.", "http_status": 403}
    rule = {"operation": "insert", "target": "*/instances/*", "operation_error": error}
    faults.set([parse(rule, "rules[0]")], 0)
    assert faults.request("POST", ZONAL) is None
    assert faults.operation("delete", ZONAL) is None
    failure = faults.operation("insert", ZONAL)
    assert failure is not None
    assert (failure.code, failure.message, failure.status) == ("QUOTA_EXCEEDED", "No.", 403)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("503", "A rule is an object"),
        ({}, "names no effect"),
        ({"stauts": 503}, "A rule may have method"),
        ({"status": 404}, "one of 429, 500"),
        ({"status": 503, "share": 2}, "number from 0 to 1"),
        ({"status": 503, "count": -1}, "whole number"),
        ({"status": 503, "method": []}, "a pattern, or a list"),
        ({"connection": "cut"}, "drop_before, drop_after, truncate"),
        ({"latency": "1"}, "number from 0 up"),
        ({"latency": 1, "retry_after": 1}, "with status only"),
        ({"operation_error": {"code": "X"}}, "operation_error.message"),
        ({"error": {"http_status": 503, "reason": "x", "messages": ["m"]}}, "from 400 to 499"),
        ({"error": {"http_status": 412, "messages": ["m"]}}, "error.reason"),
        ({"error": {"http_status": 412, "reason": "x", "messages": []}}, "error.messages"),
        ({"error": {"http_status": 412, "reason": "x", "texts": ["m"]}}, "It may have"),
        ({"error": {"http_status": 412, "reason": "x", "messages": ["m"]}, "status": 503}, "own"),
        ({"operation_error": {"code": "X", "message": "m"}, "status": 503}, "no other effect"),
        ({"status": 503, "operation": "insert"}, "with operation_error only"),
    ],
)
def test_refused(rule: Any, said: str) -> None:
    with pytest.raises(ApiError, match=said) as refused:
        parse(rule, "rules[0]")
    assert refused.value.status == 400
    assert "rules[0]" in refused.value.message
