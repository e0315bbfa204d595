# SPDX-License-Identifier: Apache-2.0
"""Which quantisation methods releases of vLLM take, and which it refuses to combine. Pure.

Read from vLLM's list of methods (`model_executor/layers/quantization`) and from how its model
configuration verifies what is asked; `playbooks/test_plan_vllm.py` of the tests asks a real one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model import quantization
from ..suggest import did_you_mean

_IN_BOTH_NAMES = """
    auto_awq auto_gptq awq awq_marlin compressed-tensors deepseek_v4_fp8 experts_int8 fp8
    fp8_per_block fp8_per_channel fp8_per_tensor gpt_oss_mxfp4 gptq gptq_marlin humming inc
    int8_per_channel_weight_only modelopt modelopt_fp4 modelopt_mixed modelopt_mxfp8 moe_wna16
    mxfp4 mxfp8 online quark torchao
    """
_IN_BOTH = frozenset(_IN_BOTH_NAMES.split())
# Release to the methods that it takes without allow_deprecated_quantization.
METHODS = {
    "0.25.1": _IN_BOTH | {"bitsandbytes"},
    "0.32.0": _IN_BOTH | {"nvfp4_per_token"},
    "0.33.0": _IN_BOTH | {"nvfp4_per_token"},
}
# Those that round weights in full precision while they are read.
_ONLINE_NAMES = """
    bitsandbytes experts_int8 fp8 fp8_per_block fp8_per_channel fp8_per_tensor
    int8_per_channel_weight_only mxfp8 nvfp4_per_token online
    """
ONLINE = frozenset(_ONLINE_NAMES.split())
# What may be asked for beside a checkpoint's own method; of others nothing but that.
_SAME = {
    "awq": frozenset({"awq", "awq_marlin", "auto_awq", "marlin", "humming"}),
    "gptq": frozenset({"gptq", "gptq_marlin", "auto_gptq", "marlin", "moe_wna16", "humming"}),
    "fp8": frozenset({"fp8", "deepseek_v4_fp8", "humming"}),
}
# Checkpoints whose own method is used whatever is asked.
_DECIDED = frozenset({"auto-round", "modelopt", "modelopt_fp4", "modelopt_mxfp8", "nvfp4"})
# Names in config.json that vLLM takes for a method of another name.
_READ_AS = {"auto-round": "inc", "nvfp4": "modelopt_fp4"}


def not_known(config: Mapping[str, Any], asked: str | None, release: str) -> list[str]:
    """Of a release that is not in the table: the methods that not all others have."""
    if release in METHODS:
        return []
    named = dict.fromkeys((quantization.method_of(config), asked or ""))
    return [
        f"whether vLLM {release} has the quantisation method {one}"
        for one in named
        if one and _READ_AS.get(one, one) not in _IN_BOTH
    ]


def problems(
    config: Mapping[str, Any], asked: str | None, release: str, model_type: str
) -> list[str]:
    """Why vLLM would refuse a checkpoint's method or the one asked for; empty where it would not.

    Args:
        config: `quantization_config`, of config.json or of a file beside it.
        asked: the engine argument `quantization`.
    """
    own, taken = quantization.method_of(config), METHODS.get(release)
    name = f"vLLM {release}"
    if taken is not None and own and _READ_AS.get(own, own) not in taken:
        return [
            f"{name} has no quantisation method '{own}', which the checkpoint is in: take one in "
            "another format (fp8, awq, gptq, compressed-tensors), or in full precision"
        ]
    if not asked:
        return []
    if taken is not None and asked not in taken | {"marlin"}:
        return [
            f"{name} has no quantization: {asked}.{did_you_mean(asked, sorted(taken))} It has "
            f"{', '.join(sorted(taken))}"
        ]
    if not own:
        if asked in ONLINE:
            return []
        return [
            f"quantization: {asked} is for checkpoints that are quantised so, and this one is in "
            "full precision: leave it out, or round while loading (quantization: fp8_per_tensor)"
        ]
    if own in _DECIDED or (own == "mxfp4" and model_type == "gpt_oss"):
        return []
    if asked not in _SAME.get(own, frozenset({own, "humming"})):
        return [
            f"the checkpoint is quantised already ({own}), which does not match quantization: "
            f"{asked}: set quantization to null"
        ]
    return []
