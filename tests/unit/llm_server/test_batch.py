# SPDX-License-Identifier: Apache-2.0
"""Batches that are refused before vLLM sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llm_server.batch import FIELDS, too_many


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("entry", ["a", [1], [1, 2], {}, None, 1.5])
def test_too_many(field: str, entry: Any) -> None:
    body = json.dumps({"model": "m", field: [entry] * 5}).encode()
    assert too_many("/v1/x", body, 4) == (field, 5)
    assert too_many("/v1/x", body, 5) is None


def test_numbers_and_other_things_are_no_tokens() -> None:
    body = json.dumps({"prompt": [*range(200), "a"]}).encode()
    assert too_many("/v1/completions", body, 128) == ("prompt", 201)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": list(range(5000))}),
        ("/v1/completions", {"prompt": [list(range(5000))] * 4}),
        ("/v1/completions", {"prompt": "a, " * 5000}),
        ("/v1/responses", {"input": [{"role": "user", "content": "x"}] * 200}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}] * 200}),
        ("/v1/completions", ["a"] * 200),
    ],
)
def test_what_is_no_batch(path: str, body: Any) -> None:
    assert too_many(path, json.dumps(body).encode(), 128) is None


@pytest.mark.parametrize(
    "body", [b"", b"," * 500, b"[" * 100_000 + b"," * 500, b"\xff" + b"," * 500]
)
def test_what_is_no_json_is_left_to_vllm(body: bytes) -> None:
    assert too_many("/v1/completions", body, 128) is None


def test_a_field_cannot_hide() -> None:
    body = b'{"\\u0070rompt": [' + b",".join([b'"a"'] * 200) + b"]}"
    assert too_many("/v1/completions", body, 128) == ("prompt", 200)
