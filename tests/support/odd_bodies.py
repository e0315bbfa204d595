# SPDX-License-Identifier: Apache-2.0
"""Bodies that clients send by mistake, or to see what happens: each alone is a request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.server_fixture import MODEL_NAME

#: A half of an emoji, as `"😀".slice(0, 1)` leaves it in JavaScript.
SURROGATE = "\ud83d"
MESSAGES = [{"role": "user", "content": "a"}]
#: Paths, the body that each takes, and the field that bounds its answer.
ROUTES: dict[str, tuple[dict[str, Any], str]] = {
    "/v1/completions": ({"model": MODEL_NAME, "prompt": "a"}, "max_tokens"),
    "/v1/chat/completions": ({"model": MODEL_NAME, "messages": MESSAGES}, "max_tokens"),
    "/v1/responses": ({"model": MODEL_NAME, "input": "a"}, "max_output_tokens"),
    "/v1/messages": ({"model": MODEL_NAME, "messages": MESSAGES}, "max_tokens"),
    "/generate": ({"prompt": "a"}, "max_tokens"),
    "/tokenize": ({"model": MODEL_NAME, "prompt": "a"}, ""),
    "/detokenize": ({"model": MODEL_NAME, "tokens": [1, 2]}, ""),
}

_TEXTS = ("model", "user", "cache_salt", "request_id", "guided_regex", "service_tier")
_INTEGERS = ("top_k", "seed", "min_tokens", "logprobs", "n", "priority", "truncate_prompt_tokens")
_NUMBERS = ("temperature", "top_p", "min_p", "presence_penalty", "repetition_penalty")
_LARGE = [2**31, 2**32, 2**53, 2**63, 2**64, 2**70, -(2**31), -(2**63), -(2**70)]
_DEEP: Any = "x"
for _ in range(200):
    _DEEP = {"type": "object", "properties": {"a": _DEEP}}


@dataclass(frozen=True)
class Odd:
    """One request; `leaves`: its client goes before it is answered."""

    path: str
    body: bytes
    leaves: bool = False


def _fields() -> Iterator[dict[str, Any]]:
    for name in _TEXTS:
        yield {name: SURROGATE}
    for stop in (
        SURROGATE,
        [SURROGATE, "b"],
        [],
        [""],
        ["x"] * 2000,
        "",
        {"a": 1},
        [1],
        "y" * 9999,
    ):
        yield {"stop": stop}
    for name in _INTEGERS:
        for large in _LARGE[:: 2 if name == "n" else 3]:
            yield {name: large}
    for name in _NUMBERS:
        for number in (float("nan"), float("inf"), float("-inf"), 1e308, "1", [0.5]):
            yield {name: number}
    for tokens in (0, -1, 2**31, 2**70, 1.5, "5", float("nan")):
        yield {"max_tokens": tokens, "max_output_tokens": tokens}
    for ids in ([-1], [2**31], [2**63], [2**70], [1.5], ["a"], [[1]], [True]):
        yield {"stop_token_ids": ids, "prompt": ids, "tokens": ids}
    yield {"logit_bias": {str(2**40): 1}}
    yield {"logit_bias": {"1": float("nan")}}
    yield {"n": 100_000}
    yield {"n": 4, "stop": SURROGATE, "best_of": 2**70}
    yield {"messages": [], "prompt": [], "input": []}
    yield {"messages": None, "prompt": None, "input": None}
    yield {"messages": [{"role": SURROGATE, "content": SURROGATE}], "prompt": SURROGATE}
    yield {"messages": [{"role": "user", "content": [{"type": "text"}]}] * 50}
    yield {"metadata": {"a": SURROGATE}, "vllm_xargs": {"a": SURROGATE}}
    yield {"vllm_xargs": {"a": 2**70}, "chat_template_kwargs": {"a": SURROGATE, "b": 2**70}}
    for tools in ([], [{}], [{"type": "function", "function": {"name": SURROGATE}}]):
        yield {"tools": tools}
    for kind in (
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "#"}}},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": _DEEP}},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"const": SURROGATE}}},
        {"type": "json_object"},
        {"type": SURROGATE},
    ):
        yield {"response_format": kind}
    for grammar in (
        {"choice": [SURROGATE]},
        {"choice": []},
        {"choice": ["x" * 200] * 100},
        {"grammar": ""},
        {"grammar": "root ::= root"},
        {"regex": "("},
        {"regex": SURROGATE},
        {"json": {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}},
        {"structural_tag": "{}"},
        {"json_object": True, "regex": "a"},
    ):
        yield {"structured_outputs": grammar}


def odd_bodies() -> Iterator[Odd]:
    """Each field on one route after the other, streamed and whole; then those who leave."""
    for place, fields in enumerate(_fields()):
        routes = list(ROUTES)
        # Two routes each: the one that has such a field, and one in turn.
        for path in {"/v1/completions", routes[(place % (len(routes) - 1)) + 1]}:
            base, bound = ROUTES[path]
            stream = {"stream": True} if place % 2 and bound else {}
            body = base | ({bound: 2} if bound else {}) | stream | fields
            yield Odd(path, json.dumps(body).encode())
    for text in (
        b"",
        b"null",
        b"[]",
        b"[" * 5000,
        b"{" * 5000,
        b'{"model": 1',
        b"\xff\xfe",
        b"9" * 5000,
    ):
        yield Odd("/v1/completions", text)
    for path, (base, bound) in ROUTES.items():
        for stream in (True, False):
            body = base | ({bound: 200, "stream": stream} if bound else {}) | {"n": 3 * stream or 1}
            yield Odd(path, json.dumps(body).encode(), leaves=True)
