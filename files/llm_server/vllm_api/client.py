# SPDX-License-Identifier: Apache-2.0
"""The inside of vLLM's engine client, as far as this server looks into it.

Beside `vllm_compat` the only module that names what vLLM keeps to itself; 0.25 and 0.32 have
all of it alike. Nothing here costs anything for a token: what counts them is vLLM's own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from . import compat as vllm_compat

#: How vLLM has a process of its executor call itself (`VLLM::Worker_TP0`).
_TITLE = re.compile(r"^\S*::Worker")

#: The arguments of the client's methods that give text or vectors, by their place.
METHODS = {
    "generate": ("prompt", "sampling_params", "request_id"),
    "encode": ("prompt", "pooling_params", "request_id"),
}


def arguments(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Prompt, parameters and id of a call, whichever way they were given."""
    names = METHODS[method]
    return [args[i] if i < len(args) else kwargs[name] for i, name in enumerate(names)]


def wanted_tokens(prompt: Any, params: Any) -> int:
    """What a request may use at most: its prompt once, and each answer."""
    ids = prompt.get("prompt_token_ids") if isinstance(prompt, dict) else None
    return len(ids or ()) + sequences(params) * (getattr(params, "max_tokens", None) or 0)


def sequences(params: Any) -> int:
    """How many answers a request generates; what makes vectors or scores generates none."""
    return int(getattr(params, "n", 0) or 0)


def is_final_only(params: Any) -> bool:
    """Whether the engine's client hears of the end only."""
    return getattr(getattr(params, "output_kind", None), "name", "") == "FINAL_ONLY"


class EngineView:
    """Watches one AsyncLLM."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._processor = client.output_processor
        self._stats: Any = None
        config = getattr(client, "vllm_config", None)
        self._waits_for_others = getattr(config, "kv_transfer_config", None) is not None

    async def is_paused(self) -> bool:
        """Asks the engine whether it was told to work at nothing.

        Its loop answers between two steps, idle or busy: one that hangs, or that waits for a
        worker which hangs, does not.
        """
        return bool(await self._client.is_paused())

    def holds(self) -> bool:
        """Whether the engine has reported since the last call that some wait and none runs.

        Those that wait for a grammar, or for what another host computes, are not among them.
        """
        stats, self._stats = self._stats, None
        if stats is None or self._waits_for_others:
            return False
        return bool(stats.num_waiting_reqs) and not stats.num_running_reqs

    def knows(self, request_id: str) -> bool:
        """Whether the client keeps anything of a request, by the id that was asked for."""
        return request_id in self._processor.external_req_ids

    def sizes(self) -> dict[str, int]:
        """Entries in the client's tables: all of them are 0 where nobody asks for anything."""
        processor = self._processor
        return {
            "request_states": len(processor.request_states),
            "external_req_ids": len(processor.external_req_ids),
            "parent_requests": len(processor.parent_requests),
        }

    def processes(self) -> dict[int, str]:
        """Numbers and names of what must run: the engine's processes, and its workers.

        Not what else they started: compilers come and go.
        """
        found: dict[int, str] = {}
        manager = self._client.engine_core.resources.engine_manager
        for engine in getattr(manager, "processes", ()):
            found[engine.pid] = "the engine"
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(engine.pid).children():
                    if _TITLE.search(" ".join(child.cmdline())):
                        found[child.pid] = "a worker of the engine"
        return found

    def fail(self) -> None:
        """The engine is dead: who waits for it is told, and nobody asks it any more."""
        self._client.engine_core.resources.engine_dead = True
        self._processor.propagate_error(vllm_compat.get("EngineDeadError")())

    def on_step(self, seen: Callable[[], None]) -> None:
        """Has `seen` called for each step that gave tokens, or worked at prompts."""
        processor = self._processor
        outputs, stats = processor.process_outputs, processor.update_scheduler_stats

        def process_outputs(given: Any, *args: Any, **kwargs: Any) -> Any:
            if given:
                seen()
            return outputs(given, *args, **kwargs)

        def update_scheduler_stats(given: Any) -> Any:
            if given is not None:
                self._stats = given
                # A step at a long prompt gives nothing else; one that runs nothing is no progress.
                if given.num_running_reqs:
                    seen()
            return stats(given)

        processor.process_outputs = process_outputs
        processor.update_scheduler_stats = update_scheduler_stats

    def on_request(self, check: Callable[[], None], added: Callable[[str, Any], None]) -> None:
        """Has `check` called before a request is handed to the engine, in the task that asks.

        And `added` afterwards, with the id that was asked for and the client's state of it.
        """
        processor = self._processor
        inner = processor.add_request

        def add_request(request: Any, *args: Any, **kwargs: Any) -> Any:
            check()
            result = inner(request, *args, **kwargs)
            state = processor.request_states.get(request.request_id)
            if state is not None:
                added(state.external_req_id, state)
            return result

        processor.add_request = add_request

    async def abort(self, ids: list[str]) -> None:
        """Ends requests, by the ids that were asked for."""
        processor = self._processor
        known = [each for name in ids for each in processor.external_req_ids.get(name, ())]
        states = [processor.request_states.get(each) for each in known]
        # Several answers to one prompt end with what stands for all of them: ended one by one
        # they would leave it in the client's table for good.
        parents = [getattr(state, "parent_req", None) for state in states]
        ends = [
            each if parent is None else parent.request_id
            for each, parent in zip(known, parents, strict=True)
        ]
        await self._client.abort(list(dict.fromkeys(ends)), internal=True)


