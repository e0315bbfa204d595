# SPDX-License-Identifier: Apache-2.0
"""The outermost app: every request gets an id, a log line, an end, and errors of one shape."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ..errors import CLIENT_CLOSED_REQUEST, is_mistake
from ..keys.access import AccessControl
from ..keys.api_keys import OPEN
from ..logs.failures import keep, report
from ..logs.request_line import request_lines
from ..record import TOO_LONG, Refusal, RequestRecord, accept_id, current
from ..telemetry.metrics import Metrics
from ..telemetry.noise import OPEN as OPEN_TO_ALL
from ..telemetry.noise import STRANGERS, Noise
from ..transport.connections import ABORT
from .answer import REQUEST_ID, Answer

logger = logging.getLogger("llm_server.edge")
access_log = logging.getLogger("llm_server.access")

#: How long an app may take to end a request once the engine has dropped it.
GRACE_S = 3.0
#: How long a client may take to receive the last words.
LAST_WORDS_S = 1.0


@dataclass(eq=False)
class _Call:
    record: RequestRecord
    time: asyncio.Timeout

    def end(self, refusal: Refusal = TOO_LONG, grace: float | None = None) -> None:
        """Ends it in the engine, and a little later wherever else it hangs."""
        self.record.expire(refusal)
        if not self.time.expired():
            when = asyncio.get_running_loop().time() + (GRACE_S if grace is None else grace)
            before = self.time.when()
            self.time.reschedule(when if before is None else min(before, when))


class Edge:
    """Wraps everything else."""

    def __init__(
        self,
        app: ASGIApp,
        control: AccessControl,
        proxies: Sequence[str] = (),
        metrics: Metrics | None = None,
        *,
        key_needed: bool = False,
    ) -> None:
        """Of the proxies it believes what they say of who asks; addresses and networks."""
        self.key_needed = key_needed
        self.metrics = metrics
        self.app = app
        trusted = list(proxies) or os.environ.get("FORWARDED_ALLOW_IPS", "")
        self._door: Any = ProxyHeadersMiddleware(self._serve, trusted)  # type: ignore[arg-type]
        self.control = control
        self.noise = Noise()
        self._calls: set[_Call] = set()

    def end_all(self, refusal: Refusal, grace: float) -> None:
        """Ends all requests: `grace` is the seconds in which their apps may do it themselves."""
        for call in list(self._calls):
            call.end(refusal, grace)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request or websocket; no exception of an app gets out."""
        await self._door(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope.get("method"), scope["path"]) in OPEN:
            await self.app(scope, receive, send)
            return
        request_id = accept_id(Headers(scope=scope).get(REQUEST_ID))
        kept = [pair for pair in scope["headers"] if pair[0] != REQUEST_ID.encode()]
        # vLLM names the request in its engine after this header, and ends it there by that name:
        # two clients that chose the same id must not have the same name.
        inner_id = f"{request_id}-{uuid.uuid4().hex[:8]}"
        scope["headers"] = [*kept, (REQUEST_ID.encode(), inner_id.encode())]
        record = RequestRecord(request_id, scope.get("method", "WEBSOCKET"), scope["path"])
        record.client = (scope.get("client") or (None,))[0]
        record.agent = Headers(scope=scope).get("user-agent")
        if self.metrics is not None:
            record.used = partial(self.metrics.used, record)
        current.set(record)
        answer = Answer(record, send)

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not answer.complete:
                record.gone = True
            return message

        try:
            await self._run(record, scope, watched, answer)
        finally:
            if scope["type"] == "http" and (record.gone or record.status is None):
                record.status = CLIENT_CLOSED_REQUEST
            self._log(record)

    def not_http(self, request_id: str, client: str | None) -> None:
        """Logs what was refused before it was a request."""
        record = RequestRecord(request_id, "", "", client=client, status=400, reason="not_http")
        self._log(record)

    def _log(self, record: RequestRecord) -> None:
        report(record)
        if self.metrics is not None:
            self.metrics.ended(record)
        kind: str | None = record.reason if record.reason in STRANGERS else None
        if self.key_needed and record.key is None and record.reason is None:
            kind = OPEN_TO_ALL
        if kind is None or self.noise.is_logged(kind, record.client):
            for line in request_lines(record):
                access_log.info("%s", line)

    async def _run(
        self, record: RequestRecord, scope: Scope, receive: Receive, answer: Answer
    ) -> None:
        """Runs the app, no longer than it may take."""
        seconds = self.control.limits.max_request_seconds
        time = asyncio.timeout(None)
        call = _Call(record, time)
        timer = asyncio.get_running_loop().call_later(seconds, call.end)
        try:
            async with time:
                self._calls.add(call)
                try:
                    await self.app(scope, receive, answer.send)
                finally:
                    timer.cancel()
                    self._calls.discard(call)
        except Exception as error:
            if isinstance(error, TimeoutError) and time.expired():
                await self._cut(record, scope, answer)
                return
            if not await self._fail(error, record, scope, answer):
                raise
        else:
            if time.expired() and not answer.complete:  # an app that took its end for an answer
                await self._cut(record, scope, answer)

    @staticmethod
    async def _fail(error: Exception, record: RequestRecord, scope: Scope, answer: Answer) -> bool:
        """Tells the client that its request failed, as far as that can be told still.

        Returns:
            Whether the answer has ended, one way or the other.
        """
        status, text = 400, str(error)
        if not is_mistake(error):
            keep(error)
            status, text = 500, "The server failed."
            record.failed = record.failed or (None if record.gone else "")
        if record.gone or scope["type"] != "http" or answer.complete:
            return True
        if not answer.passed:
            await answer.fail(status, text)
        elif not await answer.break_off(status, text):
            if ABORT not in scope:
                return False
            scope[ABORT]()  # too late for an error: the connection is closed instead
            await asyncio.sleep(0.01)
        return True

    async def _cut(self, record: RequestRecord, scope: Scope, answer: Answer) -> None:
        """Ends an answer whose app did not, or whose client does not take it."""
        logger.warning("request %s was cut off", record.request_id)
        ended = False
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                ended = await self._last_words(record.refusal or TOO_LONG, scope, answer)
        except Exception as error:  # nobody hears them: a websocket that is closed already, say
            logger.debug("request %s: no last words: %r", record.request_id, error)
        if not ended and ABORT in scope:
            scope[ABORT]()
            await asyncio.sleep(0.01)  # or uvicorn would still find the answer wanting

    @staticmethod
    async def _last_words(refusal: Refusal, scope: Scope, answer: Answer) -> bool:
        """Returns whether the answer is whole."""
        if scope["type"] == "websocket":
            close = {"type": "websocket.close", "code": 1013, "reason": refusal.message}
            await answer.send(close)
            return True
        if answer.complete:  # all was said, and the client does not take it
            return False
        if not answer.passed:
            await answer.refuse(refusal)
        else:
            await answer.end_stream()
        return answer.complete
