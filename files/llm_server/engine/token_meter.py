# SPDX-License-Identifier: Apache-2.0
"""Looks over the engine's shoulder: counts tokens, sees progress, ends what takes too long.

Every endpoint of vLLM asks its engine client for text through one method. Watching that one says
for all of them what a request used, and lets none ask for more than it may.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from ..limits.budgets import KeyBudget
from ..limits.rates import KeyRates
from ..record import Refusal, RequestRecord, current
from ..vllm_api import client as vllm_client
from ..vllm_api import compat as vllm_compat
from .progress import Progress

logger = logging.getLogger("llm_server.meter")


class Meter:
    """Puts itself between vLLM's endpoints and its engine client."""

    def __init__(self, progress: Progress, max_sequences: Callable[[], int]) -> None:
        self._progress = progress
        self._max_sequences = max_sequences
        self._aborts: set[asyncio.Task[None]] = set()

    def attach(self, client: Any, *, known: bool = True) -> None:
        """Wraps the methods of one AsyncLLM; of one that is not known only those it offers."""
        view = vllm_client.EngineView(client) if known else vllm_client.BlindView(client)
        self.view = view
        for name in vllm_client.METHODS:
            if hasattr(client, name):
                setattr(client, name, self._watched(name, getattr(client, name)))
        self._progress.ask = view.is_paused
        self._progress.holds = view.holds
        view.on_step(self._progress.seen)
        view.on_request(_check, _added)

    def _watched(self, name: str, inner: Callable[..., AsyncIterator[Any]]) -> Callable[..., Any]:
        # No generator: what is refused is refused at once, before an answer has begun.
        def watched(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            record = current.get()
            prompt, params, request_id = vllm_client.arguments(name, args, kwargs)
            if record is None:
                return self._own(request_id, inner(*args, **kwargs))
            self._admit(record, prompt, params, request_id)
            timed = not vllm_client.is_final_only(params)
            return self._counted(record, request_id, inner(*args, **kwargs), timed=timed)

        return watched

    async def _counted(
        self, record: RequestRecord, request_id: str, inner: AsyncIterator[Any], *, timed: bool
    ) -> AsyncIterator[Any]:
        # Several answers end one by one; of a single one only the last message tells how.
        several = record.running.get(request_id, 1) > 1
        try:
            async with aclosing(inner) as outputs:  # type: ignore[type-var]
                async for output in outputs:
                    if timed and record.first_token is None:
                        record.first_token = record.seconds()
                    if several or output.finished:
                        record.finish_reasons.update(vllm_client.finish_reasons(output))
                    yield output
        finally:
            _settle(record, request_id)
            self._forget(request_id)

    async def _own(self, request_id: str, inner: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """What this server asks for itself."""
        try:
            async with aclosing(inner) as outputs:  # type: ignore[type-var]
                async for output in outputs:
                    yield output
        finally:
            self._forget(request_id)

    def _forget(self, request_id: str) -> None:
        """Has vLLM forget a request that has ended.

        It registers each before it sends it to the engine, and keeps it for good where sending
        fails or is cancelled.
        """
        if self.view.knows(request_id):
            self._abort([request_id])

    def _admit(self, record: RequestRecord, prompt: Any, params: Any, request_id: str) -> None:
        record.abort = self._abort
        record.settle = partial(_settle_all, record)
        _check()
        sequences = vllm_client.sequences(params)
        most = self._max_sequences()
        wanted = sum(record.running.values()) + sequences
        if wanted > most:
            record.reason = "too_many_sequences"
            raise vllm_compat.get("VLLMValidationError")(
                f"The request asks for {wanted} or more answers at once (prompts times n);"
                f" this server gives {most} (llm_server_limits.max_sequences). Send several"
                " requests.",
                parameter="n",
                value=sequences,
            )
        if record.rates is not None and not record.done:
            tokens = vllm_client.wanted_tokens(prompt, params)
            if record.budget is not None:
                self._set_aside(record, record.budget, tokens)
            self._reserve(record, record.rates, tokens)
        record.running[request_id] = sequences

    @staticmethod
    def _set_aside(record: RequestRecord, budget: KeyBudget, tokens: int) -> None:
        over = budget.reserve(tokens, more=record.aside > 0)
        if over is not None:
            text = over.message(str(record.key))
            record.refuse(Refusal(429, text, retry_after=over.seconds, reason=over.reason))
            _check()
        record.aside += tokens

    @staticmethod
    def _reserve(record: RequestRecord, rates: KeyRates, tokens: int) -> None:
        seconds = rates.reserve(tokens, more=record.reserved > 0)
        if seconds:
            refusal = Refusal(
                429,
                f"The requests of the key {record.key} may use all tokens that it has in a"
                f" minute (prompts plus max_tokens); try again in {seconds} s.",
                retry_after=seconds,
                reason="rate_tokens",
            )
            record.refuse(refusal)
            _check()
        record.reserved += tokens

    def _abort(self, ids: list[str]) -> None:
        task = asyncio.ensure_future(self.view.abort(ids))
        self._aborts.add(task)
        task.add_done_callback(self._aborted)

    def _aborted(self, task: asyncio.Task[None]) -> None:
        self._aborts.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("A request could not be ended in the engine: %r", error)

    def sizes(self) -> dict[str, int]:
        """Entries in vLLM's tables and in those here; where nobody asks for anything all are 0."""
        return self.view.sizes() | {"aborts": len(self._aborts)}


def _check() -> None:
    """Keeps from the engine what was ended before it got there, while it was rendered."""
    record = current.get()
    if record is not None and record.refusal is not None:
        raise vllm_compat.get("VLLMValidationError")(record.refusal.message)


def _added(request_id: str, state: Any) -> None:
    record = current.get()
    if record is not None:
        states = record.states.setdefault(request_id, [])
        if state not in states:
            states.append(state)


def _settle_all(record: RequestRecord) -> None:
    for request_id in list(record.states):
        _settle(record, request_id)


def _settle(record: RequestRecord, request_id: str) -> None:
    """Adds up what a request has used, also one that was cut off."""
    record.running.pop(request_id, None)
    states = record.states.pop(request_id, [])
    if not states:
        return
    # Several answers to one prompt have the prompt in common.
    tokens_in = max(map(vllm_client.prompt_length, states))
    tokens_out = sum(map(vllm_client.generated, states))
    record.tokens_in += tokens_in
    record.tokens_out += tokens_out
    record.tokens_cached += max(map(vllm_client.cached, states))
    record.adapter = vllm_client.adapter(states[0]) or record.adapter
    record.model = record.adapter or record.model
    waited = (record.queue_seconds, *map(vllm_client.queue_seconds, states))
    record.queue_seconds = max(waited, key=lambda seconds: seconds or 0.0)
    record.used(tokens_in, tokens_out)
    if record.first_token is None:
        known = [vllm_client.first_token_seconds(state) for state in states]
        record.first_token = min((seconds for seconds in known if seconds), default=None)
    if record.done and record.rates is not None:
        record.rates.spend(tokens_in + tokens_out)
