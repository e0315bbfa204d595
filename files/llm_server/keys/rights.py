# SPDX-License-Identifier: Apache-2.0
"""What a known key opens, and until when."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ..errors import error_response
from ..record import Refusal, current, note_reason
from .access import AccessControl, Key

logger = logging.getLogger("llm_server")

METRICS_PATH = "/metrics"
#: What a key of the scope `inference` opens. An allow-list: a route that a new vLLM adds may be
#: one that resizes, pauses or stops the server.
INFERENCE = frozenset(
    {
        "/",
        "/classify",
        "/cohere/v2/chat",
        "/cohere/v2/chat/render",
        "/detokenize",
        "/docs",
        "/docs/oauth2-redirect",
        "/generate",
        "/generative_scoring",
        "/inference/v1/generate",
        "/invocations",
        "/openapi.json",
        "/ping",
        "/pooling",
        "/rerank",
        "/score",
        "/tokenize",
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/chat/completions",
        "/v1/chat/completions/batch",
        "/v1/chat/completions/derender",
        "/v1/chat/completions/render",
        "/v1/completions",
        "/v1/completions/derender",
        "/v1/completions/render",
        "/v1/embeddings",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/messages/render",
        "/v1/models",
        "/v1/realtime",
        "/v1/rerank",
        "/v1/responses",
        "/v1/responses/render",
        "/v1/score",
        "/v1/systemone",
        "/v2/embed",
        "/v2/rerank",
        "/version",
    }
)
_BELOW = ("/static/", "/v1/models/", "/v1/responses/")

#: So long before the end of a key the log says so, once a day.
SOON = timedelta(days=7)
DAY_S = 86_400.0
#: How often keys are looked at.
LOOK_S = 3600.0


class KeyRights:
    """Answers 401 to a key that has expired, and 403 where its scope does not reach."""

    def __init__(
        self, app: ASGIApp, control: AccessControl, clock: Callable[[], float] = time.time
    ) -> None:
        self.app = app
        self.control = control
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, or refuses, one HTTP request or websocket whose key is known."""
        record = current.get()
        key = None if record is None else self.control.named(record.key)
        refusal = None if key is None else refused(key, scope, self._clock())
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            note_reason(refusal.reason)
            await WebSocketClose(code=1008, reason=refusal.message)(scope, receive, send)
        else:
            response = error_response(
                refusal.status, refusal.message, reason=refusal.reason, **_MORE[refusal.status]
            )
            await response(scope, receive, send)


def refused(key: Key, scope: Scope, now: float) -> Refusal | None:
    """Why a key does not open what is asked; None where it does."""
    if key.expires is not None and now >= key.expires.timestamp():
        text = f"The key {key.name} expired on {_date(key.expires)}. Ask for a new one."
        return Refusal(401, text, reason="expired_key")
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if key.scope == "all" or path in _OPENS[key.scope] or _is_below(key, path):
        return None
    text = (
        f"The key {key.name} has the scope {key.scope}: it opens {_OPENS_WORDS[key.scope]}."
        " This path needs a key whose scope is all (llm_server_keys)."
    )
    return Refusal(403, text, reason="out_of_scope")


#: As for a key that is not known.
_MORE: dict[int, dict[str, Any]] = {
    401: {
        "kind": "invalid_request_error",
        "code": "invalid_api_key",
        "headers": {"WWW-Authenticate": "Bearer"},
    },
    403: {},
}
_OPENS_WORDS = {"inference": "what asks the model", "metrics": "/metrics and /health"}
_OPENS = {"inference": INFERENCE, "metrics": frozenset({METRICS_PATH})}


def _is_below(key: Key, path: str) -> bool:
    below = path.startswith(_BELOW) or path.rstrip("/") in INFERENCE
    return key.scope == "inference" and below


def _date(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    # What was given as a day ends with it.
    if (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment - timedelta(seconds=1):%Y-%m-%d} (end of the day, UTC)"
    return f"{moment:%Y-%m-%d %H:%M} UTC"


class Reminder:
    """Says in the log, once a day, which keys end soon or have ended."""

    def __init__(self, control: AccessControl, clock: Callable[[], float] = time.time) -> None:
        self._control = control
        self._clock = clock
        self._said: dict[str, tuple[datetime, float]] = {}

    def look(self) -> None:
        """Says what was not said within a day; a key with a new end is new."""
        now, before = self._clock(), self._said
        self._said = {}
        for key in self._control.access.keys:
            if key.expires is None or key.expires.timestamp() > now + SOON.total_seconds():
                continue
            end, said = before.get(key.name, (key.expires, 0.0))
            if end != key.expires or now - said >= DAY_S:
                self._say(key.name, key.expires, now)
                said = now
            self._said[key.name] = (key.expires, said)

    @staticmethod
    def _say(name: str, end: datetime, now: float) -> None:
        verb = "expired" if end.timestamp() <= now else "expires"
        logger.warning("The key %s %s on %s; see llm_server_keys", name, verb, _date(end))
