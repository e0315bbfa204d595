# SPDX-License-Identifier: Apache-2.0
"""The one module that reaches into vLLM; where its names are is told by `vllm_names`.

What the engine's client keeps inside is used by `vllm_client`.

Importing this module is cheap; calling its functions imports vLLM, which takes seconds.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import logging
import os
import re
from argparse import Action, Namespace
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..settings import ArgValue, Settings, normalise
from . import names as vllm_names
from .adapters import adapter_problems
from .names import Name, Takes

logger = logging.getLogger("llm_server.vllm_compat")

_HOMES = vllm_names.homes()

#: What `init_app_state` would import while it holds up the event loop.
_USED_BY_APP_STATE = (
    "vllm.entrypoints.generate.api_router",
    "vllm.entrypoints.scale_out.factories",
    "vllm.entrypoints.openai.chat_completion.serving",
    "vllm.entrypoints.openai.completion.serving",
    "vllm.entrypoints.openai.responses.serving",
    "vllm.entrypoints.anthropic.serving",
)


class _FieldError(Exception):
    pass


class _AbsentError(ImportError):
    pass


def get(name: str) -> Any:
    """Imports one of the names that are a module's own from wherever this vLLM keeps it."""
    return _find(_HOMES[name], name)


def _find(homes: Iterable[str], path: str) -> Any:
    missing: Exception | None = None
    for module in homes:
        try:
            found: Any = importlib.import_module(module)
            for part in path.split("."):
                found = getattr(found, part)
        except ModuleNotFoundError as error:
            # A home that this version lacks; anything else that is missing is a broken install.
            if not module.startswith(error.name or "?"):
                raise
            missing = error
        except AttributeError as error:
            missing = error
        else:
            return found
    raise _AbsentError(
        f"vLLM {_version_or_none()} has no {path} where versions 0.25 to 0.33 have it; install a"
        " version that this server knows (vllm_venv_version)"
    ) from missing


def _version_or_none() -> str:
    try:
        return version()
    except (ImportError, AttributeError):
        return "of this environment"


def _is_made_in(name: Name) -> bool:
    """Whether the module of a class gives its instances such an attribute, by its text."""
    owner, attribute = name.path.split(".")
    text = inspect.getsource(importlib.import_module(_find(name.homes, owner).__module__))
    return re.search(rf"self\.{attribute}\b|^ +{attribute}:", text, re.MULTILINE) is not None


def differences(names: Iterable[Name]) -> list[str]:
    """In what the installed vLLM is not the one that is known, one text for each name."""
    found = []
    for name in names:
        try:
            if name.made_in:
                if not _is_made_in(name):
                    found.append(vllm_names.told(name, "is not there"))
                continue
            thing = _find(name.homes, name.path)
            what = vllm_names.difference(name, Takes.of(thing)) if name.passes is not None else None
        except _AbsentError:
            what = "is not there"
        except ImportError as error:
            what = f"cannot be imported: {first_line(error)}"
        except (TypeError, ValueError, OSError):
            what = "can no longer be called"
        if what:
            found.append(vllm_names.told(name, what))
    return found


def version() -> str:
    """The version of the installed vLLM, whatever the distribution is called."""
    return str(importlib.import_module("vllm.version").__version__)


def inspect_model_here(folder: str) -> None:
    """Lets vLLM look at the model's class in this process, where it would start one for that.

    Which takes as long as importing vLLM once more, the first time. It does so for fear of
    initialising CUDA; on a CPU there is nothing to fear. A vLLM whose registry is another one
    does it its own way.
    """
    if not get("current_platform").is_cpu() or not Path(folder).is_dir():
        return
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    try:
        registry = get("ModelRegistry")
        for name in config.get("architectures") or ():
            entry = registry.models.get(name)
            if hasattr(entry, "load_model_cls"):
                registry.register_model(name, entry.load_model_cls())
    except (ImportError, AttributeError, TypeError) as error:
        logger.debug("the model's class was not looked at here: %s", error)


def stay_eager(*, here: bool) -> None:
    """On a CPU has torch compile nothing at all; call it before vLLM's sampler is imported.

    What `enforce_eager` says of the model. vLLM has more that it compiles when it is first asked
    for, such as what counts logprobs: without a C++ compiler that request ended the engine, and
    with one all others waited half a minute for it.

    Args:
        here: in this process too, as a forked engine needs; torch has read its switch already.

    Raises:
        AttributeError, ImportError: torch has no such switch in a running process.
    """
    if get("current_platform").is_cpu():
        os.environ["TORCH_COMPILE_DISABLE"] = "1"  # for processes that are spawned
        if here:
            importlib.import_module("torch._dynamo.config").disable = True  # type: ignore[attr-defined]


def limit_cpu_threads(number: int) -> None:
    """Sets how many threads a model on the CPU computes with; forked processes inherit it.

    One fewer than there are processors, as vLLM does where it spawns: a thread that waits
    for another, which waits for a processor, makes both many times slower.
    """
    if get("current_platform").is_cpu():
        importlib.import_module("torch").set_num_threads(number)


