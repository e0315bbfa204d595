# SPDX-License-Identifier: Apache-2.0
"""Fast or plain: what decides, what each does to vLLM, and that it is said."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from llm_server.engine import engine, head_start
from llm_server.engine.engine import Loader
from llm_server.engine.fork_guard import ForkGuard
from llm_server.engine.progress import Progress
from llm_server.engine.token_meter import Meter
from llm_server.errors import LoadError
from llm_server.settings import Settings, load_settings
from llm_server.vllm_api import compat as vllm_compat

from tests.unit.llm_server.fake_engine import Client, params

CONFIG = SimpleNamespace(
    parallel_config=SimpleNamespace(data_parallel_size=1, world_size=1), model_config="a model"
)


class Vllm:
    """Notes what the start does to vLLM."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.did: list[str] = []
        self.differing: list[str] = []
        self.on_the_way: Exception | None = None
        self.plain_error: Exception | None = None
        self.switch_error: Exception | None = None
        self.client = SimpleNamespace(get_supported_tasks=self.tasks)
        platform = SimpleNamespace(is_cpu=lambda: True)
        parts: dict[str, Any] = {
            "AsyncLLM": object,
            "current_platform": platform,
            "build_app": lambda *_: FastAPI(),
        }
        monkeypatch.setattr(vllm_compat, "get", parts.__getitem__)
        monkeypatch.setattr(vllm_compat, "version", lambda: "0.99.0")
        monkeypatch.setattr(vllm_compat, "parse", lambda _: Namespace())
        monkeypatch.setattr(vllm_compat, "engine_config", self.engine_config)
        monkeypatch.setattr(vllm_compat, "stay_eager", self.stay_eager)
        monkeypatch.setattr(vllm_compat, "limit_cpu_threads", lambda _: self.did.append("threads"))
        monkeypatch.setattr(vllm_compat, "preload_app", lambda: None)
        monkeypatch.setattr(vllm_compat, "make_client", self.make_client)
        self.unknown: list[str] = []
        monkeypatch.setattr(vllm_compat, "differences", lambda _: self.unknown)
        monkeypatch.setattr(head_start, "differences", lambda: self.differing)
        monkeypatch.setattr(head_start, "start_engine", self.start_engine)
        monkeypatch.setattr(head_start, "spare_garbage_collection", self.spare)
        monkeypatch.setattr(engine, "create_router", lambda *_: APIRouter())
        # What a start sets is not left to the tests that follow.
        monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "unset")
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    async def tasks(self) -> tuple[str, ...]:
        return ("generate",)

    def engine_config(self, _: Any, *, look_here: bool) -> Any:
        self.did += ["looked at the model here"] * look_here
        return CONFIG

    def stay_eager(self, *, here: bool) -> None:
        self.did.append("eager here" if here else "eager there")
        if here and self.switch_error:
            raise self.switch_error

    def spare(self) -> Any:
        self.did.append("spared collections")
        return nullcontext()

    def start_engine(self, *_: Any, forks: bool) -> Any:
        self.did.append(f"fast, {os.environ['VLLM_WORKER_MULTIPROC_METHOD']}, forks={forks}")
        if self.on_the_way:
            raise self.on_the_way
        return self.client

    def make_client(self, *_: Any) -> Any:
        self.did.append(f"plain, {os.environ['VLLM_WORKER_MULTIPROC_METHOD']}")
        if self.plain_error:
            raise self.plain_error
        return self.client


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vllm]:
    yield Vllm(monkeypatch)
    for thread in threading.enumerate():
        if thread.name == "preload":  # it asks what this test has put in vLLM's place
            thread.join(30)


def load(**settings: Any) -> Any:
    """What the loader makes, in its thread beside a loop."""
    given = Settings(model_path="m", served_model_name="m", api_key_required=False, **settings)

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        guard = ForkGuard(loop, list)
        return await asyncio.to_thread(Loader(given, guard, lambda *_: None, loop)._load)

    return asyncio.run(main())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


FAST = ["looked at the model here", "threads", "spared collections", "fast, fork, forks=True"]


def test_the_known_vllm_starts_fast(vllm: Vllm, caplog: pytest.LogCaptureFixture) -> None:
    assert load(start_method="fork").client is vllm.client
    assert vllm.did == FAST
    assert warnings(caplog) == []


def test_plain_leaves_vllm_alone(vllm: Vllm, caplog: pytest.LogCaptureFixture) -> None:
    vllm.differing = ["not asked for"]
    assert load(start="plain").client is vllm.client
    assert vllm.did == ["plain, spawn"]
    assert warnings(caplog) == []


