# SPDX-License-Identifier: Apache-2.0
"""Finds batches that are too large before vLLM renders every prompt in them."""

from __future__ import annotations

import json

#: Where vLLM's APIs take several prompts at once.
FIELDS = (
    "prompt",
    "input",
    "inputs",
    "texts",
    "documents",
    "queries",
    "text_1",
    "text_2",
    "data_1",
    "data_2",
)
#: Where `input` is one conversation.
_CONVERSATIONS = ("/v1/responses",)


def too_many(path: str, body: bytes, most: int) -> tuple[str, int] | None:
    """The field of a batch with more than `most` prompts, and how many it has; None is fine.

    A flat list of numbers is one prompt, of tokens. A body with fewer commas than that is not
    parsed: counting them takes microseconds, where a list of 8 MiB takes some 50 ms to parse.
    """
    if path in _CONVERSATIONS or body.count(b",") < most:
        return None
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):  # vLLM says what is wrong with it
        return None
    for field in FIELDS if isinstance(data, dict) else ():
        values = data.get(field)
        if isinstance(values, list) and len(values) > most and not _is_tokens(values):
            return field, len(values)
    return None


def _is_tokens(values: list[object]) -> bool:
    return all(type(value) is int for value in values)
