# SPDX-License-Identifier: Apache-2.0
"""Every name of vLLM that this server uses: where it is, what it takes, what rests on it.

Data and the comparison alone: nothing here imports vLLM. `vllm_compat` finds the names in an
installed vLLM; `tests/vllm_release` looks for the same in the wheel of a release that is not
installed. docs/private-apis.md says which test guards which of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Use(Enum):
    """What a name is for, and so what is lost without it."""

    SERVE = "nothing can be served"
    COUNT = "limits by tokens and the watchdog's evidence are lost"
    FAST = "the server starts plain"


@dataclass(frozen=True)
class Name:
    """One name.

    Attributes:
        homes: the modules that have it, newest vLLM first.
        path: the name inside of its module, with dots for what a class has.
        use: what is lost without it.
        passes: the parameters that are handed to it by name or place; None where it is not called.
        knows: further ones; others of a replaced function would be lost on the way.
        replaced: whether this server puts a function of its own in its place.
        made_in: whether it is what an instance has, rather than its class.
    """

    homes: tuple[str, ...]
    path: str
    use: Use
    passes: tuple[str, ...] | None = None
    knows: tuple[str, ...] = ()
    replaced: bool = False
    made_in: bool = False


@dataclass(frozen=True)
class Takes:
    """The parameters of a function, without `self` and `cls`."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    #: Whether it takes any name or number of arguments (`*args`, `**kwargs`).
    any_place: bool = False
    any_name: bool = False

    @classmethod
    def of(cls, function: Any) -> Takes:
        """Those of a function, method or class at hand."""
        kinds = inspect.Parameter
        required: list[str] = []
        optional: list[str] = []
        more = set()
        for name, one in inspect.signature(function).parameters.items():
            if one.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD):
                more.add(one.kind)
            elif name not in ("self", "cls"):
                (required if one.default is kinds.empty else optional).append(name)
        return cls(
            tuple(required),
            tuple(optional),
            kinds.VAR_POSITIONAL in more,
            kinds.VAR_KEYWORD in more,
        )


def difference(name: Name, takes: Takes) -> str | None:
    """In what a function differs from the known one so that it matters; None where it does not."""
    if name.passes is None:
        return None
    there = {*takes.required, *takes.optional}
    said = []
    if lacks := [one for one in name.passes if one not in there and not takes.any_name]:
        said.append(f"no longer takes {', '.join(lacks)}")
    if wants := [one for one in takes.required if one not in (*name.passes, *name.knows)]:
        said.append(f"also needs {', '.join(wants)}")
    if name.replaced:
        known = {*name.passes, *name.knows}
        if new := [one for one in takes.optional if one not in known]:
            said.append(f"also takes {', '.join(new)}")
    return " and ".join(said) or None


_ASYNC_LLM = ("vllm.v1.engine.async_llm",)
_PROCESSOR = ("vllm.v1.engine.output_processor",)
#: Newest first: of vLLM 0.33, of 0.32 and of 0.25.
_CLI_ARGS = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
)


def _serve(name: str, *homes: str, passes: tuple[str, ...] | None = None) -> Name:
    return Name(homes, name, Use.SERVE, passes)


#: What vLLM's own server is made of, and its offline API: without these there is no server.
SERVE = (
    _serve(
        "build_app",
        "vllm.entrypoints.launchers.app",
        "vllm.entrypoints.openai.api_server",
        passes=("args", "supported_tasks", "model_config"),
    ),
    _serve(
        "init_app_state",
        "vllm.entrypoints.launchers.api_server.app_state",
        "vllm.entrypoints.openai.api_server",
        passes=("engine_client", "state", "args", "supported_tasks"),
    ),
    _serve("make_arg_parser", *_CLI_ARGS, passes=("parser",)),
    _serve("validate_parsed_serve_args", *_CLI_ARGS, passes=("args",)),
    _serve(
        "validate_api_server_args",
        "vllm.entrypoints.common.cli_args",
        "vllm.entrypoints.launchers.launcher",
        "vllm.entrypoints.openai.api_server",
        passes=("args",),
    ),
    _serve("FlexibleArgumentParser", "vllm.utils.argparse_utils"),
    _serve("AsyncEngineArgs", "vllm.engine.arg_utils"),
    _serve("AsyncEngineArgs.from_cli_args", "vllm.engine.arg_utils", passes=("args",)),
    _serve(
        "AsyncEngineArgs.create_engine_config", "vllm.engine.arg_utils", passes=("usage_context",)
    ),
    _serve("UsageContext", "vllm.usage.usage_lib"),
    _serve("AsyncLLM", *_ASYNC_LLM),
    _serve(
        "AsyncLLM.from_vllm_config",
        *_ASYNC_LLM,
        passes=("vllm_config", "usage_context", "enable_log_requests", "disable_log_stats"),
    ),
    _serve("AsyncLLM.generate", *_ASYNC_LLM, passes=("prompt", "sampling_params", "request_id")),
    _serve("AsyncLLM.encode", *_ASYNC_LLM, passes=("prompt", "pooling_params", "request_id")),
    _serve("AsyncLLM.abort", *_ASYNC_LLM, passes=("request_id", "internal")),
    _serve("AsyncLLM.shutdown", *_ASYNC_LLM, passes=()),
    _serve("AsyncLLM.errored", *_ASYNC_LLM),
    _serve("AsyncLLM.get_supported_tasks", *_ASYNC_LLM, passes=()),
    _serve("SamplingParams", "vllm.sampling_params"),
    _serve("RequestOutputKind", "vllm.sampling_params"),
    _serve("PoolingParams", "vllm.pooling_params"),
    _serve("POOLING_TASKS", "vllm.tasks"),
    _serve("VLLMValidationError", "vllm.exceptions"),
    _serve(
        "parse_model_prompt",
        "vllm.renderers.inputs.preprocess",
        passes=("model_config", "prompt"),
    ),
    _serve(
        "BaseRenderer.render_cmpl_async", "vllm.renderers.base", passes=("prompts", "tok_params")
    ),
    _serve("BaseRenderer.default_cmpl_tok_params", "vllm.renderers.base"),
    _serve("ToolParserManager", "vllm.tool_parsers"),
    _serve("ReasoningParserManager", "vllm.reasoning"),
    _serve("current_platform", "vllm.platforms"),
)

