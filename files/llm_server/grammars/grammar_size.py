# SPDX-License-Identifier: Apache-2.0
"""How much of a body an answer would be held to: schemas, regexes, choices, grammars, tools."""

from __future__ import annotations

import json
from typing import Any

#: Where they are in a body.
_FIELDS = ("structured_outputs", "response_format", "text")


def largest(data: dict[str, Any], most: int) -> str | None:
    """The field that holds an answer to more bytes than `most`; None is none."""
    for name in _FIELDS:
        if isinstance(data.get(name), dict) and _bytes(data[name]) > most:
            return name
    tools = data.get("tools")
    if isinstance(tools, list) and _binds(tools, data.get("tool_choice")) and _bytes(tools) > most:
        return "tools"
    return None


def _binds(tools: list[Any], choice: Any) -> bool:
    """Whether the answer is held to the tools' schemas."""
    if isinstance(choice, dict) or choice in ("required", "any"):
        return True
    return choice != "none" and any(_is_strict(tool) for tool in tools)


def _is_strict(tool: Any) -> bool:
    if not isinstance(tool, dict):
        return False
    function = tool.get("function")
    return bool(tool.get("strict") or (isinstance(function, dict) and function.get("strict")))


def _bytes(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
