# SPDX-License-Identifier: Apache-2.0
"""How large what an answer is held to may be."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from llm_server.limits.grammar_bounds import Grammar, too_large


def deep(levels: int, wrap: str = "items") -> dict[str, Any]:
    start: dict[str, Any] = {"type": "string"}
    return functools.reduce(lambda inner, _: {wrap: inner}, range(levels), start)


def properties(number: int) -> dict[str, Any]:
    return {"properties": {f"p{i}": {} for i in range(number)}}


@pytest.mark.parametrize(
    ("kind", "value", "word"),
    [
        ("choice", ["a" * 2000] * 40, "max_grammar_bytes"),
        ("regex", "a" * 70_000, "max_grammar_bytes"),
        ("regex", "é" * 40_000, "max_grammar_bytes"),
        ("grammar", "a" * 70_000, "max_grammar_bytes"),
        ("json", {"x": "a" * 70_000}, "max_grammar_bytes"),
        ("json", json.dumps({"x": "a" * 70_000}), "max_grammar_bytes"),
        ("structural_tag", "a" * 70_000, "max_grammar_bytes"),
        ("choice", ["a"] * 1001, "1001 choices"),
        ("json", {"enum": list(range(1001))}, "enum of 1001"),
        ("json", {"items": [{"anyOf": [{}] * 1001}]}, "anyOf of 1001"),
        ("json", json.dumps({"enum": list(range(1001))}), "enum of 1001"),
        ("json", deep(64), "64 levels"),
        ("json", json.dumps(deep(64)), "64 levels"),
        ("structural_tag", json.dumps({"format": deep(64)}), "64 levels"),
        ("json", properties(1001), "1001 properties"),
        ("json", {"allOf": [properties(600), properties(600)]}, "1200 properties"),
        ("json", "[" * 60_000, None),
        ("json", "no json", None),
        ("json", deep(60), None),
        ("json", properties(1000), None),
        ("choice", ["a"] * 1000, None),
        ("regex", "[0-9]+", None),
    ],
)
def test_too_large(kind: str, value: Any, word: str | None) -> None:
    found = too_large(Grammar(kind, value, {}), 64 * 2**10)
    if word is None:
        assert found is None
    else:
        assert found is not None and word in found
        assert f"structured_outputs.{kind}" in found
