# SPDX-License-Identifier: Apache-2.0
"""A vLLM whose names or parameters are others: what is said of it, name by name."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from llm_server.engine import head_start
from llm_server.vllm_api import compat as vllm_compat
from llm_server.vllm_api import names as vllm_names
from llm_server.vllm_api.names import Name, Takes, Use

FILES = Path(__file__).parents[3] / "files" / "llm_server"
HOME = "a_vllm_of_tomorrow"
CALLED = Name((HOME,), "made", Use.SERVE, ("config", "tasks"))
REPLACED = Name((HOME,), "made", Use.FAST, ("config", "tasks"), ("renderer",), replaced=True)


def test_every_name_is_told_once_for_each_use() -> None:
    rows = [(one.homes, one.path) for one in vllm_names.NAMES]
    assert len(rows) == len(set(rows))
    assert all(one.path and one.homes for one in vllm_names.NAMES)


def test_what_the_server_asks_for_is_in_the_table() -> None:
    known = vllm_names.homes()
    asked = set()
    for file in FILES.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
                name = call.func
                if isinstance(name, ast.Attribute) and ast.unparse(name) == "vllm_compat.get":
                    asked.add(call.args[0].value)
    assert len(asked) > 10
    assert asked <= set(known)


#: What a thing is called in the server's code, and its class in vLLM.
CALLED_THERE = {
    "client": "AsyncLLM",
    "self._client": "AsyncLLM",
    "engine.client": "AsyncLLM",
    "self.client": "AsyncLLM",
    "processor": "OutputProcessor",
    "self._processor": "OutputProcessor",
    "renderer": "BaseRenderer",
}


@pytest.mark.parametrize(
    "file", ["vllm_api/client.py", "engine/engine.py", "engine/token_meter.py", "engine/warm_up.py"]
)
def test_what_it_reads_of_vllms_things_is_in_the_table(file: str) -> None:
    known = {one.path for one in vllm_names.NAMES}
    read = {
        f"{CALLED_THERE[ast.unparse(one.value)]}.{one.attr}"
        for one in ast.walk(ast.parse((FILES / file).read_text()))
        if isinstance(one, ast.Attribute) and ast.unparse(one.value) in CALLED_THERE
    }
    assert read - known == set()


def test_what_it_reads_of_a_requests_state_is_in_the_table() -> None:
    known = {one.path for one in vllm_names.NAMES}
    read = set()
    for one in ast.walk(ast.parse((FILES / "vllm_api/client.py").read_text())):
        if isinstance(one, ast.Attribute) and ast.unparse(one.value) == "state":
            read.add(one.attr)
        if isinstance(one, ast.Call) and ast.unparse(one).startswith("getattr(state, "):
            read.add(ast.literal_eval(one.args[1]))
    assert len(read) > 5
    assert {f"RequestState.{one}" for one in read} - known == set()


@pytest.mark.parametrize(
    ("takes", "called", "replaced"),
    [
        (Takes(("config", "tasks")), None, None),
        (Takes(("config", "tasks"), ("renderer",)), None, None),
        (Takes(("config",), ("tasks",)), None, None),
        (Takes((), any_name=True), None, None),
        # One that could be lost on the way matters only where the function is replaced.
        (Takes(("config", "tasks"), ("tenant",)), None, "also takes tenant"),
        (Takes(("config", "tasks", "tenant")), "also needs tenant", "also needs tenant"),
        (Takes(("config",)), "no longer takes tasks", "no longer takes tasks"),
        (
            Takes(("config", "jobs")),
            "no longer takes tasks and also needs jobs",
            "no longer takes tasks and also needs jobs",
        ),
    ],
)
def test_parameters_that_matter(takes: Takes, called: str | None, replaced: str | None) -> None:
    assert vllm_names.difference(CALLED, takes) == called
    assert vllm_names.difference(REPLACED, takes) == replaced


def test_parameters_of_all_kinds_are_read() -> None:
    class Thing:
        def made(self, config: Any, /, tasks: Any, *more: Any, renderer: Any = None) -> None: ...

    assert Takes.of(Thing.made) == Takes(("config", "tasks"), ("renderer",), any_place=True)
    assert Takes.of(Thing().made) == Takes.of(Thing.made)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType(HOME)
    monkeypatch.setitem(sys.modules, HOME, module)
    return module


def test_the_installed_vllm_is_looked_at(home: Any) -> None:
    row = Name(("a_vllm_of_old.gone", HOME), "Maker.made", Use.FAST, ("config",), replaced=True)
    assert vllm_compat.differences([row]) == ["a_vllm_of_old.gone.Maker.made is not there"]
    home.Maker = type("Maker", (), {})
    assert vllm_compat.differences([row]) == ["a_vllm_of_old.gone.Maker.made is not there"]
    home.Maker.made = staticmethod(lambda config: config)
    assert vllm_compat.differences([row]) == []
    home.Maker.made = staticmethod(lambda config, tenant=None: (config, tenant))
    assert vllm_compat.differences([row]) == ["a_vllm_of_old.gone.Maker.made also takes tenant"]
    home.Maker.made = "a text"
    assert vllm_compat.differences([row]) == [
        "a_vllm_of_old.gone.Maker.made can no longer be called"
    ]


def test_what_an_instance_has_is_looked_for_in_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "class Kept:\n    size: int = 0\n    def __init__(self):\n        self.made = 1\n"
    (tmp_path / "a_vllm_with_text.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    rows = [
        Name(("a_vllm_with_text",), f"Kept.{one}", Use.COUNT, made_in=True)
        for one in ("size", "made", "gone")
    ]
    (said,) = vllm_compat.differences(rows)
    assert said == "a_vllm_with_text.Kept.gone is not there"


def test_a_broken_install_is_not_called_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_a_vllm.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    (said,) = vllm_compat.differences([Name(("half_a_vllm",), "made", Use.FAST)])
    assert said.endswith("cannot be imported: No module named 'no_such_dependency'")


def test_a_name_that_is_nowhere_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vllm_compat._HOMES, "made", (HOME,))  # type: ignore[index]
    with pytest.raises(ImportError, match=r"no made where .* install a version .*vllm_venv_versi"):
        vllm_compat.get("made")


class Vllm:
    """All that the head start touches, each in the module where it is looked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.modules: dict[str, Any] = {}
        for row in (*vllm_names.FAST, *vllm_names.FAST_WITH_RENDERER):
            for name in row.homes:
                self.modules.setdefault(name, ModuleType(name))
        for name, module in self.modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        llm, renderers = self["vllm.v1.engine.async_llm"], self["vllm.renderers.base"]

        class EngineCoreClient:
            @staticmethod
            def make_async_mp_client(  # noqa: PLR0917 - as vLLM has it
                vllm_config: Any,
                executor_class: Any,
                log_stats: bool,
                client_addresses: Any = None,
                client_count: int = 1,
                client_index: int = 0,
                renderer: Any = None,
            ) -> None: ...

        class BaseRenderer:
            def warmup(self, chat_params: Any) -> None: ...

            def start_mm_warmup_in_background(self) -> None: ...

        class Registry:
            def register_model(self, model_arch: str, model_cls: Any) -> None: ...

        self.maker = EngineCoreClient
        llm.EngineCoreClient = self["vllm.v1.engine.core_client"].EngineCoreClient = self.maker

        class Executor:
            @staticmethod
            def get_class(vllm_config: Any) -> None: ...

        def from_config(config: Any, **more: Any) -> None: ...

        llm.Executor = Executor
        llm.load_stat_logger_plugin_factories = list
        registry = self["vllm.renderers.registry"]
        llm.renderer_from_config = registry.renderer_from_config = from_config
        self["vllm.v1.engine.core"].EngineCoreProc = type("EngineCoreProc", (), {})
        self["vllm.renderers"].ChatParams = object
        renderers.BaseRenderer = self.renderer = BaseRenderer
        models = self["vllm.model_executor.models.registry"]
        models.ModelRegistry, models._ModelRegistry = Registry(), Registry

    def __getitem__(self, module: str) -> Any:
        return self.modules[module]


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Vllm:
    return Vllm(monkeypatch)


