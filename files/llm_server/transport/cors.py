# SPDX-License-Identifier: Apache-2.0
"""Which pages of other sites may use the API from a browser: vLLM's four settings, outermost."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Send

from ..errors import error_response

#: What a page may read of an answer, beside what browsers show anyway.
EXPOSED = (
    "Request-Id",
    "Retry-After",
    "X-Request-Id",
    *(
        f"X-RateLimit-{what}-{unit}"
        for unit in ("Requests", "Tokens")
        for what in ("Limit", "Remaining", "Reset")
    ),
)


def _from_text(value: Any) -> Any:
    """A list as vLLM's command line has it."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


_Names = Annotated[tuple[str, ...], BeforeValidator(_from_text)]


class Origins(BaseModel):
    """vLLM's options of these names; by default no page of another site may ask."""

    model_config = ConfigDict(frozen=True)

    allowed_origins: _Names = ()
    allowed_methods: _Names = ("*",)
    allowed_headers: _Names = ("*",)
    allow_credentials: bool = False


class Cors(CORSMiddleware):
    """Starlette's own; it answers the question that a browser asks first, which has no key."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        super().__init__(
            app,
            allow_origins=origins.allowed_origins,
            allow_methods=origins.allowed_methods,
            allow_headers=origins.allowed_headers,
            allow_credentials=origins.allow_credentials,
            expose_headers=EXPOSED,
        )

    def send(
        self, message: Message, send: Send, request_headers: Headers
    ) -> Coroutine[Any, Any, None]:
        """Starlette's own for the head of an answer; pieces of it cost no coroutine."""
        if message["type"] != "http.response.start":
            return send(message)  # type: ignore[return-value]
        return super().send(message, send, request_headers)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Starlette's answer; a refusal says what to do, in the shape of every other error."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        refused = error_response(
            403,
            "Pages of this origin may not use this server, or not in this way."
            " Its operator can allow them: see allowed_origins, allowed_methods and"
            " allowed_headers of vLLM.",
        )
        for name, value in answer.headers.items():
            if name not in ("content-length", "content-type"):
                refused.headers[name] = value
        return refused
