# SPDX-License-Identifier: Apache-2.0
"""Values that the engine cannot take, wherever a body holds them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from llm_server.bodies.unsendable import (
    HALF,
    NO_NUMBER,
    TOO_LARGE,
    find,
    may_hold_halves,
    numbers_are_fine,
)

HIGH, LOW = "\ud83d", "\ude00"


@pytest.mark.parametrize(
    ("body", "field", "wrong"),
    [
        (r'{"stop": "\ud800"}', "stop", HALF),
        (r'{"stop": ["a", "\uDFFF"]}', "stop[1]", HALF),
        (
            r'{"messages": [{"content": [{"text": "x\ud83d"}]}]}',
            "messages[0].content[0].text",
            HALF,
        ),
        (r'{"logit_bias": {"\ud83d": 1}}', "logit_bias", "has a key that " + HALF),
        (r'{"\ud83d": 1}', "", "has a key that " + HALF),
        (r'{"top_k": 1180591620717411303424}', "top_k", TOO_LARGE),
        (r'{"priority": -9223372036854775809}', "priority", TOO_LARGE),
        (r'{"stop_token_ids": [1, 18446744073709551616]}', "stop_token_ids", TOO_LARGE),
        (r'{"vllm_xargs": {"a": [1, "b", 18446744073709551616]}}', "vllm_xargs.a[2]", TOO_LARGE),
        (r'{"temperature": NaN}', "temperature", NO_NUMBER),
        (r'{"top_p": -Infinity}', "top_p", NO_NUMBER),
        (r'{"top_p": 1e999}', "top_p", NO_NUMBER),
        (r"[NaN]", "[0]", NO_NUMBER),
    ],
)
def test_found(body: str, field: str, wrong: str) -> None:
    assert may_hold_halves(body.encode()) == (HALF in wrong)
    assert find(json.loads(body)) == (field, wrong)
    assert numbers_are_fine(json.loads(body)) == (HALF in wrong)


@pytest.mark.parametrize(
    "body",
    [
        r'{"stop": "\ud83d\ude00", "x": "\\ud83d", "y": "\\\\ud800"}',
        r'{"seed": 9223372036854775807, "x": 18446744073709551615, "y": -9223372036854775808}',
        r'{"text": "NaN 99999999999999999999 1e999", "a": true, "b": null, "c": 1e300}',
        '{"stop": "\ud83d\ude00"}'.encode("utf-16", "surrogatepass").decode("utf-16"),
    ],
)
def test_what_can_be_sent(body: str) -> None:
    assert not may_hold_halves(body.encode())
    assert find(json.loads(body)) is None
    assert numbers_are_fine(json.loads(body))


def test_halves_in_raw_bytes() -> None:
    body = b'{"stop": "\xed\xa0\xbd"}'
    assert may_hold_halves(body)
    assert find(json.loads(body)) == ("stop", HALF)
    assert not may_hold_halves('{"stop": "\ud7ff힣"}'.encode())


def test_the_quick_look_and_the_exact_one_agree() -> None:
    dice = random.Random(2)  # noqa: S311 - the same each time
    parts = ["\\ud83d", "\\ude00", "\\uD800", "\\uDC00", "\\\\", "\\n", "u", "d", "\\u0041", "é"]
    for _ in range(3000):
        text = "".join(dice.choices(parts, k=dice.randrange(8)))
        data: Any = json.loads(f'{{"a": "{text}"}}')
        assert may_hold_halves(f'{{"a": "{text}"}}'.encode()) == (find(data) is not None), text
