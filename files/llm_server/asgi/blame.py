# SPDX-License-Identifier: Apache-2.0
"""Errors that vLLM takes for its own and are not: a client's mistake, or too much to do."""

from __future__ import annotations

import re
from typing import Any

#: What vLLM says, what it is, and what a client is told.
_KNOWN: tuple[tuple[re.Pattern[str], int, str], ...] = (
    (
        re.compile(r"Regex compilation timed out"),
        400,
        "The regex takes too long to compile. Make it simpler.",
    ),
    (
        re.compile(r"Chat template rendering timed out"),
        503,
        "The chat was not rendered in time. Send it again, or a shorter one.",
    ),
    (
        re.compile(
            r"(json_schema_converter|grammar_functor|grammar_parser|structural_tag|regex_converter)"
            r"\.cc|[Ff]ailed to compile grammar|Failed to advance FSM"
        ),
        400,
        "What the answer is held to cannot be compiled (structured_outputs, response_format or"
        " tools).",
    ),
    (
        re.compile(r"surrogates not allowed|[Ii]nteger value out of range|int too (large|big)"),
        400,
        "The body has a value that cannot be sent to the engine.",
    ),
)
#: Names of vLLM's in its texts, and those that a user of this server can set.
_NAMES = ((re.compile(r"set the VLLM_MAX_N_SEQUENCES\s+environment variable"),
           "set llm_server_limits.max_sequences"),)  # fmt: skip


def whose(data: Any, status: int) -> tuple[Any, int]:
    """An error of the model's app, and its status, as they should be."""
    found = data.get("error", data) if isinstance(data, dict) else None
    message = found.get("message") if isinstance(found, dict) else None
    if status != 500 or not isinstance(message, str):
        return data, status
    for pattern, right, text in _KNOWN:
        if pattern.search(message):
            return {"error": {"message": text, "code": right}}, right
    return data, status


def rename(message: str) -> str:
    """The text of an error with the names of settings that are this server's."""
    for pattern, name in _NAMES:
        message = pattern.sub(name, message)
    return message
