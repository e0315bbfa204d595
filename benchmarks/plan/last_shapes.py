# SPDX-License-Identifier: Apache-2.0
"""Shapes for an H200 whose caches are to be between 1 and 1.6 GiB, where they get tight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"


def _config(file: str, name: str, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_FIXTURES / file).read_text())[name]["config"]
    return found | changes


_MODELS, _PUBLISHED = "model_configs.json", "published_configs.json"
CONFIGS: dict[str, dict[str, Any]] = {
    "qwen2.5-7b": _config(_MODELS, "qwen2.5-7b"),
    "gemma-2-9b": _config(_MODELS, "gemma-2-9b"),
    # Experts: two of eight large ones; four of sixty beside a shared one; in 8 bits by blocks.
    "mixtral-8x7b": _config(_MODELS, "mixtral-8x7b"),
    "qwen1.5-moe-a2.7b": _config(_MODELS, "qwen1.5-moe-a2.7b"),
    "qwen3-30b-a3b-fp8": _config(
        _MODELS,
        "qwen3-30b-a3b",
        quantization_config={
            "quant_method": "fp8",
            "activation_scheme": "dynamic",
            "fmt": "e4m3",
            "weight_block_size": [128, 128],
        },
    ),
    # An MLP without a gate.
    "gpt-neox-20b": _config(_PUBLISHED, "transformers-gpt_neox"),
}
# As in prepare.py.
SHAPES = (
    ("qwen2.5-7b", 1, 32768, 0.121, 0.0),
    ("qwen3-30b-a3b-fp8", 1, 32768, 0.227, 0.0),
    ("qwen1.5-moe-a2.7b", 1, 8192, 0.207, 0.0),
    ("gemma-2-9b", 1, 8192, 0.141, 0.0),
    ("mixtral-8x7b", 1, 32768, 0.646, 0.0),
    ("gpt-neox-20b", 1, 2048, 0.293, 0.0),
)
