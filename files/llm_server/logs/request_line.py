# SPDX-License-Identifier: Apache-2.0
"""The log lines of one request: JSON, bounded whatever a client sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..record import RequestRecord

#: Characters of what a client names; as JSON each may take six bytes, so that is bounded too.
PATH, AGENT, NAME = 256, 128, 128
#: What one of them may take as JSON; the five of a line and the rest are below `LINE_BYTES`.
_JSON_BYTES = 300
#: Characters of content in a line.
_CONTENT_BYTES = 1500


def request_lines(record: RequestRecord) -> Iterator[str]:
    """What is logged of a request that has ended.

    Never what was asked or answered, unless that was switched on: then it has lines of its own.
    """
    yield json.dumps(request_fields(record))
    rest, part = record.content or "", 0
    while rest:
        piece = short(rest, len(rest), _CONTENT_BYTES, end="")
        rest, part = rest[len(piece) :], part + 1
        yield json.dumps({"content_of": record.request_id, "part": part, "content": piece})


def request_fields(record: RequestRecord) -> dict[str, Any]:
    """What is known of it; where nothing is known of a thing, it is left out."""
    known = {
        "model": _name(record.model),
        "stream": record.stream,
        "finish_reason": ",".join(sorted(record.finish_reasons)) or None,
        "tokens_cached": record.tokens_cached or None,
        "queue_s": _seconds(record.queue_seconds),
        "expired": record.reason == "timeout" or None,
        "reason": record.reason,
    }
    return {
        "request_id": record.request_id,
        "key": record.key,
        "client": None if record.client is None else short(record.client, 64, 100),
        "agent": None if record.agent is None else short(record.agent, AGENT, _JSON_BYTES),
        "method": short(record.method, 16, 96),
        "path": short(record.path, PATH, 2 * _JSON_BYTES),
        "status": record.status,
        "tokens_in": record.tokens_in,
        "tokens_out": record.tokens_out,
        "time_to_first_token_s": _seconds(record.first_token),
        "total_s": _seconds(record.seconds()),
    } | {name: value for name, value in known.items() if value is not None}


def short(text: str, characters: int, json_bytes: int, end: str = "...") -> str:
    """The beginning of a text, in so many characters and bytes of JSON at most."""
    # A character takes up to six bytes there; most texts are short enough without a look.
    if len(text) <= characters and (
        6 * len(text) + 2 <= json_bytes or len(json.dumps(text)) <= json_bytes
    ):
        return text
    room, kept = json_bytes - 2 - len(end), 0
    for character in text[: characters - len(end)]:
        room -= len(json.dumps(character)) - 2
        if room < 0:
            break
        kept += 1
    return text[:kept] + end


def _name(text: str | None) -> str | None:
    return None if text is None else short(text, NAME, _JSON_BYTES)


def _seconds(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
