# SPDX-License-Identifier: Apache-2.0
"""Keeps from the engine each grammar that would hold it up: all are tried out before.

Whatever asks for one (`structured_outputs`, `response_format`, tools, `text.format`), it comes with
the parameters of the engine's client, where it is met here.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import hashlib
import logging
import os
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from ..keys.access import AccessControl
from ..limits.grammar_bounds import Grammar, too_large
from ..limits.turns import FullError, Turns
from ..process.prover import FailedError, Prover, ProverError, SlowError
from ..reasons import Reason
from ..record import Refusal, RequestRecord, current
from ..vllm_api import compat as vllm_compat
from ..vllm_api import grammar as vllm_grammar

logger = logging.getLogger("llm_server.grammars")

#: What vLLM does again in the event loop, and the engine for each token, may take so long.
QUICK_S = 0.25
#: Above this the engine's own try is waited for, before the same key has its next one.
LONG_S = 0.2
#: Grammars that are known to be good, or not.
KNOWN = 2048
#: Requests of one key that wait for their grammar.
WAITING = 64
#: How often the process that tries grammars out may end before its word is no longer asked for.
TRIES = 3
#: What libraries put before their messages.
_PLACE = re.compile(r"^\[[\d:]+\] \S+:\d+: ")
_PATTERN = re.compile(r"\s*Pattern: .*", re.DOTALL)

FULL = Refusal(
    429,
    f"{WAITING} requests of this key wait for their grammars already; try again in 2 s.",
    retry_after=2,
    reason="grammars_full",
)


@dataclass(frozen=True)
class Verdict:
    """What became of a try; without `problem` it is good."""

    problem: str | None = None
    reason: Reason = "bad_value"
    #: Seconds of a processor that the engine will take.
    seconds: float = 0.0


class Grammars:
    """Puts itself between vLLM's endpoints and its engine client; before the meter does."""

    def __init__(self, control: AccessControl) -> None:
        self._control = control
        self._prover: Prover | None = None
        self._known: OrderedDict[str, Verdict] = OrderedDict()
        # One at a time for each key: its grammars do not hold up the others'.
        self._turns = Turns(max(2, (os.cpu_count() or 1) // 2), WAITING)
        self._starting = asyncio.Lock()
        self._failed = 0

    def attach(self, client: Any) -> None:
        """Wraps the method of one AsyncLLM that generates."""
        if not hasattr(client, "generate"):
            return
        inner = client.generate

        def generate(
            prompt: Any, sampling_params: Any, request_id: str, *args: Any, **kwargs: Any
        ) -> AsyncIterator[Any]:
            outputs = inner(prompt, sampling_params, request_id, *args, **kwargs)
            record, grammar = current.get(), vllm_grammar.grammar_of(sampling_params)
            # Any JSON object is one grammar, which is known to be good.
            if record is None or grammar is None or grammar.kind == "json_object":
                return outputs  # type: ignore[no-any-return]
            problem = too_large(grammar, self._control.limits.max_grammar_bytes)
            if problem:
                raise _refused(record, Verdict(f"{problem} Make it smaller.", "grammar_too_large"))
            return self._tried(client, inner, record, grammar, outputs)

        client.generate = generate

    def close(self) -> None:
        """Ends the process that tries grammars out."""
        if self._prover is not None:
            self._prover.close()

    async def _tried(
        self,
        client: Any,
        generate: Callable[..., Any],
        record: RequestRecord,
        grammar: Grammar,
        outputs: Any,
    ) -> AsyncIterator[Any]:
        text = f"{self._control.limits.max_grammar_seconds} {grammar.text()}"
        digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
        async with aclosing(outputs):
            verdict, early = self._known.get(digest), None
            if verdict is None:
                async with self._slot(record):
                    prover = await self._ready(client, generate)
                    verdict = self._known.get(digest) or await self._try(prover, grammar)
                    self._remember(digest, verdict)
                    if verdict.problem is None and verdict.seconds > LONG_S:
                        early = await anext(outputs, None)
            if verdict.problem is not None:
                raise _refused(record, verdict)
            if early is not None:
                yield early
            async for output in outputs:
                yield output

    @contextlib.asynccontextmanager
    async def _slot(self, record: RequestRecord) -> AsyncIterator[None]:
        try:
            async with self._turns.turn(record.key or ""):
                yield
        except FullError:
            record.refusal = FULL
            raise vllm_compat.get("VLLMValidationError")(FULL.message) from None

    async def _ready(self, client: Any, generate: Callable[..., Any]) -> Prover:
        async with self._starting:
            if self._prover is None:
                await asyncio.to_thread(vllm_grammar.preload)
                # Apart from the request that happens to be the first, which is counted.
                work = vllm_grammar.settle_backend(client, generate)
                task = asyncio.create_task(work, context=contextvars.Context())
                self._prover = Prover(vllm_grammar.preparing(client, await task))
        return self._prover

    async def _try(self, prover: Prover, grammar: Grammar) -> Verdict:
        seconds = self._control.limits.max_grammar_seconds
        task = {"kind": grammar.kind, "value": grammar.value, "options": grammar.options}
        while self._failed < TRIES:
            try:
                took = await prover.prove(task, seconds)
            except SlowError:
                return _slow(grammar, seconds)
            except FailedError as error:
                self._failed = 0
                return Verdict(_sentence(grammar, str(error)))
            except ProverError as error:
                self._failed += 1
                logger.error("Grammars cannot be tried out: %s", error)
                if self._failed == TRIES:
                    logger.error("From now on grammars are bounded by their size alone")
            else:
                self._failed = 0
                return _verdict(grammar, took, seconds)
        return Verdict()

    def _remember(self, digest: str, verdict: Verdict) -> None:
        self._known[digest] = verdict
        while len(self._known) > KNOWN:
            self._known.popitem(last=False)


def _verdict(grammar: Grammar, took: dict[str, Any], seconds: float) -> Verdict:
    if took["check"] > QUICK_S or took["step"] > QUICK_S or took["compile"] > seconds:
        return _slow(grammar, seconds)
    if took["empty"]:
        return Verdict(f"structured_outputs.{grammar.kind}: no answer can fit it.")
    return Verdict(seconds=took["compile"])


def _slow(grammar: Grammar, seconds: float) -> Verdict:
    return Verdict(
        f"structured_outputs.{grammar.kind} takes longer to compile than this server allows"
        f" ({seconds:g} s; llm_server_limits.max_grammar_seconds). Make it simpler.",
        "grammar_slow",
    )


def _sentence(grammar: Grammar, text: str) -> str:
    lines = _PATTERN.sub("", _PLACE.sub("", text)).strip().splitlines()
    reason = f": {lines[0][:300]}" if lines else ""
    return f"structured_outputs.{grammar.kind} cannot be compiled{reason}"


def _refused(record: RequestRecord, verdict: Verdict) -> Exception:
    record.reason = verdict.reason
    error: Exception = vllm_compat.get("VLLMValidationError")(
        verdict.problem, parameter="structured_outputs"
    )
    return error
