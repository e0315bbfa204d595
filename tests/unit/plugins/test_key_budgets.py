# SPDX-License-Identifier: Apache-2.0
"""Budgets of API keys in USD: which can be kept, and what they are in tokens."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.key_budgets import in_tokens, problems


def key(**more: Any) -> dict[str, Any]:
    return {"name": "one", "key": "secret-0123456789", **more}


@pytest.mark.parametrize(
    ("given", "price", "said"),
    [
        ({}, 0.0, None),
        ({"tokens_per_day": 5, "usd_per_day": None}, 0.0, None),
        ({"usd_per_day": 5}, 0.4, None),
        # As a playbook's command line gives numbers.
        ({"usd_per_day": "5"}, "0.4", None),
        ({"usd_per_day": 5, "tokens_per_month": 7}, 0.4, None),
        ({"usd_per_day": 5}, 0.0, "llm_server_usd_per_million_tokens is 0.0"),
        ({"usd_per_month": 5}, -1, "give tokens_per_month"),
        ({"usd_per_month": 5}, float("nan"), "not known"),
        ({"usd_per_day": 5, "tokens_per_day": 7}, 0.4, "Give one of the two"),
        ({"usd_per_day": 0}, 0.4, "above 0"),
        ({"usd_per_day": -3}, 0.4, "above 0"),
        ({"usd_per_month": "much"}, 0.4, "above 0"),
        ({"usd_per_month": True}, 0.4, "above 0"),
        ({"usd_per_month": float("inf")}, 0.4, "above 0"),
        ({"usd_per_day": 0.0000003}, 0.4, "less than one token"),
    ],
)
def test_what_could_not_be_kept(given: dict[str, Any], price: Any, said: str | None) -> None:
    found = problems([key(**given)], price)
    assert len(found) == (said is not None)
    for text in found:
        assert said is not None
        assert said in text
        assert text.startswith("llm_server_keys: one: usd_per_")
        assert "secret" not in text


@pytest.mark.parametrize(
    ("given", "price", "expected"),
    [
        ({}, 0.4, {}),
        ({"tokens_per_day": 5, "tokens_per_month": None}, 0.0, {"tokens_per_day": 5}),
        ({"usd_per_day": 0.3}, 0.1, {"tokens_per_day": 3_000_000}),
        ({"usd_per_month": "5"}, "0.4", {"tokens_per_month": 12_500_000}),
        ({"usd_per_day": 1}, 3, {"tokens_per_day": 333_333}),
        ({"usd_per_day": 0.0000004}, 0.4, {"tokens_per_day": 1}),
        (
            {"usd_per_day": 1, "tokens_per_month": 9},
            1,
            {"tokens_per_day": 1_000_000, "tokens_per_month": 9},
        ),
    ],
)
def test_what_they_are_in_tokens(given: dict[str, Any], price: Any, expected: Any) -> None:
    assert in_tokens(key(**given), price) == expected
    assert problems([key(**given)], price) == []
