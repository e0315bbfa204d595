# SPDX-License-Identifier: Apache-2.0
"""Heavy bodies: those of a report of what held the server up, and the largest that it takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MODEL = "test-model"


@dataclass(frozen=True)
class Heavy:
    """One kind of heavy request."""

    name: str
    path: str
    make: Callable[[], bytes]


def _body(**fields: Any) -> bytes:
    return json.dumps({"model": MODEL, **fields}).encode()


def _message(content: Any = "a") -> dict[str, Any]:
    return {"role": "user", "content": content}


def _tool(number: int) -> dict[str, Any]:
    return {"type": "function", "function": {"name": f"tool{number}", "parameters": {}}}


def _parts(number: int) -> list[Any]:
    return [_message([{"type": "text", "text": "a"}] * number)]


def _completion(**fields: Any) -> bytes:
    return _body(prompt="a", max_tokens=2, **fields)


def _schema(properties: int) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {f"p{i}": {"type": "string"} for i in range(properties)},
    }


CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, TOKENIZE = "/v1/responses", "/tokenize"
WORDS = "|".join(f"word{i}" for i in range(50_000))

#: What the report sent, and its kin. The last ones keep the engine busy for long.
REPORTED = (
    Heavy("100,000 messages", RESPONSES, lambda: _body(input=[_message()] * 100_000)),
    Heavy("150,000 messages", CHAT, lambda: _body(messages=[_message()] * 150_000, max_tokens=2)),
    Heavy("100,000 parts", CHAT, lambda: _body(messages=_parts(100_000), max_tokens=2)),
    Heavy(
        "50,000 tools",
        CHAT,
        lambda: _body(messages=[_message()], tools=[_tool(i) for i in range(50_000)], max_tokens=2),
    ),
    Heavy(
        "5,000 conversations",
        CHAT + "/batch",
        lambda: _body(messages=[[_message()]] * 5_000, max_tokens=2),
    ),
    Heavy("100,000 prompts", COMPLETIONS, lambda: _body(prompt=["a"] * 100_000, max_tokens=2)),
    Heavy("2,000,000 token ids", COMPLETIONS, lambda: _body(prompt=[1] * 2_000_000, max_tokens=2)),
    Heavy(
        "500,000 unknown keys",
        COMPLETIONS,
        lambda: _completion(**{f"k{i}": 1 for i in range(500_000)}),
    ),
    Heavy("2,000,000 numbers", "/nothing", lambda: _body(x=[[1, 1.5]] * 700_000)),
    Heavy("7.8 MB of text, strings", TOKENIZE, lambda: _text(650_000, return_token_strs=True)),
    Heavy("7.8 MB of text", TOKENIZE, lambda: _text(650_000)),
    Heavy("1,000,000 tokens", "/detokenize", lambda: _body(tokens=[5] * 1_000_000)),
    Heavy(
        "a regex of 50,000 words",
        COMPLETIONS,
        lambda: _completion(structured_outputs={"regex": WORDS}),
    ),
    Heavy(
        "200,000 choices",
        COMPLETIONS,
        lambda: _completion(structured_outputs={"choice": [f"c{i}" for i in range(200_000)]}),
    ),
    Heavy(
        "a choice of 1 MB",
        COMPLETIONS,
        lambda: _completion(structured_outputs={"choice": ["x" * 1_000_000]}),
    ),
)


def _text(words: int, **fields: Any) -> bytes:
    return _body(prompt="hello world " * words, **fields)


def largest(elements: int, size: int, token_ids: int) -> tuple[Heavy, ...]:
    """The heaviest that limits of so many elements, bytes and token ids let through."""
    each = elements - 60
    return (
        Heavy("messages", RESPONSES, lambda: _body(input=[_message()] * (each // 3))),
        Heavy("messages", CHAT, lambda: _body(messages=[_message()] * (each // 3), max_tokens=2)),
        Heavy(
            "messages",
            "/v1/messages",
            lambda: _body(messages=[_message()] * (each // 3), max_tokens=2),
        ),
        Heavy("parts", CHAT, lambda: _body(messages=_parts(each // 3), max_tokens=2)),
        Heavy(
            "tools",
            CHAT,
            lambda: _body(
                messages=[_message()], tools=[_tool(i) for i in range(each // 6)], max_tokens=2
            ),
        ),
        Heavy(
            "unknown keys",
            CHAT,
            lambda: _body(messages=[_message()], max_tokens=2, **{f"k{i}": 1 for i in range(each)}),
        ),
        Heavy("numbers", "/nothing", lambda: _body(x=[[1.5]] * (each // 2))),
        Heavy("token ids", COMPLETIONS, lambda: _body(prompt=[1] * token_ids, max_tokens=2)),
        Heavy(
            "prompts of token ids",
            COMPLETIONS,
            lambda: _body(prompt=[[1] * (token_ids // 128 - 1)] * 128, max_tokens=2),
        ),
        Heavy("commas in text", CHAT, lambda: _body(messages=[_message("," * (size - 200))])),
        Heavy(
            "escapes in text", CHAT, lambda: _body(messages=[_message("\\" * (size // 2 - 200))])
        ),
        Heavy("text, strings", TOKENIZE, lambda: _text((size - 100) // 12, return_token_strs=True)),
        Heavy("text that fits", TOKENIZE, lambda: _text(6_900, return_token_strs=True)),
        Heavy("tokens", "/detokenize", lambda: _body(tokens=[5] * token_ids)),
        Heavy(
            "a regex of 9,000 words",
            COMPLETIONS,
            lambda: _completion(structured_outputs={"regex": WORDS[:65_000]}),
        ),
        Heavy(
            "1,000 choices",
            COMPLETIONS,
            lambda: _completion(
                structured_outputs={"choice": [f"{'c' * 50}{i}" for i in range(1_000)]}
            ),
        ),
        Heavy(
            "a schema of 1,000 properties",
            CHAT,
            lambda: _body(
                messages=[_message()],
                max_tokens=2,
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": _schema(1_000)},
                },
            ),
        ),
    )