def test_the_known_vllm_gets_its_head_start(vllm: Vllm) -> None:
    assert head_start.differences() == []


def test_the_oldest_known_vllm_gets_it_too(vllm: Vllm) -> None:
    def make(vllm_config: Any, executor_class: Any, log_stats: bool) -> None: ...

    vllm.maker.make_async_mp_client = staticmethod(make)  # type: ignore[assignment]
    del vllm.renderer.start_mm_warmup_in_background
    assert head_start.differences() == []


def _another_argument(vllm: Vllm) -> None:
    def make(vllm_config: Any, executor_class: Any, log_stats: bool, tenant: Any) -> None: ...

    vllm.maker.make_async_mp_client = staticmethod(make)  # type: ignore[assignment]


def _renamed_argument(vllm: Vllm) -> None:
    def make(config: Any, executor_class: Any, log_stats: bool) -> None: ...

    vllm.maker.make_async_mp_client = staticmethod(make)  # type: ignore[assignment]


def _renamed_method(vllm: Vllm) -> None:
    del vllm.maker.make_async_mp_client


def _missing_class(vllm: Vllm) -> None:
    del vllm["vllm.v1.engine.core"].EngineCoreProc


def _moved_function(vllm: Vllm) -> None:
    del vllm["vllm.v1.engine.async_llm"].renderer_from_config


def _new_choice(vllm: Vllm) -> None:
    def make(config: Any, pool: Any = None) -> None: ...

    vllm["vllm.renderers.registry"].renderer_from_config = make


def _no_background(vllm: Vllm) -> None:
    del vllm.renderer.start_mm_warmup_in_background


def _other_registry(vllm: Vllm) -> None:
    del vllm["vllm.model_executor.models.registry"]._ModelRegistry.register_model


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (_another_argument, "EngineCoreClient.make_async_mp_client also needs tenant"),
        (_renamed_argument, "make_async_mp_client no longer takes vllm_config and also needs conf"),
        (_renamed_method, "EngineCoreClient.make_async_mp_client is not there"),
        (_missing_class, "vllm.v1.engine.core.EngineCoreProc is not there"),
        (_moved_function, "vllm.v1.engine.async_llm.renderer_from_config is not there"),
        (_new_choice, "vllm.renderers.registry.renderer_from_config also takes pool"),
        (_no_background, "BaseRenderer.start_mm_warmup_in_background is not there"),
        (_other_registry, "_ModelRegistry.register_model is not there"),
    ],
)
def test_another_vllm_is_named(vllm: Vllm, alter: Any, said: str) -> None:
    alter(vllm)
    assert said in head_start.differences()[0]