def test_plain_compiles_nothing_either_where_that_is_asked(vllm: Vllm) -> None:
    load(start="plain", vllm_args={"enforce_eager": True})
    assert vllm.did == ["eager there", "plain, spawn"]


def test_another_vllm_starts_plain_and_names_what_differs(
    vllm: Vllm, caplog: pytest.LogCaptureFixture
) -> None:
    vllm.differing = ["vllm.v1.x.made also needs tenant", "vllm.v1.x.Gone is not there"]
    assert load(start_method="fork").client is vllm.client
    assert vllm.did == ["looked at the model here", "plain, spawn"]
    (said,) = warnings(caplog)
    assert "vLLM 0.99.0" in said
    assert "starts plain" in said
    assert "vllm.v1.x.made also needs tenant; vllm.v1.x.Gone is not there" in said


def test_what_shows_only_on_the_way_starts_plain_too(
    vllm: Vllm, caplog: pytest.LogCaptureFixture
) -> None:
    vllm.on_the_way = head_start.NotKnownError("vLLM starts its engine with another log_stats")
    assert load(start_method="fork").client is vllm.client
    assert vllm.did == [*FAST, "plain, spawn"]
    (said,) = warnings(caplog)
    assert "another log_stats" in said


def test_a_torch_without_the_switch_starts_plain(
    vllm: Vllm, caplog: pytest.LogCaptureFixture
) -> None:
    vllm.switch_error = AttributeError("no disable")
    load(vllm_args={"enforce_eager": True})
    assert vllm.did[-1] == "plain, spawn"
    (said,) = warnings(caplog)
    assert "torch._dynamo.config.disable cannot be set (no disable)" in said


def test_a_client_that_cannot_be_watched_serves_and_says_what_is_lost(
    vllm: Vllm, caplog: pytest.LogCaptureFixture
) -> None:
    vllm.unknown = ["vllm.v1.engine.output_processor.OutputProcessor.add_request is not there"]
    made = load(start="plain")
    assert made.unknown == tuple(vllm.unknown)
    (said,) = warnings(caplog)
    assert "limits by tokens do not hold" in said
    assert said.endswith(vllm.unknown[0])


@pytest.mark.parametrize("start", ["fast", "plain"])
def test_an_engine_that_fails_is_told_either_way(vllm: Vllm, start: str) -> None:
    vllm.on_the_way = vllm.plain_error = RuntimeError("no memory")
    with pytest.raises(LoadError, match="no memory"):
        load(start=start)
    assert len([one for one in vllm.did if one.startswith(("fast,", "plain,"))]) == 1


def test_the_plain_start_after_a_fast_one_that_fails_is_told(vllm: Vllm) -> None:
    vllm.on_the_way = head_start.NotKnownError("other")
    vllm.plain_error = RuntimeError("no memory")
    with pytest.raises(LoadError, match="no memory"):
        load()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("start: plain\nstart_method: fork", "start_method: fork is a part of start: fast"),
        ("start: quick", "start: Input should be 'fast' or 'plain'"),
    ],
)
def test_settings_that_contradict(tmp_path: Path, lines: str, said: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"model_path: m\nserved_model_name: m\napi_key_required: false\n{lines}\n")
    with pytest.raises(engine.ConfigError) as caught:
        load_settings(file)
    assert said in caught.value.messages[0]


async def _blind() -> tuple[list[str], list[str]]:
    client = Client()
    aborted: list[str] = []

    async def abort(ids: list[str]) -> None:
        aborted.extend(ids)

    client.abort = abort  # type: ignore[method-assign,assignment]
    meter = Meter(Progress(), lambda: 16)
    meter.attach(client, known=False)
    outputs = [one async for one in client.generate("a prompt", params("DELTA"), "r-1")]
    # Nothing of the client's own was replaced: it may be called otherwise there.
    assert not {"add_request", "process_outputs"} & set(vars(client.output_processor))
    assert meter.view.processes() == {}
    assert meter.view.sizes() == {}
    assert not await meter.view.is_paused()
    meter.view.fail()
    await meter.view.abort(["r-1"])
    return [str(one) for one in outputs], aborted


def test_a_client_that_cannot_be_watched_gives_its_answers() -> None:
    outputs, aborted = asyncio.run(_blind())
    assert len(outputs) == 3
    assert aborted == ["r-1"]
