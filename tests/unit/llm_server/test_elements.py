# SPDX-License-Identifier: Apache-2.0
"""How much is in a body, counted without parsing it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from llm_server.bodies import elements
from llm_server.bodies.elements import Elements, at_most, count


def by_parsing(data: Any) -> Elements:
    """The same, the slow way: entries of lists and objects, and one for each that begins."""
    if isinstance(data, list) and data and all(type(value) is int and value >= 0 for value in data):
        return Elements(1, len(data))
    if not isinstance(data, list | dict):
        return Elements(0, 0)
    inner = list(data.values()) if isinstance(data, dict) else data
    found = [by_parsing(value) for value in inner]
    values = sum(one.values for one in found) + max(1, len(inner))
    return Elements(values, sum(one.token_ids for one in found) or int(data == []))


@pytest.mark.parametrize(
    ("data", "values", "token_ids"),
    [
        ({"prompt": "a, [b], {c}"}, 1, 0),
        ({"prompt": [1, 2, 3]}, 2, 3),
        ({"prompt": [[1, 2], [3]]}, 5, 3),
        ({"prompt": ["1", "2", "3"]}, 4, 0),
        ({"x": [1.5, 2, 3]}, 4, 0),
        ({"x": [-1, 2]}, 3, 0),
        ({"x": [1, None]}, 3, 0),
        ({'"': '\\"', "\\": '"\\\\', "\\\\": "[,"}, 3, 0),
        ("a, b", 0, 0),
    ],
)
def test_count(data: Any, values: int, token_ids: int) -> None:
    for indent in (None, 2):
        assert count(json.dumps(data, indent=indent).encode()) == Elements(values, token_ids)


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64, 2**16])
def test_wherever_a_body_is_cut(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(elements, "_PIECE", piece)
    dice = random.Random(1)  # noqa: S311 - the same each time
    parts = ['"', "\\", "\\\\", '\\"', ",", "[", "]", "{", "a", "é", "1"]

    def text() -> str:
        return "".join(dice.choices(parts, k=dice.randrange(12)))

    for _ in range(300):
        data: Any = {text(): [text(), 1, {text(): text()}], "ids": [1] * dice.randrange(1, 9)}
        for ascii_only in (True, False):
            body = json.dumps(data, ensure_ascii=ascii_only).encode()
            assert count(body) == by_parsing(data), body


def test_at_most_is_never_less() -> None:
    for body in (b"[1,2,3]", b'{"a":[{},{}],"b":"x,y"}', b"[]", b"{}"):
        found = count(body)
        assert at_most(body) >= max(found.values, found.token_ids - 1)


@pytest.mark.parametrize("body", [b"", b'"', b"\\" * 200_001, b'"\\', b"[" * 70_000, b"]" * 9])
def test_what_is_no_json(body: bytes) -> None:
    assert count(body).values <= len(body)
