# SPDX-License-Identifier: Apache-2.0
"""Finds batches that are too large before vLLM renders every prompt in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

#: What a model that makes text answers one by one.
_PROMPTS = ("prompt",)
#: What a model that makes vectors or scores reads.
_INPUTS = (
    "input",
    "inputs",
    "texts",
    "queries",
    "items",
    "text_1",
    "text_2",
    "data_1",
    "data_2",
)
#: What is ranked; in a chat they are something to read.
_RANKED = ("documents",)
_RANKING = ("rerank", "score", "scoring", "invocations", "pooling")
#: Where each entry of a field is answered, by the end of the path.
_ANSWERED = {"/batch": ("messages",), "/systemone": ("questions",)}


@dataclass(frozen=True)
class Batch:
    """One that is too large."""

    field: str
    entries: int
    most: int
    #: The setting that says so.
    setting: str


def too_many(path: str, data: Any, sequences: int, inputs: int) -> Batch | None:
    """The field of a batch with more entries than the server takes; None is fine.

    A flat list of numbers is one prompt, of tokens.

    Args:
        path: where it was sent.
        data: the body.
        sequences: how many answers one request may have.
        inputs: how many inputs, where nothing is generated.
    """
    for field, most, setting in _bounds(path, sequences, inputs) if isinstance(data, dict) else ():
        values = data.get(field)
        if isinstance(values, list) and len(values) > most and not _is_tokens(values):
            return Batch(field, len(values), most, setting)
    return None


# Paths come from clients: only so many are kept.
@lru_cache(maxsize=256)
def _bounds(path: str, sequences: int, inputs: int) -> list[tuple[str, int, str]]:
    answered = next((some for end, some in _ANSWERED.items() if path.endswith(end)), ())
    # There `input` is one conversation.
    read: tuple[str, ...] = () if path.startswith("/v1/responses") else _INPUTS
    if any(word in path for word in _RANKING):
        read += _RANKED
    return [(field, sequences, "max_sequences") for field in (*_PROMPTS, *answered)] + [
        (field, inputs, "max_inputs") for field in read
    ]


def _is_tokens(values: list[object]) -> bool:
    return set(map(type, values)) == {int}
