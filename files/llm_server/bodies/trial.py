# SPDX-License-Identifier: Apache-2.0
"""Bodies of many values: checked in a process that can be killed, before vLLM does in its loop.

What a value costs depends on what it is: some are compared with twenty kinds of objects, and each
that none of them fits makes twenty errors. So the one who counts is the clock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..limits.turns import FullError, Turns
from ..process.prover import FailedError, Prover, ProverError, SlowError
from ..record import current
from .examine import Wrong
from .skeleton import cut

logger = logging.getLogger("llm_server.trial")

#: Seconds of a processor that checking one may take.
SECONDS = 0.1
#: A key waits so many times as long as its body holds up the others.
SHARE = 4
#: Requests of one key that wait.
WAITING = 64
_TOO_MUCH = (
    "The body takes too long to check: it has too many messages, parts or tools of kinds that are"
    " hard to tell apart. Send fewer."
)


def preparing(models: Mapping[str, Any]) -> Callable[[], Callable[[dict[str, Any]], Any]]:
    """Makes what checks a body by its path's model, in a process of its own."""

    def prepare() -> Callable[[dict[str, Any]], dict[str, Any]]:
        adapters = {path: TypeAdapter(model) for path, model in models.items()}

        def work(task: dict[str, Any]) -> dict[str, Any]:
            began = time.process_time()
            try:
                adapters[task["path"]].validate_python(task["data"])
            except ValidationError as error:
                return {"wrong": _first_of(error)}
            except Exception as error:  # what a validator raises: its text is for the client
                return {"wrong": str(error)[:500]}
            return {"seconds": time.process_time() - began}

        return work

    return prepare


def _first_of(error: ValidationError) -> str:
    """What is wrong with the first value that is; a value itself is not repeated."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"] if isinstance(part, int | str))
    return f"{where}: {first['msg']}"[:500] if where else str(first["msg"])[:500]


class Trial:
    """Tries bodies of many values out."""

    def __init__(self) -> None:
        self._prover: Prover | None = None
        self._models: Mapping[str, Any] = {}
        self._turns = Turns(at_once=2, waiting=WAITING)
        self._pauses: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Ends the process."""
        if self._prover is not None:
            self._prover.close()

    async def check(self, path: str, data: Any, models: Mapping[str, Any]) -> Wrong | None:
        """Why a body is refused; None is not."""
        if path not in models:
            return None
        if self._prover is None or models is not self._models:
            self.close()
            self._prover, self._models = Prover(preparing(models)), models
        record = current.get()
        key = (record and record.key) or ""
        entered: asyncio.Future[Wrong | None] = asyncio.get_running_loop().create_future()
        turn = asyncio.ensure_future(self._in_turn(self._prover, key, path, data, entered))
        self._pauses.add(turn)
        turn.add_done_callback(self._pauses.discard)
        try:
            return await entered
        finally:
            if not entered.done() or entered.cancelled():
                turn.cancel()

    async def _in_turn(
        self,
        prover: Prover,
        key: str,
        path: str,
        data: Any,
        found: asyncio.Future[Wrong | None],
    ) -> None:
        try:
            async with self._turns.turn(key):
                wrong, seconds = await self._try(prover, path, data)
                if not found.done():
                    found.set_result(wrong)
                await asyncio.sleep(SHARE * seconds)
        except FullError:
            text = f"{WAITING} large bodies of this key wait already; try again in 2 s."
            found.set_result(Wrong(429, text, None, "full"))

    @staticmethod
    async def _try(prover: Prover, path: str, data: Any) -> tuple[Wrong | None, float]:
        try:
            task = {"path": path, "data": await asyncio.to_thread(cut, data)}
            took = await prover.prove(task, SECONDS)
        except SlowError:
            return Wrong(400, _TOO_MUCH, None, "too_many_elements"), 0.0
        except (FailedError, ProverError) as error:
            logger.error("A large body cannot be tried out: %r", error)
            return None, SECONDS
        if "wrong" in took:
            return Wrong(400, f"{took['wrong']}.", None, "bad_value"), 0.0
        if took["seconds"] > SECONDS:
            return Wrong(400, _TOO_MUCH, None, "too_many_elements"), 0.0
        return None, took["seconds"]
