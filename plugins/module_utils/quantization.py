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
        group: inputs that share a scale; 0 where all of a row do.
        block: outputs and inputs of a block that shares a scale; empty where there are none.
        counted: whether `linear_bytes` is known.
    """

    name: str
    linear_bytes: float
    least_capability: float
    experts_only: bool = False
    pad_experts_to: int = 1
    group: int = 0
    block: tuple[int, ...] = ()
    counted: bool = True


def of(config: Mapping[str, Any], asked: str | None = None) -> Quantization | None:
    """The scheme in a `quantization_config`, else the one that vLLM is to apply while loading.

    None means weights in the model's dtype. One whose bytes are not known has `counted` false.
    """
    method = method_of(config)
    if not method:
        return _applied(asked) if asked else None
    if method in {"awq", "gptq", "auto-round", "autoround"} or method.startswith(("awq", "gptq")):
        bits = int(config.get("bits") or config.get("w_bit") or 4)
        group = int(config.get("group_size") or config.get("q_group_size") or 128)
        # A scale in half precision for each group, and a zero point as wide as a weight.
        extra = (2 + bits / 8) / group if group > 0 else 0.0
        return Quantization(method, bits / 8 + extra, 7.5, group=max(0, group))
    if method == "mxfp4":
        return Quantization(method, 4.25 / 8, 8.0, experts_only=True, pad_experts_to=256)
    if method == "bitsandbytes":
        four = bool(config.get("load_in_4bit") or config.get("_load_in_4bit"))
        return Quantization(method, 0.5 + 4 / 64 if four else 1.0, 7.5)
    if method == "compressed-tensors":
        return _compressed(config)
    if method in {"modelopt", "modelopt_fp4", "modelopt_mxfp8", "mxfp8", "nvfp4"}:
        algorithm = str(
            config.get("quant_algo")
            or (config.get("quantization") or {}).get("quant_algo")
            or method
        ).lower()
        if "mxfp8" in algorithm:
            return Quantization("mxfp8", 1 + 1 / 32, 8.0)
        return _fp4("nvfp4") if "fp4" in algorithm else _fp8("modelopt fp8")
    if "fp8" in method:
        block = config.get("weight_block_size")
        return _fp8("fp8", tuple(int(one) for one in block or ()))
    return Quantization(method, 1.0, 7.5, counted=False)


def method_of(config: Mapping[str, Any]) -> str:
    """The method's name as vLLM writes it; empty where weights are not quantised."""
    inner = config.get("quantization")
    algorithm = config.get("quant_algo") or (
        inner.get("quant_algo") if isinstance(inner, Mapping) else None
    )
    method = str(config.get("quant_method") or ("modelopt" if algorithm else "")).lower()
    return method.replace("compressed_tensors", "compressed-tensors")


def _applied(asked: str) -> Quantization | None:
    """What `quantization` in the engine's arguments makes of weights in full precision.

    They are rounded layer by layer as they are read, so that no more than one layer of them lies on
    the GPU in full precision.
    """
    if asked.startswith("fp8"):
        return _fp8(f"{asked} while loading", (128, 128) if asked == "fp8_per_block" else ())
    each = {"mxfp8": 1 + 1 / 32, "nvfp4_per_token": 0.5 + 1 / 16, "bitsandbytes": 0.5 + 4 / 64}
    if asked in each:
        return Quantization(f"{asked} while loading", each[asked], 7.5 if asked[0] == "b" else 8.0)
    return None


def _fp8(name: str, block: tuple[int, ...] = ()) -> Quantization:
    # Without FP8 units (below 8.9) vLLM keeps the weights as they are and multiplies in 16 bits.
    scale = 4 / (block[0] * block[1]) if len(block) == 2 else 0.0
    return Quantization(name, 1.0 + scale, 8.0, block=block)


def _fp4(name: str) -> Quantization:
    # A scale of one byte for each 16 weights.
    return Quantization(name, 0.5 + 1 / 16, 8.0)


def _compressed(config: Mapping[str, Any]) -> Quantization:
    groups = list((config.get("config_groups") or {}).values())
    weights = (groups[0].get("weights") if groups else None) or {}
    bits = int(weights.get("num_bits") or 8)
    if weights.get("type") == "float":
        block = tuple(int(one) for one in weights.get("block_structure") or ())
        return _fp4("nvfp4") if bits == 4 else _fp8("compressed-tensors fp8", block)
    group = max(0, int(weights.get("group_size") or 0))
    extra = 2 / group if group > 0 else 0.0
    return Quantization(
        f"compressed-tensors int{bits}",
        bits / 8 + extra,
        7.5 if bits == 8 else 8.0,
        group=group,
    )
