# SPDX-License-Identifier: Apache-2.0
"""One JSON shape for every error, the one that vLLM and the OpenAI API use."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from .reasons import Reason
from .record import note_reason

#: What proxies log where the client left first; nobody receives it.
CLIENT_CLOSED_REQUEST = 499


class ConfigError(Exception):
    """The settings cannot be used; `messages` holds one line for each wrong field."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class LoadError(Exception):
    """The model could not be loaded; the text is one line that names the cause."""


def phrase(status: int) -> str:
    """What a status is called; also one that no standard names, as some apps answer."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Closed Request" if status == CLIENT_CLOSED_REQUEST else "Error"


def error_body(
    status: int, message: str, *, param: str | None = None, kind: str | None = None
) -> dict[str, dict[str, Any]]:
    """Builds `{"error": {"message", "type", "param", "code"}}`; the edge adds `request_id`."""
    kind = kind or phrase(status)
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def error_response(
    status: int,
    message: str,
    *,
    param: str | None = None,
    headers: dict[str, str] | None = None,
    reason: Reason | None = None,
) -> JSONResponse:
    """An answer of that shape; why this server refuses is kept for the request served now."""
    note_reason(reason)
    return JSONResponse(error_body(status, message, param=param), status, headers)
