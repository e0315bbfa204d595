# SPDX-License-Identifier: Apache-2.0
"""Puts any app's errors into the one shape, without what is not for clients."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from ..errors import error_body, is_anthropic, phrase, whole_body
from ..record import current
from .blame import rename, whose

#: Absolute paths of this host. Not those of the API, which begin with its version, and not what
#: follows a host in a URL.
_PATHS = re.compile(
    r"(?<![\w:/.<])/(?!v\d+/)(?:[\w.@+~-]+/)+[\w.@+~-]*|(?<![\w:/.<])/[\w@+~-]+\.\w+"
)
#: The folders that this host has at its root.
_ROOTS = frozenset(
    entry.name for entry in os.scandir("/") if entry.is_dir() and "." not in entry.name
)
_TRACEBACK = "Traceback (most recent call last)"
#: How vLLM, and this server, tell of an error in a stream that has begun.
STREAM_ERROR = b'data: {"error"'
#: Streams whose events have names, beside those of the Anthropic API.
_NAMED_EVENTS = ("/v1/responses",)


def error_of(
    body: bytes, status: int, request_id: str, *, inside: bool
) -> tuple[int, dict[str, Any]]:
    """Status and error of an answer's body: `message`, `type`, `param`, `code`, `request_id`.

    Args:
        body: what the app sent.
        status: the answer's.
        request_id: the id that the client knows.
        inside: whether it is the model's app that sent it, not this server.
    """
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if inside:
        data, status = whose(data, status)
    return status, _reshape(data, status, request_id, inside=inside)


def _reshape(data: Any, status: int, request_id: str, *, inside: bool) -> dict[str, Any]:
    found = data.get("error", data) if isinstance(data, dict) else {}
    found = found if isinstance(found, dict) else {"message": found}
    message = found.get("message") or found.get("detail") or phrase(status)
    if not isinstance(message, str):
        message = json.dumps(message)
    kind = found.get("type")
    if status == 500 or (inside and status > 500):
        # Whatever it says is for who runs the server.
        _keep(status, message)
        kind = None
        message = "The server failed." if status == 500 else f"{phrase(status)}."
    message = _PATHS.sub(_hidden, rename(message.split(_TRACEBACK)[0])).strip()
    # A word that clients look for; most have the status once more.
    code = found.get("code") if isinstance(found.get("code"), str) and status < 500 else None
    error = error_body(status, message, param=found.get("param"), kind=kind, code=code)["error"]
    return error | {"request_id": request_id}


def _hidden(found: re.Match[str]) -> str:
    """Hides what is a path of this host; what a client wrote may look like one (`/$defs/Name`)."""
    first, more = found[0][1:].partition("/")[::2]
    return "a file" if not more or first in _ROOTS else found[0]


def _keep(status: int, message: str) -> None:
    record = current.get()
    if record is not None:
        record.failed, record.failed_status = message, status


def stream_error(chunk: bytes, request_id: str) -> bytes:
    """A chunk of a stream that begins with `STREAM_ERROR`, its error in the one shape."""
    line, _, rest = chunk.partition(b"\n")
    found = _error_event(line, request_id)
    return chunk if found is None else _event(found[1]) + b"\n" + rest


def first_error(chunk: bytes, request_id: str) -> tuple[int, dict[str, Any]] | None:
    """Status and error of a stream that begins with one; None where it begins well."""
    for line in chunk.split(b"\n", 2)[:2]:  # the name of the event may come before
        if line.startswith(STREAM_ERROR):
            return _error_event(line, request_id)
    return None


def _error_event(line: bytes, request_id: str) -> tuple[int, dict[str, Any]] | None:
    try:
        data = json.loads(line.removeprefix(b"data: "))
    except ValueError:
        return None
    code = data["error"].get("code") if isinstance(data["error"], dict) else None
    status = code if isinstance(code, int) and 400 <= code <= 599 else 500
    data, status = whose(data, status)
    return status, _reshape(data, status, request_id, inside=True)


def last_events(path: str, error: dict[str, Any], status: int) -> bytes:
    """What ends a stream that has begun and cannot go on."""
    if is_anthropic(path) or path in _NAMED_EVENTS:
        whole = {"type": "error"} | whole_body(error, status, path)
        data = json.dumps(whole).encode()
        return b"event: error\ndata: " + data + b"\n\n"
    return _event(error) + b"\n\ndata: [DONE]\n\n"


def _event(error: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"error": error}).encode()
