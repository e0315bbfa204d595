# SPDX-License-Identifier: Apache-2.0
"""How many bytes a weight takes under each quantisation, and which GPUs run it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DTYPE_BYTES = {"float32": 4.0, "float": 4.0, "float16": 2.0, "half": 2.0, "bfloat16": 2.0}


@dataclass(frozen=True)
class Quantization:
    """What is known of a scheme.

    Attributes:
        linear_bytes: bytes of one weight of a linear layer, scales included.
        least_capability: compute capability from which vLLM runs it.
        experts_only: whether only the experts' weights are quantised.
        pad_experts_to: experts' sizes are rounded up to a multiple of this while loading.
    """

    name: str
    linear_bytes: float
    least_capability: float
    experts_only: bool = False
    pad_experts_to: int = 1


def of(config: Mapping[str, Any], asked: str | None = None) -> Quantization | None:
    """The scheme in a `quantization_config`, else the one that vLLM is to apply while loading.

    None means weights in the model's dtype. A scheme that is not known counts 8 bits a weight, and
    its name says so.
    """
    method = str(config.get("quant_method") or config.get("quant_algo") or "").lower()
    if not method:
        return _applied(asked) if asked else None
    if method in {"awq", "gptq", "auto-round", "autoround"} or method.startswith(("awq", "gptq")):
        bits = int(config.get("bits") or config.get("w_bit") or 4)
        group = int(config.get("group_size") or config.get("q_group_size") or 128)
        # A scale in half precision for each group, and a zero point as wide as a weight.
        extra = (2 + bits / 8) / group if group > 0 else 0.0
        return Quantization(method, bits / 8 + extra, 7.5)
    if method == "mxfp4":
        return Quantization(method, 4.25 / 8, 8.0, experts_only=True, pad_experts_to=256)
    if method == "bitsandbytes":
        four = bool(config.get("load_in_4bit") or config.get("_load_in_4bit"))
        return Quantization(method, 0.5 + 4 / 64 if four else 1.0, 7.5)
    if method == "compressed-tensors":
        return _compressed(config)
    if method in {"modelopt", "modelopt_fp4", "nvfp4"}:
        algorithm = str(
            config.get("quant_algo")
            or (config.get("quantization") or {}).get("quant_algo")
            or method
        ).lower()
        return _fp4("nvfp4") if "fp4" in algorithm else _fp8("modelopt fp8")
    if "fp8" in method:
        block = config.get("weight_block_size")
        return _fp8("fp8", block=int(block[0]) * int(block[1]) if block else 0)
    return Quantization(f"{method} (taken as 8 bits)", 1.0, 7.5)


def _applied(asked: str) -> Quantization | None:
    """What `quantization` in the engine's arguments makes of weights in full precision."""
    if asked.startswith("fp8"):
        return _fp8(f"{asked} while loading")
    if asked == "bitsandbytes":
        return Quantization("bitsandbytes while loading", 0.5 + 4 / 64, 7.5)
    return None


def _fp8(name: str, block: int = 0) -> Quantization:
    # Without FP8 units (below 8.9) vLLM keeps the weights as they are and multiplies in 16 bits.
    return Quantization(name, 1.0 + (4 / block if block else 0.0), 8.0)


def _fp4(name: str) -> Quantization:
    # A scale of one byte for each 16 weights.
    return Quantization(name, 0.5 + 1 / 16, 8.0)


def _compressed(config: Mapping[str, Any]) -> Quantization:
    groups = list((config.get("config_groups") or {}).values())
    weights = (groups[0].get("weights") if groups else None) or {}
    bits = int(weights.get("num_bits") or 8)
    if weights.get("type") == "float":
        return _fp4("nvfp4") if bits == 4 else _fp8("compressed-tensors fp8")
    group = int(weights.get("group_size") or 0)
    extra = 2 / group if group > 0 else 0.0
    return Quantization(
        f"compressed-tensors int{bits}", bits / 8 + extra, 7.5 if bits == 8 else 8.0
    )
