# SPDX-License-Identifier: Apache-2.0
"""vLLM's grammars, as far as this server looks into them: what is asked for, and trying it out."""

from __future__ import annotations

import contextlib
import importlib
import time
import uuid
from collections.abc import Callable
from typing import Any

from ..limits.grammar_bounds import Grammar
from . import client as vllm_client
from . import compat as vllm_compat

KINDS = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")
_OPTIONS = ("disable_any_whitespace", "disable_additional_properties", "whitespace_pattern")
#: What vLLM imports while it holds up the event loop, when the first grammar comes.
_IMPORTED_LATE = (
    "xgrammar",
    "vllm.v1.structured_output.backend_xgrammar",
    "vllm.v1.structured_output.backend_guidance",
    "vllm.v1.structured_output.backend_outlines",
    "vllm.v1.structured_output.backend_lm_format_enforcer",
    "vllm.v1.structured_output.request",
)


def grammar_of(params: Any) -> Grammar | None:
    """What a request holds its answer to; None is nothing."""
    asked = getattr(params, "structured_outputs", None)
    if asked is None:
        return None
    for kind in KINDS:
        value = getattr(asked, kind, None)
        if value is not None:
            options = {name: getattr(asked, name, None) for name in _OPTIONS}
            return Grammar(kind, value, {k: v for k, v in options.items() if v is not None})
    return None


def preload() -> None:
    """Imports what grammars need; takes seconds, so not in the event loop."""
    for name in _IMPORTED_LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


async def settle_backend(client: Any, generate: Callable[..., Any]) -> str:
    """Has the engine compile a first grammar, and says with what.

    The engine compiles all grammars with what the first one took. That must be none of a client's
    choosing.
    """
    prompt = await vllm_client.render(client, "{")
    params = vllm_compat.get("SamplingParams")(
        max_tokens=1,
        structured_outputs=_held_to(json_object=True),
    )
    async for _ in generate(prompt, params, f"grammar-{uuid.uuid4().hex}"):
        pass
    return str(params.structured_outputs._backend)


def preparing(client: Any, backend: str) -> Callable[[], Callable[[dict[str, Any]], Any]]:
    """Makes what tries grammars out, in a process of its own, as vLLM and its engine will do."""
    config, tokenizer = client.vllm_config, client.tokenizer

    def prepare() -> Callable[[dict[str, Any]], dict[str, Any]]:
        engine = _engine(backend, config, tokenizer)

        def work(task: dict[str, Any]) -> dict[str, Any]:
            asked = _held_to(**{task["kind"]: task["value"]}, **task["options"])
            params = vllm_compat.get("SamplingParams")(structured_outputs=asked)
            began = time.process_time()
            params._validate_structured_outputs(
                config.model_config, config.structured_outputs_config, tokenizer
            )
            checked = time.process_time()
            compiled = engine.compile_grammar(*_key(asked))
            made = time.process_time()
            mask = engine.allocate_token_bitmask(1)
            compiled.fill_bitmask(mask, 0)
            return {
                "check": checked - began,
                "compile": made - checked,
                "step": time.process_time() - made,
                # Where no token may come first, nothing can be answered.
                "empty": not bool(mask.any()),
            }

        return work

    return prepare


def _held_to(**fields: Any) -> Any:
    module = importlib.import_module(vllm_compat.get("SamplingParams").__module__)
    return module.StructuredOutputsParams(**fields)


def _key(asked: Any) -> tuple[Any, str]:
    request = importlib.import_module("vllm.v1.structured_output.request")
    return request.get_structured_output_key(asked)  # type: ignore[no-any-return]


def _engine(name: str, config: Any, tokenizer: Any) -> Any:
    """What the engine compiles with."""
    module, kind = {
        "xgrammar": ("backend_xgrammar", "XgrammarBackend"),
        "guidance": ("backend_guidance", "GuidanceBackend"),
        "outlines": ("backend_outlines", "OutlinesBackend"),
        "lm-format-enforcer": ("backend_lm_format_enforcer", "LMFormatEnforcerBackend"),
    }[name]
    backend = getattr(importlib.import_module(f"vllm.v1.structured_output.{module}"), kind)
    size = config.model_config.get_vocab_size()
    return backend(config, tokenizer=tokenizer, vocab_size=size)