class BlindView(EngineView):
    """Watches an AsyncLLM of which only the public methods are known: it serves, uncounted."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def is_paused(self) -> bool:
        """Asks the engine all the same, where it can be asked."""
        ask = getattr(self._client, "is_paused", None)
        return bool(await ask()) if ask is not None else False

    def holds(self) -> bool:
        """Not known."""
        return False

    def knows(self, request_id: str) -> bool:  # noqa: ARG002
        """Not known."""
        return False

    def sizes(self) -> dict[str, int]:
        """Not known."""
        return {}

    def processes(self) -> dict[int, str]:
        """Not known: vLLM itself tells of their end, later."""
        return {}

    def fail(self) -> None:
        """vLLM tells those who wait itself."""

    def on_step(self, seen: Callable[[], None]) -> None:
        """Steps are not seen."""

    def on_request(self, check: Callable[[], None], added: Callable[[str, Any], None]) -> None:
        """Requests are not seen on their way."""

    async def abort(self, ids: list[str]) -> None:
        """Ends requests, by the ids that were asked for."""
        await self._client.abort(ids)


def prompt_length(state: Any) -> int:
    """Tokens of the prompt."""
    return int(state.prompt_len)


def generated(state: Any) -> int:
    """Tokens of the answer so far; those of a pooling model are none."""
    return 0 if state.detokenizer is None else int(state.detokenizer.num_output_tokens())


def first_token_seconds(state: Any) -> float | None:
    """Seconds to the first token by vLLM's own clock; None where it has not come."""
    return getattr(getattr(state, "stats", None), "first_token_latency", 0.0) or None


def queue_seconds(state: Any) -> float | None:
    """Seconds that it waited for the engine to begin with it; None where it has not."""
    stats = getattr(state, "stats", None)
    queued, begun = getattr(stats, "queued_ts", 0.0), getattr(stats, "scheduled_ts", 0.0)
    return begun - queued if queued and begun else None


def cached(state: Any) -> int:
    """Tokens of the prompt that were in the cache."""
    return int(getattr(state, "num_cached_tokens", 0) or 0)


def adapter(state: Any) -> str | None:
    """The adapter that was asked for; None is the model itself."""
    return getattr(state, "lora_name", None)


def finish_reasons(output: Any) -> Iterator[str]:
    """Why answers have ended of which this message is the last; vectors have no such thing."""
    outputs = getattr(output, "outputs", None)
    for each in outputs if isinstance(outputs, list) else ():
        if each.finish_reason:
            yield str(each.finish_reason)


def stop_listening(client: Any) -> None:
    """The client no longer waits for its engine, whose end would else be reported as an error."""
    handler = getattr(client, "output_handler", None)
    if handler is not None:
        handler.cancel()


async def render(client: Any, text: str) -> Any:
    """A prompt of text as the engine takes it."""
    renderer = client.renderer
    parsed = vllm_compat.get("parse_model_prompt")(client.model_config, text)
    (prompt,) = await renderer.render_cmpl_async([parsed], renderer.default_cmpl_tok_params)
    return prompt
