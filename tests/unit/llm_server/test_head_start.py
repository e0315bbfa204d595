# SPDX-License-Identifier: Apache-2.0
"""What begins when, while the engine starts; vLLM's parts are stand-ins, the order is real."""

from __future__ import annotations

import gc
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import pytest
from llm_server.engine import head_start
from llm_server.vllm_api import compat as vllm_compat

SETTING = ContextVar("setting", default="by default")
ARGS = Namespace(disable_log_stats=False, enable_log_requests=False, chat_template=None)


class Guard:
    """What the engine's start needs of the real one."""

    def __init__(self) -> None:
        self.forked = threading.Event()


class Renderer:
    """Says what is asked of it."""

    mm_processor = None

    def __init__(self, events: list[str]) -> None:
        self.events = events

    def warmup(self, _: Any) -> None:
        self.events.append("chat template")

    def start_mm_warmup_in_background(self) -> None:
        self.events.append("media")


class Client:
    """The engine's; what it is asked to do is noted."""

    def __init__(self, events: list[str]) -> None:
        self.events = events

    def shutdown(self) -> None:
        self.events.append("engine ended")


class Stage:
    """A vLLM whose engine is ready only once the renderer is made."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.guard = Guard()
        self.client = Client(self.events)
        #: What AsyncLLM hands on besides.
        self.more: dict[str, Any] = {}
        self.rendered = threading.Event()
        self.engine_error: Exception | None = None
        self.renderer_error: Exception | None = None
        self.forks = True

    def make_client(  # noqa: PLR0917 - as vLLM has it
        self,
        vllm_config: Any,  # noqa: ARG002
        executor_class: Any,  # noqa: ARG002
        log_stats: bool,
        client_addresses: Any = None,  # noqa: ARG002
        client_count: int = 1,  # noqa: ARG002
        client_index: int = 0,  # noqa: ARG002
        renderer: Any = None,  # noqa: ARG002
    ) -> Client:
        self.forked_by = threading.get_ident()
        self.events.append(f"fork, log_stats={log_stats}")
        if self.engine_error:
            raise self.engine_error
        if self.forks:
            self.guard.forked.set()
        assert self.rendered.wait(120), "the renderer waited for the engine"
        self.events.append("engine ready")
        return self.client

    def make_renderer(self, _: Any) -> Renderer:
        self.events.append("renderer")
        self.setting = SETTING.get()
        # Also where it fails: the engine loads on and is ready, as it would be.
        self.rendered.set()
        if self.renderer_error:
            raise self.renderer_error
        return Renderer(self.events)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    new = Stage()
    home: Any = ModuleType("home_of_async_llm")

    class EngineCoreClient:
        make_async_mp_client = staticmethod(new.make_client)

    class AsyncLLM:
        @classmethod
        def from_vllm_config(cls, vllm_config: Any, **named: Any) -> Any:
            renderer = home.renderer_from_config(vllm_config)
            words = {"executor_class": "executor", "log_stats": True, "renderer": renderer}
            client = home.EngineCoreClient.make_async_mp_client(
                vllm_config=vllm_config, **(words | new.more)
            )
            return client, named["disable_log_stats"]

    class Executor:
        @staticmethod
        def get_class(_: Any) -> str:
            return "executor"

    AsyncLLM.__module__ = home.__name__
    home.EngineCoreClient, home.Executor = EngineCoreClient, Executor
    home.renderer_from_config = new.make_renderer
    home.load_stat_logger_plugin_factories = list
    parts = {
        "AsyncLLM": AsyncLLM,
        "UsageContext": Namespace(OPENAI_API_SERVER=1),
        "ChatParams": object,
    }
    monkeypatch.setattr(vllm_compat, "get", parts.__getitem__)
    monkeypatch.setitem(sys.modules, home.__name__, home)
    yield new
    assert EngineCoreClient.make_async_mp_client == new.make_client, "put back as it was"
    assert home.renderer_from_config == new.make_renderer


def start(stage: Stage) -> Any:
    return head_start.start_engine("config", ARGS, stage.guard, forks=stage.forks)  # type: ignore[arg-type]


def test_the_renderer_is_made_while_the_engine_loads_and_after_the_fork(stage: Stage) -> None:
    assert start(stage) == (stage.client, False)
    first, *rest = stage.events
    assert first == "fork, log_stats=True"
    assert set(rest) == {"renderer", "chat template", "media", "engine ready"}


def test_what_torch_keeps_for_a_thread_holds_for_engine_and_renderer(stage: Stage) -> None:
    token = SETTING.set("as set before")
    try:
        start(stage)
    finally:
        SETTING.reset(token)
    assert stage.forked_by == threading.get_ident()
    assert stage.setting == "as set before"


def test_a_spawned_engine_needs_no_order(stage: Stage) -> None:
    stage.forks = False
    assert start(stage) == (stage.client, False)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"client_addresses": {"input": "tcp"}}, "another client_addresses"),
        ({"client_index": 1, "client_count": 2}, "another client_count, client_index"),
        ({"log_stats": False}, "another log_stats"),
        ({"executor_class": "its own"}, "another executor_class"),
    ],
)
def test_an_argument_that_would_be_lost_ends_the_head_start(
    stage: Stage, more: dict[str, Any], said: str
) -> None:
    stage.more = more
    with pytest.raises(head_start.NotKnownError, match=said):
        start(stage)
    assert stage.events[-1] == "engine ended"


@pytest.mark.parametrize("more", [{"client_count": 1}, {"client_addresses": None}])
def test_an_argument_that_says_what_holds_anyway_is_none(
    stage: Stage, more: dict[str, Any]
) -> None:
    stage.more = more
    assert start(stage) == (stage.client, False)


def test_an_engine_that_fails_before_it_forks_is_told(stage: Stage) -> None:
    stage.engine_error = RuntimeError("no memory")
    with pytest.raises(RuntimeError, match="no memory"):
        start(stage)


def test_a_tokenizer_that_fails_is_told(stage: Stage) -> None:
    stage.renderer_error = OSError("no tokenizer")
    with pytest.raises(OSError, match="no tokenizer"):
        start(stage)
    assert "engine ready" in stage.events


def test_models_that_see_warm_up_by_themselves(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Renderer, "mm_processor", "a processor")
    start(stage)
    assert "chat template" not in stage.events


def test_an_engine_starts_without_collections_and_has_them_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bool] = []

    class EngineCoreProc:
        def __init__(self, fails: bool) -> None:
            seen.append(gc.isenabled())
            if fails:
                raise ValueError("no")

    monkeypatch.setattr(vllm_compat, "get", lambda _: EngineCoreProc)
    its_own = EngineCoreProc.__init__
    with head_start.spare_garbage_collection():
        EngineCoreProc(False)
        assert gc.isenabled()
        with pytest.raises(ValueError, match="no"):
            EngineCoreProc(True)
        assert gc.isenabled()
    assert seen == [False, False]
    assert EngineCoreProc.__init__ is its_own
