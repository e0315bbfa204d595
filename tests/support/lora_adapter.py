# SPDX-License-Identifier: Apache-2.0
"""Makes up a LoRA adapter for a Llama: small random matrices in PEFT's files."""

from __future__ import annotations

import json
import random
import struct
from array import array
from pathlib import Path

RANK = 8


def write_adapter(folder: Path, model: Path, seed: int = 1) -> Path:
    """Writes one for the queries and values of every layer; returns its folder.

    The matrices' entries are large enough to change what the model says.
    """
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    hidden, head = config["hidden_size"], config["head_dim"]
    widths = {
        "q_proj": config["num_attention_heads"] * head,
        "v_proj": config["num_key_value_heads"] * head,
    }
    draw = random.Random(seed)  # noqa: S311 - no secret
    tensors: dict[str, tuple[list[int], array[float]]] = {}
    for layer in range(config["num_hidden_layers"]):
        for name, width in widths.items():
            prefix = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            for part, shape in (("lora_A", [RANK, hidden]), ("lora_B", [width, RANK])):
                values = array("f", (draw.gauss(0, 0.05) for _ in range(shape[0] * shape[1])))
                tensors[f"{prefix}.{part}.weight"] = (shape, values)
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(_safetensors(tensors))
    (folder / "adapter_config.json").write_text(
        json.dumps(
            {
                "peft_type": "LORA",
                "task_type": "CAUSAL_LM",
                "base_model_name_or_path": str(model),
                "r": RANK,
                "lora_alpha": 2 * RANK,
                "lora_dropout": 0.0,
                "bias": "none",
                "target_modules": sorted(widths),
            }
        ),
        encoding="utf-8",
    )
    return folder


def _safetensors(tensors: dict[str, tuple[list[int], array[float]]]) -> bytes:
    """The format: the header's length in 8 bytes, the header in JSON, the numbers."""
    header, offset = {}, 0
    for name, (shape, values) in tensors.items():
        size = len(values) * values.itemsize
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(values.tobytes() for _, values in tensors.values())
    return struct.pack("<Q", len(text)) + text + body
