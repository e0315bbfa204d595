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


#: What the Anthropic API calls errors, by status; there are more statuses than names.
_ANTHROPIC = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
ANTHROPIC_PATHS = "/v1/messages"


class LoadError(Exception):
    """The model could not be loaded; the text is one line that names the cause."""


def phrase(status: int) -> str:
    """What a status is called; also one that no standard names, as some apps answer."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Closed Request" if status == CLIENT_CLOSED_REQUEST else "Error"


def is_mistake(error: BaseException) -> bool:
    """Whether vLLM refused what a client asked for, which may be after its answer had begun."""
    # By name: what is not there yet, or never, in this process need not be imported for it.
    return any(kind.__name__ == "VLLMValidationError" for kind in type(error).__mro__)


def error_body(
    status: int,
    message: str,
    *,
    param: str | None = None,
    kind: str | None = None,
    code: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Builds `{"error": {"message", "type", "param", "code"}}`; the edge adds `request_id`.

    `code` is the status, unless the OpenAI API has a word that its clients look for.
    """
    kind = kind or phrase(status)
    return {"error": {"message": message, "type": kind, "param": param, "code": code or status}}


def error_response(
    status: int,
    message: str,
    *,
    param: str | None = None,
    kind: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
    reason: Reason | None = None,
) -> JSONResponse:
    """An answer of that shape; why this server refuses is kept for the request served now."""
    note_reason(reason)
    body = error_body(status, message, param=param, kind=kind, code=code)
    return JSONResponse(body, status, headers)


def is_anthropic(path: str) -> bool:
    """Whether clients of the Anthropic API ask there."""
    return path == ANTHROPIC_PATHS or path.startswith(ANTHROPIC_PATHS + "/")


def whole_body(error: dict[str, Any], status: int, path: str) -> dict[str, Any]:
    """All of an answer with that error: around it, what clients of the path look for."""
    if not is_anthropic(path):
        return {"error": error}
    kind = _ANTHROPIC.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {
        "type": "error",
        "error": error | {"type": kind},
        "request_id": error.get("request_id"),
    }