def preload_app() -> None:
    """Imports what the app needs, so that building it later is quick."""
    get("build_app")
    get("init_app_state")
    for module in _USED_BY_APP_STATE:
        try:
            importlib.import_module(module)
        except ImportError:  # only a head start: another version has them elsewhere
            continue


@dataclass(frozen=True)
class _Parser:
    parser: Any
    options: dict[str, Action]

    @classmethod
    def build(cls) -> _Parser:
        class Parser(get("FlexibleArgumentParser")):  # type: ignore[misc]
            def error(self, message: str) -> None:
                raise _FieldError(message)

        parser = get("make_arg_parser")(Parser(add_help=False))
        options = {normalise(o): a for a in parser._actions for o in a.option_strings}
        return cls(parser, options)

    def arguments(self, name: str, value: ArgValue) -> list[str]:
        """One setting as command line words.

        Raises:
            _FieldError: no such option, or a value that its kind cannot take.
        """
        key = normalise(name)
        if key not in self.options:
            close = difflib.get_close_matches(key, self.options, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise _FieldError(f"this vLLM has no such option{hint}")
        action, flag = self.options[key], "--" + key.replace("_", "-")
        if value is None:
            return []
        if action.nargs == 0:
            if not isinstance(value, bool):
                raise _FieldError(f"must be true or false, found {value!r}")
            if value:
                return [flag]
            return ["--no" + flag[1:]] if "no_" + key in self.options else []
        if isinstance(value, list) and action.nargs in ("+", "*"):
            return [flag, *map(_word, value)]
        return [f"{flag}={_word(value)}"]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def parse(settings: Settings) -> Namespace:
    """Turns the settings into the arguments of vLLM's own server, checked by vLLM's parser.

    Raises:
        ConfigError: with one message for each wrong option.
    """
    parser = _Parser.build()
    words: list[str] = []
    problems: list[str] = []
    for name, value in settings.vllm_args.items():
        try:
            some = parser.arguments(name, value)
            parser.parser.parse_args(some)
        except (_FieldError, ValueError, TypeError) as error:
            text = " ".join(str(error).split()).removeprefix(
                f"argument --{name.replace('_', '-')}: "
            )
            problems.append(f"vllm_args: {name}: {text}")
        else:
            words += some
    if problems:
        raise ConfigError(problems)
    named = {normalise(name) for name in settings.vllm_args}
    if not named & {"enable_offline_docs", "disable_fastapi_docs"}:
        words.append("--enable-offline-docs")  # or /docs would load its script from elsewhere
    own: dict[str, ArgValue] = {
        "model": settings.model_path,
        "served_model_name": settings.served_model_name,
        "shutdown_timeout": int(settings.shutdown_timeout),
    }
    for name, own_value in own.items():
        words += parser.arguments(name, own_value)
    args: Namespace = parser.parser.parse_args(words)
    args.host, args.port = settings.host, settings.port
    args.root_path = settings.root_path
    # What the front does already, for its own answers too.
    args.allowed_origins, args.allow_credentials = [], False
    args.sse_keep_alive_interval = 0
    try:
        for plugin, manager, method in (
            ("tool_parser_plugin", "ToolParserManager", "import_tool_parser"),
            ("reasoning_parser_plugin", "ReasoningParserManager", "import_reasoning_parser"),
        ):
            if getattr(args, plugin, None):
                getattr(get(manager), method)(getattr(args, plugin))
        get("validate_parsed_serve_args")(args)
        get("validate_api_server_args")(args)
    except (ValueError, TypeError, KeyError, ImportError) as error:
        raise ConfigError([f"vllm_args: {first_line(error)}"]) from None
    if wrong := list(adapter_problems(args)):
        raise ConfigError([f"vllm_args: {problem}" for problem in wrong])
    return args


def engine_config(args: Namespace, *, look_here: bool) -> Any:
    """vLLM's own full configuration: the model's config.json is read, ranges are checked.

    Args:
        args: what `parse` returned.
        look_here: whether the model's class is looked at in this process, which is quicker.

    Raises:
        ConfigError: vLLM refuses the combination.
    """
    try:
        if look_here:
            inspect_model_here(args.model)
        engine_args = get("AsyncEngineArgs").from_cli_args(args)
        return engine_args.create_engine_config(usage_context=get("UsageContext").OPENAI_API_SERVER)
    except (ValueError, TypeError, OSError, NotImplementedError) as error:
        raise ConfigError([f"vllm_args: {line}" for line in _reasons(error)]) from None


def make_client(config: Any, args: Namespace) -> Any:
    """vLLM's AsyncLLM, made the way that vLLM offers; returns once the engine is loaded."""
    return get("AsyncLLM").from_vllm_config(
        vllm_config=config,
        usage_context=get("UsageContext").OPENAI_API_SERVER,
        enable_log_requests=args.enable_log_requests,
        disable_log_stats=args.disable_log_stats,
    )


def _reasons(error: Exception) -> Iterator[str]:
    details = getattr(error, "errors", None)
    if callable(details):  # a pydantic error has one entry for each field
        for item in details():
            name = ".".join(map(str, item["loc"]))
            text = str(item["msg"]).removeprefix("Value error, ")
            yield f"{name}: {text}" if name else text
    else:
        yield first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
