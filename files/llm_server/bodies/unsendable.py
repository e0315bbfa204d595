# SPDX-License-Identifier: Apache-2.0
"""Finds values that JSON can say and the engine cannot take.

Half of a character (a lone surrogate), whole numbers beyond 64 bits, and numbers that are none.
vLLM hands them on and fails where it sends them to the engine, which looks like its own fault.
"""

from __future__ import annotations

import math
import re
from typing import Any

#: The least and the largest whole number that the engine's messages hold.
LEAST, MOST = -(2**63), 2**64 - 1
#: In JSON: one half of a pair without the other. Pairs of backslashes are blank by then.
_ESCAPED = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
#: The same in bytes that are no UTF-8, which Python's parser takes.
_RAW = re.compile(rb"\xed[\xa0-\xbf]")

HALF = "holds half of a character (a lone surrogate); send whole characters"
TOO_LARGE = f"must be a whole number from {LEAST} to {MOST}"
NO_NUMBER = "must be a finite number; NaN and Infinity are none"


def may_hold_halves(body: bytes) -> bool:
    """Whether any text of a body of JSON has a lone surrogate."""
    if b"\\u" in body and _ESCAPED.search(body.replace(b"\\\\", b"  ")):
        return True
    return not body.isascii() and _RAW.search(body) is not None


def numbers_are_fine(data: Any) -> bool:
    """Whether all numbers can be sent; quicker than to say which one can't."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind is str or value is None or kind is bool:
            continue
        if kind is dict:
            waiting.extend(value.values())
        elif kind is list:
            if value and type(value[0]) is int and set(map(type, value)) == {int}:  # token ids
                if min(value) < LEAST or max(value) > MOST:
                    return False
            else:
                waiting.extend(value)
        elif not (LEAST <= value <= MOST if kind is int else math.isfinite(value)):
            return False
    return True


def find(data: Any, *, halves: bool = True) -> tuple[str, str] | None:
    """Where such a value is and what is wrong with it; None where all can be sent.

    Args:
        data: what JSON can hold.
        halves: whether text is looked at too.
    """
    waiting: list[tuple[str, Any]] = [("", data)]
    while waiting:
        path, value = waiting.pop()
        if wrong := _wrong(value, halves=halves):
            return path, wrong
        if isinstance(value, dict):
            if halves and any(map(_is_half, value)):
                return path, f"has a key that {HALF}"
            waiting += [(_join(path, key), inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            if set(map(type, value)) == {int}:  # token ids: many
                if min(value) < LEAST or max(value) > MOST:
                    return path, TOO_LARGE
                continue
            waiting += [(f"{path}[{i}]", value[i]) for i in range(len(value) - 1, -1, -1)]
    return None


def _wrong(value: Any, *, halves: bool) -> str | None:
    if isinstance(value, str):
        return HALF if halves and _is_half(value) else None
    if isinstance(value, float):
        return None if math.isfinite(value) else NO_NUMBER
    if isinstance(value, int):
        return None if LEAST <= value <= MOST else TOO_LARGE
    return None


def _is_half(text: Any) -> bool:
    if not isinstance(text, str) or text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _join(path: str, key: Any) -> str:
    name = str(key).encode(errors="replace").decode()[:64]
    return f"{path}.{name}" if path else name
