# SPDX-License-Identifier: Apache-2.0
"""Starts the engine's process first, and makes what stays in this one while it loads.

vLLM reads the tokenizer, copies it and makes its renderer before it starts the engine's process,
and resolves the chat template after that one is ready. Neither needs the other: on an H100 with a
vocabulary of 128,000 this waited for seconds.

vLLM has no way to ask for that, so functions of its own are replaced while it starts. Where one is
not the known one there is no head start: `differences` says so before, `NotKnownError` on the way.
"""

from __future__ import annotations

import contextvars
import functools
import gc
import importlib
import inspect
import logging
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from ..vllm_api import compat as vllm_compat
from ..vllm_api import names as vllm_names
from .fork_guard import ForkGuard

logger = logging.getLogger("llm_server.head_start")


class NotKnownError(Exception):
    """vLLM asks for what the head start does not know; nothing of the engine is left."""


def differences() -> list[str]:
    """In what the installed vLLM is not the one that the head start knows; none: it may begin."""
    if found := vllm_compat.differences(vllm_names.FAST):
        return found
    maker = vllm_compat.get("EngineCoreClient").make_async_mp_client
    if "renderer" in inspect.signature(maker).parameters:
        return vllm_compat.differences(vllm_names.FAST_WITH_RENDERER)
    return []


def start_engine(config: Any, args: Namespace, guard: ForkGuard, *, forks: bool) -> Any:
    """vLLM's AsyncLLM around a started engine.

    Args:
        config: vLLM's full configuration.
        args: the arguments of vLLM's server.
        guard: says when the engine's process was forked.
        forks: whether it is forked rather than spawned.

    Raises:
        NotKnownError: vLLM wants another engine than the one that was started for it.
        Exception: whatever vLLM raises where the engine or the tokenizer fails.
    """
    home: Any = importlib.import_module(vllm_compat.get("AsyncLLM").__module__)
    maker = home.EngineCoreClient
    make_client, make_renderer = maker.make_async_mp_client, home.renderer_from_config
    client: Future[Any] = Future()
    wanted = {
        "vllm_config": config,
        "executor_class": home.Executor.get_class(config),
        # As AsyncLLM decides itself.
        "log_stats": not args.disable_log_stats or bool(home.load_stat_logger_plugin_factories()),
    }

    def hand_over(*words: Any, **named: Any) -> Any:
        asked = _arguments(make_client, words, named)
        renderer = asked.pop("renderer", None)
        had = _arguments(make_client, (), wanted)
        other = [name for name in asked if not _same(asked[name], had.get(name))]
        if other:
            raise NotKnownError(f"vLLM starts its engine with another {', '.join(other)}")
        if renderer is not None:  # from 0.32 on; the client itself would do this once it forked
            renderer.start_mm_warmup_in_background()
        return client.result()

    def renderer_from_config(*words: Any, **named: Any) -> Any:
        renderer = make_renderer(*words, **named)
        _try_chat(renderer, args)
        return renderer

    def make_rest() -> Any:
        if forks:
            # A process forked while this thread is at work would inherit locks that it holds.
            guard.forked.wait()
        return vllm_compat.make_client(config, args)

    maker.make_async_mp_client = staticmethod(hand_over)
    home.renderer_from_config = renderer_from_config
    try:
        rest = _in_thread(make_rest)
        # The engine is forked from this thread: it goes on with what torch keeps for each.
        try:
            client.set_result(make_client(**wanted))
        except BaseException as error:  # whatever it is, the other thread waits to hear of it
            client.set_exception(error)
        finally:
            guard.forked.set()
        return rest.result()
    except NotKnownError:
        if client.exception() is None:
            client.result().shutdown()
        raise
    finally:
        maker.make_async_mp_client = staticmethod(make_client)
        home.renderer_from_config = make_renderer


def _arguments(function: Any, words: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    bound = inspect.signature(function).bind(*words, **named)
    bound.apply_defaults()
    return dict(bound.arguments)


def _same(one: Any, other: Any) -> bool:
    # The configuration is one object: it is not gone through.
    return one is other or bool(one == other)


@contextmanager
def spare_garbage_collection() -> Iterator[None]:
    """Lets an engine that is forked meanwhile start without looking for garbage.

    It makes objects by the million that stay, compiled graphs above all; vLLM itself collects
    once they are there.
    """
    core = vllm_compat.get("EngineCoreProc")
    inner = core.__init__

    @functools.wraps(inner)
    def init(self: Any, *words: Any, **named: Any) -> None:
        gc.disable()
        try:
            inner(self, *words, **named)
        finally:
            gc.enable()

    core.__init__ = init
    try:
        yield
    finally:
        core.__init__ = inner


def _in_thread(work: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # whatever it is, who waits must hear of it
            future.set_exception(error)
        else:
            future.set_result(result)

    # With the settings that torch keeps for this thread. A daemon: nothing waits for it at the end.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="rest", daemon=True).start()
    return future


def _try_chat(renderer: Any, args: Namespace) -> None:
    """Finds the chat template, which vLLM keeps; models that see or hear take their own time."""
    if args.chat_template is not None or getattr(renderer, "mm_processor", None) is not None:
        return
    try:
        renderer.warmup(vllm_compat.get("ChatParams")())
    except Exception as error:  # only a head start: vLLM asks again, and says what is wrong
        logger.debug("the chat template was not found early: %s", error)
