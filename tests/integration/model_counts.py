# SPDX-License-Identifier: Apache-2.0
"""Counts models without the plan: usage model_counts.py CONFIGS.json, answers as JSON.

Parameters are those of transformers' own classes, made on the meta device (sizes without memory) and
without encoders. Bytes a token and a sequence come from vLLM's own configuration of the model.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import warnings
from math import prod
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "CRITICAL"}
# Parts of a model of several that are not its text model.
_BESIDE = ("vision", "visual", "audio", "image", "multi_modal_projector", "mtp", "speech")


def parameters(folder: str) -> int:
    """Of the text model, with its output layer."""
    import torch
    from transformers import (
        AutoConfig,
        AutoModel,
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
    )

    config = AutoConfig.from_pretrained(folder)
    kinds = [AutoModelForImageTextToText, AutoModelForCausalLM, AutoModel]
    if "Model" in (config.architectures or [""])[0][-5:]:
        kinds = [AutoModel]
    for kind in kinds:
        if type(config) in kind._model_mapping:
            with torch.device("meta"):
                model = kind.from_config(config)
            break
    else:
        raise ValueError(f"transformers makes no model of {config.model_type}")
    # What is tied is one tensor, and is named once.
    return sum(
        one.numel()
        for name, one in model.named_parameters()
        if not any(word in name for word in _BESIDE)
    )


def cache(folder: str) -> dict[str, int]:
    """Bytes of a token's keys and values, and of a sequence's state, in 16 bits, by vLLM."""
    import torch
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.models import ModelRegistry
    from vllm.usage.usage_lib import UsageContext

    args = EngineArgs(model=folder, skip_tokenizer_init=True, dtype="bfloat16", load_format="dummy")
    engine = args.create_engine_config(UsageContext.OPENAI_API_SERVER)
    model, parallel = engine.model_config, engine.parallel_config
    layers = model.get_num_layers_by_block_type(parallel, "attention")
    heads, size = model.get_num_kv_heads(parallel), model.get_head_size()
    token = layers * (size if model.use_mla else 2 * heads * size) * 2
    found = {"token": token, "sequence": 0}
    if model.is_hybrid:
        made, _ = ModelRegistry.resolve_model_cls(model.architecture, model_config=model)
        shapes = made.get_mamba_state_shape_from_config(engine)
        dtypes = made.get_mamba_state_dtype_from_config(engine)
        each = sum(
            prod(one) * torch.empty((), dtype=dtype).element_size()
            for one, dtype in zip(shapes, dtypes, strict=True)
        )
        kept = sum(
            model.get_num_layers_by_block_type(parallel, kind)
            for kind in ("mamba", "linear_attention")
            if kind in _kinds(model)
        )
        found["sequence"] = each * (kept or len(_kinds(model)))
    return found


def _kinds(model: Any) -> list[str]:
    """What the configuration calls its layers."""
    text = model.hf_text_config
    for name in ("layers_block_type", "layer_types"):
        if getattr(text, name, None):
            return [str(one) for one in getattr(text, name)]
    return []


def main() -> None:
    """Entry point."""
    import vllm.model_executor.models.registry as registry

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    # vLLM would look at each class in a new process, which imports everything once more.
    registry._LazyRegisteredModel.inspect_model_cls = lambda lazy: (
        registry._ModelInfo.from_model_cls(lazy.load_model_cls())
    )
    found: dict[str, dict[str, Any]] = {}
    asked = sys.argv[2:] or ["parameters", "cache"]
    for name, config in json.loads(Path(sys.argv[1]).read_text()).items():
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "config.json").write_text(json.dumps(config))
            found[name] = {}
            for what, count in (("parameters", parameters), ("cache", cache)):
                if what not in asked:
                    continue
                try:
                    found[name][what] = count(folder)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
                    found[name][what] = f"{type(error).__name__}: {str(error)[:300]}"
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
