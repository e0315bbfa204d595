# SPDX-License-Identifier: Apache-2.0
"""How large what an answer is held to may be: bytes, choices, depth and properties."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

#: Choices, and values of one `enum`; as many as OpenAI takes.
CHOICES = 1000
#: Properties of a schema, in all.
PROPERTIES = 1000
#: Objects and lists inside one another.
DEPTH = 64


@dataclass(frozen=True)
class Grammar:
    """What one request holds its answer to, whichever way it was asked for."""

    #: In vLLM's words: json, regex, choice, grammar, json_object or structural_tag.
    kind: str
    value: Any
    #: Further fields that change what is compiled.
    options: dict[str, Any]

    def text(self) -> str:
        """All of it, as one text."""
        return json.dumps([self.kind, self.value, self.options], ensure_ascii=False, default=str)


def too_large(grammar: Grammar, most: int) -> str | None:
    """What is too large about it, as a sentence; None is nothing."""
    value = grammar.value
    if isinstance(value, str):
        size = len(value.encode(errors="replace"))
    else:
        size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))
    if size > most:
        return (
            f"structured_outputs.{grammar.kind} has {size} bytes; this server takes {most}"
            " (llm_server_limits.max_grammar_bytes)."
        )
    if grammar.kind == "choice" and len(value) > CHOICES:
        return f"structured_outputs.choice has {len(value)} choices; this server takes {CHOICES}."
    if grammar.kind in ("json", "structural_tag"):
        return _schema(grammar.kind, value)
    return None


def _schema(kind: str, value: Any) -> str | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):  # vLLM says what is wrong with it
            return None
    properties = 0
    waiting = [(1, value)]
    while waiting:
        depth, inner = waiting.pop()
        if depth > DEPTH:
            return f"structured_outputs.{kind} is more than {DEPTH} levels deep."
        if isinstance(inner, dict):
            named = inner.get("properties")
            properties += len(named) if isinstance(named, dict) else 0
            for name in ("enum", "anyOf", "oneOf", "allOf"):
                several = inner.get(name)
                if isinstance(several, list) and len(several) > CHOICES:
                    return (
                        f"structured_outputs.{kind} has {name} of {len(several)}; this server"
                        f" takes {CHOICES}."
                    )
            waiting += [(depth + 1, one) for one in inner.values()]
        elif isinstance(inner, list):
            waiting += [(depth + 1, one) for one in inner]
    if properties > PROPERTIES:
        return (
            f"structured_outputs.{kind} has {properties} properties; this server takes"
            f" {PROPERTIES}."
        )
    return None
