# SPDX-License-Identifier: Apache-2.0
"""Counts models without the plan: usage model_counts.py CONFIGS.json, answers as JSON.

Parameters are those of transformers' own classes, made on the meta device (sizes without memory)
and without encoders. Bytes a token and a sequence come from vLLM's own configuration of the model.
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
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "CRITICAL"}


# Text models of those with an encoder, for which this environment need not have what encoders
# import.
_ALONE = {
    "qwen3_5_text": ("qwen3_5_text", "Qwen3_5ForCausalLM"),
    "qwen3_5_moe_text": ("qwen3_5_moe_text", "Qwen3_5MoeForCausalLM"),
    "qwen3_vl_text": ("qwen3", "Qwen3ForCausalLM"),
    "qwen3_vl_moe_text": ("qwen3_moe", "Qwen3MoeForCausalLM"),
    "llama4_text": ("llama4_text", "Llama4ForCausalLM"),
    "gemma3_text": ("gemma3_text", "Gemma3ForCausalLM"),
}
# Names of model types that transformers has under another.
_SAME = {"kimi_k2": "deepseek_v3", "phi4mm": "phi3"}


def alone(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of the text model alone, without quantisation."""
    text = config.get("text_config", config)
    kind = str(text.get("model_type"))
    found = {k: v for k, v in text.items() if k != "quantization_config"}
    found["model_type"] = _SAME.get(kind, kind)
    if "text_config" in config:
        found["model_type"], architecture = _ALONE[kind]
        found["architectures"] = [architecture]
        found.setdefault("tie_word_embeddings", config.get("tie_word_embeddings", False))
    return found


def parameters(folder: str) -> int:
    """Of the text model, with its output layer."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    kinds = [AutoModelForCausalLM, AutoModel]
    if str((config.architectures or [""])[0]).endswith("Model"):
        kinds = [AutoModel]
    for kind in kinds:
        if type(config) in kind._model_mapping:
            with torch.device("meta"):
                model = kind.from_config(config)
            break
    else:
        raise ValueError(f"transformers makes no model of {config.model_type}")
    # What is tied is one tensor, and is named once.
    return sum(one.numel() for one in model.parameters())


def cache(folder: str) -> dict[str, int]:
    """Bytes of a token's keys and values, and of a sequence's state, in 16 bits, by vLLM."""
    import torch
    from vllm.config import CacheConfig, ModelConfig, ParallelConfig
    from vllm.model_executor.models import ModelRegistry
    from vllm.model_executor.models.config import MODELS_CONFIG_MAP

    model = ModelConfig(model=folder, skip_tokenizer_init=True, dtype="bfloat16")
    parallel = ParallelConfig()
    kinds = _kinds(model)
    # Falcon H1's layers have both, which vLLM counts as states alone.
    beside = kinds.count("hybrid")
    layers = model.get_num_layers_by_block_type(parallel, "attention")
    if model.is_hybrid:
        layers = beside or sum(kinds.count(kind) for kind in ("attention", "full_attention"))
    heads, size = model.get_num_kv_heads(parallel), model.get_head_size()
    token = layers * (size if model.use_mla else 2 * heads * size) * 2
    if not model.is_hybrid:
        return {"token": token, "sequence": 0}
    engine = SimpleNamespace(
        model_config=model,
        parallel_config=parallel,
        cache_config=CacheConfig(),
        num_speculative_tokens=0,
        speculative_config=None,
    )
    update = MODELS_CONFIG_MAP.get(model.architecture)
    if update is not None and model.architecture.startswith(("NemotronH", "Qwen3_5")):
        update.verify_and_update_config(engine)
    made, _ = ModelRegistry.resolve_model_cls(model.architecture, model_config=model)
    shapes = made.get_mamba_state_shape_from_config(engine)
    dtypes = made.get_mamba_state_dtype_from_config(engine)
    each = sum(
        prod(one) * torch.empty((), dtype=dtype).element_size()
        for one, dtype in zip(shapes, dtypes, strict=True)
    )
    kept = beside or sum(kinds.count(kind) for kind in ("mamba", "linear_attention", "conv"))
    return {"token": token, "sequence": each * kept}


def _kinds(model: Any) -> list[str]:
    """What the configuration calls its layers."""
    text = model.hf_text_config
    for name in ("layers_block_type", "layer_types"):
        if getattr(text, name, None):
            return [str(one) for one in getattr(text, name)]
    return []


def main() -> None:
    """Entry point."""
    from vllm.model_executor.models import registry

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    # Encoders import what this environment need not have; none is made here.
    for name in ("", ".transforms", ".transforms.v2", ".transforms.v2.functional", ".io"):
        sys.modules.setdefault(f"torchvision{name}", MagicMock(__spec__=None))
    # vLLM would look at each class in a new process, which imports everything once more.
    registry._LazyRegisteredModel.inspect_model_cls = lambda lazy: (
        registry._ModelInfo.from_model_cls(lazy.load_model_cls())
    )
    found: dict[str, dict[str, Any]] = {}
    asked = sys.argv[2:] or ["parameters", "cache"]
    for name, config in json.loads(Path(sys.argv[1]).read_text()).items():
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "config.json").write_text(json.dumps(alone(config)))
            found[name] = {}
            for what, count in (("parameters", parameters), ("cache", cache)):
                if what not in asked:
                    continue
                try:
                    found[name][what] = count(folder)
                except Exception as error:
                    found[name][what] = f"{type(error).__name__}: {str(error)[:300]}"
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
