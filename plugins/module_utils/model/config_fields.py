# SPDX-License-Identifier: Apache-2.0
"""Reads single values of a model's config.json: a value of another kind is named. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ShapeError(ValueError):
    """config.json lacks what a plan needs, or has it in a form that is not read; the text says."""


class UnreadableError(ShapeError):
    """A field is there, in a form that the plan does not read: so nothing can be told."""


def whole(text: Mapping[str, Any], *names: str, default: int = 0) -> int:
    """The first of these fields that is set, as a whole number.

    Raises:
        UnreadableError: it is a list, an object, a word or a broken number.
    """
    for name in names:
        value = text.get(name)
        if value is None or value is False or value == "":
            continue
        if value == 0 and name != names[-1]:
            continue
        return _whole(name, value)
    return default


def needed(text: Mapping[str, Any], *names: str) -> int:
    """The same of a field without which nothing can be counted.

    Raises:
        ShapeError: none of them is there.
    """
    found = whole(text, *names)
    if not found:
        raise ShapeError(f"config.json has no {names[0]}")
    return found


def listed(text: Mapping[str, Any], name: str, length: int | None = None) -> list[Any] | None:
    """A field that is a list, of one entry a layer where `length` says how many; None where unset.

    Raises:
        UnreadableError: it is no list, or has another length.
    """
    value = text.get(name)
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        raise UnreadableError(f"config.json's {name} is {_said(value)}, and no list")
    if length is not None and len(value) != length:
        raise UnreadableError(f"config.json's {name} has {len(value)} entries for {length} layers")
    return list(value)


def part(text: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field that is an object; empty where there is none.

    Raises:
        UnreadableError: it is anything else.
    """
    value = text.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UnreadableError(f"config.json's {name} is {_said(value)}, and no object")
    return value


def fraction(text: Mapping[str, Any], name: str, default: float) -> float:
    """A number that need not be whole.

    Raises:
        UnreadableError: it is no number.
    """
    value = text.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableError(f"config.json's {name} is {_said(value)}, and no number")
    return float(value)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return int(value)
    raise UnreadableError(f"config.json's {name} is {_said(value)}, and no whole number")


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, Mapping):
        return "an object"
    return repr(value)
