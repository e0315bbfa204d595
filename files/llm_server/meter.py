# SPDX-License-Identifier: Apache-2.0
"""Looks over the engine's shoulder: counts tokens, sees progress, ends what takes too long.

Every endpoint of vLLM asks its engine client for text through one method. Watching that one says
for all of them what a request used, and lets none ask for more than it may.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from . import vllm_compat
from .record import RequestRecord, current


class Progress:
    """When the engine last gave a token, and whether anybody waits for one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._running = 0

    def seen(self) -> None:
        """The engine gave something."""
        self._last = self._clock()

    def begin(self) -> None:
        """A request was handed to the engine."""
        if not self._running:  # an engine that was idle owes nothing from before
            self.seen()
        self._running += 1

    def end(self) -> None:
        """A request has left the engine."""
        self._running -= 1

    def stalled(self) -> float:
        """Seconds that somebody has waited without a token for anyone."""
        return self._clock() - self._last if self._running else 0.0


class Meter:
    """Puts itself between vLLM's endpoints and its engine client."""

    def __init__(self, progress: Progress, max_sequences: Callable[[], int]) -> None:
        self._progress = progress
        self._max_sequences = max_sequences
        self._aborts: set[asyncio.Task[None]] = set()

    def attach(self, client: Any) -> None:
        """Wraps the methods of one AsyncLLM."""
        self._client = client
        for name in ("generate", "encode"):
            if hasattr(client, name):
                setattr(client, name, self._watched(getattr(client, name)))
        processor = client.output_processor
        inner = processor.process_outputs

        def process_outputs(outputs: Any, *args: Any, **kwargs: Any) -> Any:
            if outputs:
                self._progress.seen()
            return inner(outputs, *args, **kwargs)

        processor.process_outputs = process_outputs

    def _watched(self, inner: Callable[..., AsyncIterator[Any]]) -> Callable[..., Any]:
        async def watched(
            prompt: Any, params: Any, request_id: str, *args: Any, **kwargs: Any
        ) -> AsyncIterator[Any]:
            record = current.get()
            if record is not None:
                self._admit(record, request_id, int(getattr(params, "n", 1) or 1))
            count = _Count(record, params)
            self._progress.begin()
            try:
                async with aclosing(inner(prompt, params, request_id, *args, **kwargs)) as outputs:  # type: ignore[type-var]
                    async for output in outputs:
                        count.add(output)
                        yield output
            finally:
                self._progress.end()
                count.settle()
                if record is not None:
                    record.running.pop(request_id, None)

        return watched

    def _admit(self, record: RequestRecord, request_id: str, sequences: int) -> None:
        record.abort = self._abort
        most = self._max_sequences()
        wanted = sum(record.running.values()) + sequences
        if wanted > most:
            raise vllm_compat.get("VLLMValidationError")(
                f"The request asks for {wanted} or more answers at once (prompts times n);"
                f" this server gives {most}. Send several requests.",
                parameter="n",
                value=sequences,
            )
        record.running[request_id] = sequences

    def _abort(self, ids: list[str]) -> None:
        task = asyncio.ensure_future(self._client.abort(ids))
        self._aborts.add(task)
        task.add_done_callback(self._aborts.discard)


class _Count:
    """Tokens of one request in the engine, added to the record of its HTTP request."""

    def __init__(self, record: RequestRecord | None, params: Any) -> None:
        self._record = record
        kind = getattr(getattr(params, "output_kind", None), "name", "")
        self._adds_up = kind == "DELTA"
        self._final = kind == "FINAL_ONLY"
        self._prompt = 0
        self._generated: dict[int, int] = {}

    def add(self, output: Any) -> None:
        """Takes one message of the engine into account."""
        record = self._record
        if record is None:
            return
        if not self._prompt:
            self._prompt = len(getattr(output, "prompt_token_ids", None) or ())
        if record.first_token is None:
            # Where only the end is sent, vLLM's own clock knows of the first token.
            known = getattr(getattr(output, "metrics", None), "first_token_latency", 0.0)
            record.first_token = (known or None) if self._final else record.seconds()
        parts = getattr(output, "outputs", None)
        for part in parts if isinstance(parts, list) else ():
            before = self._generated.get(part.index, 0) if self._adds_up else 0
            self._generated[part.index] = before + len(part.token_ids)

    def settle(self) -> None:
        """Adds up, also for a request that was cut off."""
        if self._record is not None:
            self._record.tokens_in += self._prompt
            self._record.tokens_out += sum(self._generated.values())
