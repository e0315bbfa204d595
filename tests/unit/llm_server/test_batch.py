# SPDX-License-Identifier: Apache-2.0
"""Batches that are refused before vLLM sees them."""

from __future__ import annotations

from typing import Any

import pytest
from llm_server.bodies.batch import Batch, too_many


@pytest.mark.parametrize("entry", ["a", [1], [1, 2], {}, None, 1.5, True])
@pytest.mark.parametrize(
    ("path", "field", "setting"),
    [
        ("/v1/completions", "prompt", "max_sequences"),
        ("/v1/chat/completions/batch", "messages", "max_sequences"),
        ("/v1/systemone", "questions", "max_sequences"),
        ("/v1/embeddings", "input", "max_inputs"),
        ("/pooling", "input", "max_inputs"),
        ("/v2/embed", "texts", "max_inputs"),
        ("/v2/embed", "inputs", "max_inputs"),
        ("/rerank", "documents", "max_inputs"),
        ("/v1/score", "documents", "max_inputs"),
        ("/score", "text_1", "max_inputs"),
        ("/score", "text_2", "max_inputs"),
        ("/score", "queries", "max_inputs"),
        ("/invocations", "prompt", "max_sequences"),
        ("/invocations", "documents", "max_inputs"),
    ],
)
def test_too_many(path: str, field: str, setting: str, entry: Any) -> None:
    bounds = {"max_sequences": 4, "max_inputs": 6}
    data = {"model": "m", field: [entry] * 7}
    found = too_many(path, data, bounds["max_sequences"], bounds["max_inputs"])
    assert found == Batch(field, 7, bounds[setting], setting)
    assert too_many(path, data, 7, 7) is None


def test_numbers_and_other_things_are_no_tokens() -> None:
    data = {"prompt": [*range(200), "a"]}
    assert too_many("/v1/completions", data, 128, 2048) == Batch(
        "prompt", 201, 128, "max_sequences"
    )


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/v1/completions", {"prompt": list(range(5000))}),
        ("/v1/completions", {"prompt": [list(range(5000))] * 4}),
        ("/v1/completions", {"prompt": "a, " * 5000}),
        ("/v1/responses", {"input": [{"role": "user", "content": "x"}] * 5000}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}] * 200}),
        ("/v1/chat/completions", {"documents": ["x"] * 5000}),
        ("/v1/embeddings", {"input": ["x"] * 2048}),
        ("/rerank", {"query": "x", "documents": ["x"] * 2048}),
        ("/v1/completions", ["a"] * 200),
        ("/v1/completions", None),
    ],
)
def test_what_is_no_batch(path: str, data: Any) -> None:
    assert too_many(path, data, 128, 2048) is None
