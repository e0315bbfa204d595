# SPDX-License-Identifier: Apache-2.0
"""Write down shapes that the plan never saw, what it says of them, and starts around their limits.

usage: prepare.py RUNS.json [--gpu ACCELERATOR] [--more | --last]

`measure.py OUT.jsonl --from RUNS.json` measures them; `compare.py RUNS.json OUT.jsonl` compares.
For each shape there is one run for its size, and starts with 95 % and 105 % of what is expected to
fit: of the longest request and, where layers keep states, of the sequences at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import last_shapes
import more_shapes
import shapes

sys.path.insert(0, str(Path(__file__).parents[2] / "collections"))

from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import gpus as gpu_table
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import fit, gpu_memory
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import engine_args

RELEASE = "0.25.1"
_FP8 = {"num_bits": 8, "type": "float", "strategy": "tensor", "symmetric": True, "dynamic": False}
CONFIGS: dict[str, dict[str, Any]] = {
    # Four of forty layers attend; the others keep a Mamba 2 state. No experts.
    "granite-4.0-h-micro": {
        "architectures": ["GraniteMoeHybridForCausalLM"],
        "model_type": "granitemoehybrid",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "shared_intermediate_size": 8192,
        "num_hidden_layers": 40,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "layer_types": (["mamba"] * 9 + ["attention"]) * 4,
        "mamba_n_heads": 64,
        "mamba_d_head": 64,
        "mamba_d_state": 128,
        "mamba_n_groups": 1,
        "mamba_d_conv": 4,
        "mamba_expand": 2,
        "mamba_chunk_size": 256,
        "mamba_conv_bias": True,
        "mamba_proj_bias": False,
        "position_embedding_type": "nope",
        "max_position_embeddings": 131072,
        "attention_bias": False,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "embedding_multiplier": 12,
        "logits_scaling": 8,
        "residual_multiplier": 0.22,
        "attention_multiplier": 0.015625,
        "tie_word_embeddings": True,
        "vocab_size": 100352,
        "bos_token_id": 100257,
        "eos_token_id": 100257,
        "torch_dtype": "bfloat16",
    },
    # Each layer attends and keeps a Mamba 2 state.
    "falcon-h1-1.5b": {
        "architectures": ["FalconH1ForCausalLM"],
        "model_type": "falcon_h1",
        "hidden_size": 2048,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "mamba_d_ssm": 3072,
        "mamba_n_heads": 48,
        "mamba_d_head": 64,
        "mamba_d_state": 256,
        "mamba_n_groups": 1,
        "mamba_d_conv": 4,
        "mamba_expand": 2,
        "mamba_chunk_size": 128,
        "mamba_conv_bias": True,
        "mamba_proj_bias": False,
        "mamba_rms_norm": False,
        "mamba_norm_before_gate": False,
        "mlp_bias": False,
        "projectors_bias": False,
        "attention_bias": False,
        "ssm_multipliers": [1.0, 1.0, 1.0, 1.0, 1.0],
        "mlp_multipliers": [1.0, 1.0],
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 100000000000.0,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
        "vocab_size": 65536,
        "bos_token_id": 1,
        "eos_token_id": 11,
        "torch_dtype": "bfloat16",
    },
    # Six of sixteen layers attend; the others keep a short convolution's input.
    "lfm2-1.2b": {
        "architectures": ["Lfm2ForCausalLM"],
        "model_type": "lfm2",
        "hidden_size": 2048,
        "intermediate_size": 12288,
        "block_auto_adjust_ff_dim": True,
        "block_ffn_dim_multiplier": 1.0,
        "block_multiple_of": 256,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "layer_types": [
            "full_attention" if at in {2, 5, 8, 10, 12, 14} else "conv" for at in range(16)
        ],
        "conv_L_cache": 3,
        "conv_bias": False,
        "conv_dim": 2048,
        "norm_eps": 1e-5,
        "rope_theta": 1000000.0,
        "max_position_embeddings": 128000,
        "tie_word_embeddings": True,
        "vocab_size": 65536,
        "bos_token_id": 1,
        "eos_token_id": 7,
        "torch_dtype": "bfloat16",
    },
    # 29 of 34 layers have a window of 1024 tokens.
    "gemma-3-4b": {
        **shapes.CONFIGS["gemma-3-1b"],
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "sliding_window": 1024,
        "max_position_embeddings": 131072,
        "vocab_size": 262208,
    },
    # Weights and KV cache in 8 bits, both declared by the checkpoint.
    "llama-3.2-3b-fp8-kv": {
        **shapes.CONFIGS["llama-3.2-1b"],
        "hidden_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "head_dim": 128,
        "quantization_config": {
            **shapes.CONFIGS["llama-3.1-8b-fp8"]["quantization_config"],
            "kv_cache_scheme": _FP8,
        },
    },
    # LongRoPE: 4096 tokens by default, and up to 131072.
    "phi-4-mini": {
        **shapes.CONFIGS["phi-4"],
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 32,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "vocab_size": 200064,
        "max_position_embeddings": 131072,
        "original_max_position_embeddings": 4096,
        "partial_rotary_factor": 0.75,
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "longrope", "long_factor": [1.0] * 48, "short_factor": [1.0] * 48},
        "sliding_window": 262144,
        "tie_word_embeddings": True,
    },
    "qwen2.5-14b": {
        **shapes.CONFIGS["qwen2.5-32b"],
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 48,
    },
    # Five norms' worth of queries and keys over all heads.
    "olmo-2-7b": {
        "architectures": ["Olmo2ForCausalLM"],
        "model_type": "olmo2",
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_theta": 500000,
        "attention_bias": False,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "vocab_size": 100352,
        "bos_token_id": 100257,
        "eos_token_id": 100257,
        "torch_dtype": "bfloat16",
    },
}
_STEPS = {"max_num_batched_tokens": 8192, "max_num_seqs": 256}
_EAGER = {**_STEPS, "enforce_eager": True, "gpu_memory_utilization": 0.9}
# Shape, GPUs, its length for the first run, and shares of the GPU in which its longest request gets
# tight, and (where layers keep states) its sequences.
SHAPES = (
    ("granite-4.0-h-micro", 1, 32768, 0.053, 0.08),
    ("falcon-h1-1.5b", 1, 32768, 0.04, 0.06),
    ("lfm2-1.2b", 1, 32768, 0.027, 0.0),
    ("gemma-3-4b", 1, 32768, 0.071, 0.0),
    ("llama-3.2-3b-fp8-kv", 1, 32768, 0.07, 0.0),
    ("phi-4-mini", 1, 32768, 0.09, 0.0),
    ("olmo-2-7b", 1, 4096, 0.115, 0.0),
    ("qwen2.5-14b", 2, 32768, 0.125, 0.0),
    ("granite-4.0-h-micro", 2, 32768, 0.031, 0.06),
)
# Sequences are refused where CUDA graphs are made; few of them are, which takes no time.
_GRAPHS = [1, 8]
_COMPILATION = {
    "mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY", "cudagraph_capture_sizes": _GRAPHS,
}  # fmt: skip


def runs(gpu: gpu_table.Gpu, wanted: tuple[tuple[str, int, int, float, float], ...]) -> list[Any]:
    """Every start, with what the plan expects of it."""
    found = []
    for name, gpus, length, share, sequences in wanted:
        split = {"tensor_parallel_size": gpus} if gpus > 1 else {}
        found.append(_run(name, gpus, _EAGER | split | {"max_model_len": length}, gpu, "starts"))
        tight = _EAGER | split | {"gpu_memory_utilization": share}
        for part, expected in ((0.95, "starts"), (1.05, "refused")):
            longest = _longest(name, tight, gpu)
            if longest is None:
                continue
            given = tight | {"max_model_len": int(longest * part)}
            found.append(_run(name, gpus, given, gpu, expected))
        if sequences:
            tight |= {"gpu_memory_utilization": sequences}
            for part, expected in ((0.95, "starts"), (1.05, "refused")):
                most = _sequences(name, tight | {"max_model_len": 4096}, gpu)
                given = {k: v for k, v in tight.items() if k != "enforce_eager"}
                given |= {"max_model_len": 4096, "max_num_seqs": int(most * part)}
                given |= {"compilation_config": _COMPILATION}
                found.append(_run(name, gpus, given, gpu, expected))
    return found


def _plan(name: str, given: dict[str, Any], gpu: gpu_table.Gpu, gpus: int) -> dict[str, Any]:
    given = {key: value for key, value in given.items() if key != "compilation_config"} | (
        {"cudagraph_capture_sizes": _GRAPHS} if "compilation_config" in given else {}
    )
    return fit.judge(model_shape.parse(CONFIGS[name]), given, gpu, gpus, release=RELEASE)


def _run(
    name: str, gpus: int, given: dict[str, Any], gpu: gpu_table.Gpu, expected: str
) -> dict[str, Any]:
    found = _plan(name, given, gpu, gpus)
    return {
        "model": name,
        "gpus": gpus,
        "arguments": given,
        "serve": expected == "starts",
        "expected": expected,
        "plan": {key: found[key] for key in ("fits", "reason", "kv_tokens", "max_model_len")}
        | {"per_gpu": found["per_gpu"]},
    }


def _room(name: str, given: dict[str, Any], gpu: gpu_table.Gpu) -> tuple[Any, int]:
    shape = model_shape.parse(CONFIGS[name])
    engine = engine_args.resolve(given, shape, gpu, release=RELEASE)
    scheme = gpu_memory.scheme_of(shape, engine, RELEASE)
    left = gpu_memory.budget(shape, engine, gpu, scheme).available
    return gpu_memory.layout(shape, engine, gpu), left


def _longest(name: str, given: dict[str, Any], gpu: gpu_table.Gpu) -> int | None:
    """The longest request for which room is expected; None where 105 % of it is never asked."""
    layout, left = _room(name, given, gpu)
    most = model_shape.parse(CONFIGS[name]).longest
    longest = int(layout.longest(left, 4 * most))
    return longest if longest * 1.05 < most else None


def _sequences(name: str, given: dict[str, Any], gpu: gpu_table.Gpu) -> int:
    """Sequences for whose states room is expected, which themselves take memory."""
    most = 256
    for _ in range(6):
        graphs = {"max_num_seqs": most, "cudagraph_capture_sizes": _GRAPHS, "enforce_eager": False}
        layout, left = _room(name, given | graphs, gpu)
        most = int(layout.blocks(left))
    return most


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--gpu", default="nvidia-h200-141gb")
    parser.add_argument("--more", action="store_true", help="those of more_shapes.py instead")
    parser.add_argument("--last", action="store_true", help="those of last_shapes.py instead")
    options = parser.parse_args()
    wanted = SHAPES
    if options.more or options.last:
        other = more_shapes if options.more else last_shapes
        wanted = other.SHAPES
        CONFIGS.clear()
        CONFIGS.update(other.CONFIGS)
    found = runs(gpu_table.GPUS[options.gpu], wanted)
    for number, run in enumerate(found):
        print(
            number, run["model"], run["gpus"], run["arguments"], run["expected"],
            run["plan"]["fits"], run["plan"]["kv_tokens"], run["plan"]["reason"][:110],
        )  # fmt: skip
    text = json.dumps({"gpu": options.gpu, "configs": CONFIGS, "runs": found}, indent=1)
    options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
