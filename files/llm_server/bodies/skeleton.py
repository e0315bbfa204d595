# SPDX-License-Identifier: Apache-2.0
"""A body's shape: entries that are no objects where only objects can be, and what is left of it
when its texts are cut short."""

from __future__ import annotations

from typing import Any

#: Lists of objects, in a body and in the entries of such lists. Text among their entries costs
#: vLLM a thousand times what it takes to see here: it says what is wrong for each kind of object.
_OBJECTS = ("messages", "tools")
_PARTS = ("content",)
#: Longer text is cut: how long it is makes no difference to how it is checked.
_TEXT = 64


def misshapen(data: dict[str, Any], path: str) -> tuple[str, str] | None:
    """The first entry that is no object, and what it must be; None is none."""
    nested = path.endswith("/batch")
    for name in _OBJECTS:
        entries = data.get(name)
        if not isinstance(entries, list):
            continue
        if name == "messages" and nested:
            lists = [(f"{name}[{i}]", one) for i, one in enumerate(entries)]
        else:
            lists = [(name, entries)]
        for where, several in lists:
            if found := _first(where, several):
                return found
    entries = data.get("input")
    if path.startswith("/v1/responses") and isinstance(entries, list):
        return _first("input", entries) or _says_nothing(entries)
    return None


def _says_nothing(entries: list[dict[str, Any]]) -> tuple[str, str] | None:
    """An answer of before without a part, of which vLLM takes the first all the same."""
    for i, entry in enumerate(entries):
        if entry.get("role") == "assistant" and entry.get("content") == []:
            return f"input[{i}].content", "must hold a part"
    return None


def _first(where: str, entries: Any) -> tuple[str, str] | None:
    if not isinstance(entries, list):
        return where, "must be a list"
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict):
            return f"{where}[{i}]", "must be an object"
        for name in _PARTS:
            parts = entry.get(name)
            for k, part in enumerate(parts) if isinstance(parts, list) else ():
                if not isinstance(part, dict | str):
                    return f"{where}[{i}].{name}[{k}]", "must be an object"
    return None


def cut(value: Any) -> Any:
    """The same with its texts cut short, names too."""
    if isinstance(value, str):
        return value[:_TEXT]
    if isinstance(value, dict):
        return {key[: 4 * _TEXT]: cut(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [cut(inner) for inner in value]
    return value
