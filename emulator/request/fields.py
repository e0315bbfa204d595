# SPDX-License-Identifier: Apache-2.0
"""Partial answers: the `fields` parameter, as in `items(name,id),nextPageToken` or `items/name`."""

from __future__ import annotations

import re
from typing import Any

from emulator.errors import invalid

Mask = dict[str, "Mask | None"]
_TOKEN = re.compile(r"[^,/()\s]+|[,/()]")


def select(value: Any, text: str) -> Any:
    """A copy of an answer with only the fields that `text` names."""
    tokens = _TOKEN.findall(text)
    mask, used = _mask(tokens, 0)
    if used != len(tokens):
        raise invalid("fields", text, "It is not a list of fields.")
    return _apply(value, mask)


def _mask(tokens: list[str], at: int) -> tuple[Mask, int]:
    mask: Mask = {}
    while at < len(tokens) and tokens[at] != ")":
        at = _entry(tokens, at, mask)
        if at < len(tokens) and tokens[at] == ",":
            at += 1
    return mask, at


def _entry(tokens: list[str], at: int, mask: Mask) -> int:
    name = tokens[at]
    at += 1
    if at < len(tokens) and tokens[at] == "/":
        inner: Mask = {}
        at = _entry(tokens, at + 1, inner)
        mask[name] = inner
    elif at < len(tokens) and tokens[at] == "(":
        mask[name], at = _mask(tokens, at + 1)
        at += 1
    else:
        mask[name] = None
    return at


def _apply(value: Any, mask: Mask | None) -> Any:
    if mask is None or ("*" in mask and mask["*"] is None):
        return value
    if isinstance(value, list):
        return [_apply(item, mask) for item in value]
    if isinstance(value, dict):
        return {
            key: _apply(item, mask.get(key, mask.get("*")))
            for key, item in value.items()
            if key in mask or "*" in mask
        }
    return value
