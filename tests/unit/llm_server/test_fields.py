# SPDX-License-Identifier: Apache-2.0
"""Fields that a path does not know."""

from __future__ import annotations

from typing import Any

import pytest
from llm_server.bodies.fields import ignored, mistaken

COMPLETIONS = frozenset(
    {"model", "prompt", "max_tokens", "n", "stop", "temperature", "structured_outputs", "user"}
)
RESPONSES = frozenset({"model", "input", "max_output_tokens", "text", "tools", "tool_choice"})


@pytest.mark.parametrize(
    ("known", "data", "meant"),
    [
        (COMPLETIONS, {"max_token": 5}, "max_tokens"),
        (COMPLETIONS, {"maxtokens": 5}, "max_tokens"),
        (COMPLETIONS, {"max_new_tokens": 5}, "max_tokens"),
        (COMPLETIONS, {"max_output_tokens": 5}, "max_tokens"),
        (RESPONSES, {"max_tokens": 5}, "max_output_tokens"),
        (RESPONSES, {"tool_choices": "auto"}, "tool_choice"),
        (COMPLETIONS, {"best_of": 5}, "n"),
        (COMPLETIONS, {"temprature": 0}, "temperature"),
        (COMPLETIONS, {"stop_sequences": ["a"]}, "stop"),
        (COMPLETIONS, {"guided_json": {}}, "structured_outputs"),
        (RESPONSES, {"guided_regex": "a"}, "text"),
    ],
)
def test_a_mistake(known: frozenset[str], data: dict[str, Any], meant: str) -> None:
    (name,) = data
    assert mistaken(data, known) == (name, meant)


@pytest.mark.parametrize(
    "data",
    [
        {"best_of": 1},
        {"best_of": None, "max_new_tokens": None},
        {"service_tier": "auto", "store": False, "safety_identifier": "x", "verbosity": "low"},
        {"prompt_cache_key": "x", "metadata": {}, "modalities": ["text"], "web_search_options": {}},
        {"user_id": 1, "options": {"x": 1}, "keep_alive": 5, "": 1, "ü": 1},
    ],
)
def test_what_does_no_harm(data: dict[str, Any]) -> None:
    assert mistaken(data, COMPLETIONS) is None


def test_what_a_header_says() -> None:
    data = {
        "model": 1,
        "store": 1,
        "a\r\nb": 1,
        "ü": 1,
        "x" * 99: 1,
        **{f"k{i}": 1 for i in range(99)},
    }
    told = ignored(data, COMPLETIONS)
    assert told[:3] == ["store", "ab", "x" * 64]
    assert len(told) == 8