#: What makes the start quick: names replaced, or used where vLLM says nothing about them.
FAST = (
    Name(
        ("vllm.v1.engine.core_client",),
        "EngineCoreClient.make_async_mp_client",
        Use.FAST,
        ("vllm_config", "executor_class", "log_stats"),
        ("client_addresses", "client_count", "client_index", "renderer"),
        replaced=True,
    ),
    Name(
        ("vllm.renderers.registry", "vllm.renderers"),
        "renderer_from_config",
        Use.FAST,
        ("config",),
        replaced=True,
    ),
    Name(_ASYNC_LLM, "EngineCoreClient", Use.FAST),
    Name(_ASYNC_LLM, "renderer_from_config", Use.FAST),
    Name(_ASYNC_LLM, "Executor", Use.FAST),
    Name(_ASYNC_LLM, "Executor.get_class", Use.FAST, ("vllm_config",)),
    Name(_ASYNC_LLM, "load_stat_logger_plugin_factories", Use.FAST, ()),
    Name(("vllm.v1.engine.core",), "EngineCoreProc", Use.FAST),
    Name(("vllm.v1.engine.core",), "EngineCoreProc.__init__", Use.FAST),
    Name(("vllm.renderers",), "ChatParams", Use.FAST),
    Name(("vllm.renderers.base",), "BaseRenderer", Use.FAST),
    Name(("vllm.renderers.base",), "BaseRenderer.warmup", Use.FAST, ("chat_params",)),
    Name(
        ("vllm.model_executor.models.registry",),
        "ModelRegistry",
        Use.FAST,
    ),
    Name(
        ("vllm.model_executor.models.registry",),
        "_ModelRegistry.register_model",
        Use.FAST,
        ("model_arch", "model_cls"),
    ),
)

#: Those that are needed where the engine's client takes a renderer, as it does since vLLM 0.32.
FAST_WITH_RENDERER = (
    Name(("vllm.renderers.base",), "BaseRenderer.start_mm_warmup_in_background", Use.FAST, ()),
)


def _has(home: tuple[str, ...], path: str, use: Use = Use.COUNT) -> Name:
    return Name(home, path, use, made_in=True)


def _count(name: str, *passes: str, home: tuple[str, ...] = _PROCESSOR) -> Name:
    return Name(home, name, Use.COUNT, passes)


#: What the client of the engine keeps to itself, by which requests are counted and ended.
COUNT = (
    _count("AsyncLLM.is_paused", home=_ASYNC_LLM),
    *(_has(_ASYNC_LLM, f"AsyncLLM.{one}") for one in ("engine_core", "output_handler")),
    *(_has(_ASYNC_LLM, f"AsyncLLM.{one}", Use.SERVE) for one in ("model_config", "renderer")),
    _has(_ASYNC_LLM, "AsyncLLM.output_processor"),
    _has(_ASYNC_LLM, "AsyncLLM.vllm_config"),
    Name(("vllm.v1.engine.exceptions",), "EngineDeadError", Use.COUNT),
    _has(("vllm.v1.engine.core_client",), "MPClient.resources"),
    _has(("vllm.v1.engine.core_client",), "BackgroundResources.engine_dead"),
    _has(("vllm.v1.engine.core_client",), "BackgroundResources.engine_manager"),
    _has(("vllm.v1.engine.utils",), "CoreEngineProcManager.processes"),
    _has(("vllm.v1.metrics.stats",), "SchedulerStats.num_running_reqs"),
    _has(("vllm.v1.metrics.stats",), "SchedulerStats.num_waiting_reqs"),
    _count("OutputProcessor.add_request", "request", "prompt"),
    _count("OutputProcessor.process_outputs", "engine_core_outputs"),
    _count("OutputProcessor.propagate_error", "e"),
    _count("OutputProcessor.update_scheduler_stats", "scheduler_stats"),
    *(
        _has(_PROCESSOR, f"OutputProcessor.{one}")
        for one in ("external_req_ids", "parent_requests", "request_states")
    ),
    *(
        _has(_PROCESSOR, f"RequestState.{one}")
        for one in (
            "detokenizer",
            "external_req_id",
            "lora_name",
            "num_cached_tokens",
            "parent_req",
            "prompt_len",
            "stats",
        )
    ),
)

NAMES = (*SERVE, *FAST, *FAST_WITH_RENDERER, *COUNT)


def homes() -> Mapping[str, tuple[str, ...]]:
    """The modules of each name that is a module's own; of several rows the first counts."""
    found: dict[str, tuple[str, ...]] = {}
    for one in NAMES:
        if "." not in one.path:
            found.setdefault(one.path, one.homes)
    return found


def told(name: Name, what: str) -> str:
    """A difference in words."""
    return f"{name.homes[0]}.{name.path} {what}"
