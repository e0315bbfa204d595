# SPDX-License-Identifier: Apache-2.0
"""From a model's config.json to its shape: layers, heads, experts, what is cached. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# `full`, `sliding` or `chunked`.
LayerKind = str

# Encoders: they pool, and cache nothing.
_ENCODERS = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "nomic_bert", "modernbert"})
# What keeps a state besides, or instead of, keys and values; its memory is not counted here.
_STATEFUL_KEYS = (
    "mamba_d_state",
    "ssm_state_size",
    "linear_num_key_heads",
    "state_size",
    "mamba_d_ssm",
)
_PLAIN_MLP = frozenset(
    {"gpt2", "opt", "phi", "gpt_neox", "falcon", "starcoder2", "gpt_bigcode", "nemotron", "bloom"}
)
_QK_NORM = frozenset({"qwen3", "qwen3_moe", "gemma3", "gemma3_text", "olmo2", "olmo3"})
_FOUR_NORMS = frozenset({"gemma2", "gemma3", "gemma3_text", "glm4"})
_TIED_BY_DEFAULT = frozenset(
    {
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3_text",
        "cohere",
        "cohere2",
        "gpt2",
        "opt",
        "bloom",
        "falcon",
    }
)
# What config.json may leave out, as transformers fills it in.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "gemma3_text": {
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    }
}
# How often a layer attends to everything, where config.json does not list the layers.
_FULL_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "gpt_oss": 2, "cohere2": 4}
_LENGTH_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
    "max_seq_length",
)
# Ways of scaling rotary embeddings whose config.json states the scaled length already.
_SCALED_ALREADY = frozenset(
    {
        "su",
        "longrope",
        "llama3",
        "yarn",
        "deepseek_yarn",
        "deepseek_llama_scaling",
        "mrope",
        "default",
    }
)


class ShapeError(ValueError):
    """config.json lacks what a plan needs; the text says what."""


@dataclass(frozen=True)
class Experts:
    """A mixture of experts; `shared` is the intermediate size of what every token passes."""

    count: int
    active: int
    intermediate: int
    shared: int = 0
    shared_gated: bool = False
    biased: bool = False


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention (MLA): ranks and head sizes."""

    kv_rank: int
    q_rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int


@dataclass(frozen=True)
class Shape:
    """A text model's shape. Sizes are elements; `layers` holds one kind a layer."""

    model_type: str
    architecture: str
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    max_length: int
    dtype: str
    tied: bool
    layers: tuple[LayerKind, ...]
    window: int = 0
    gated_mlp: bool = True
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    norms: int = 2
    encoder: bool = False
    positions: int = 0
    experts: Experts | None = None
    dense_layers: int = 0
    dense_intermediate: int = 0
    latent: Latent | None = None
    sinks: bool = False
    quantization: Mapping[str, Any] = field(default_factory=dict)
    not_counted: tuple[str, ...] = ()


def parse(config: Mapping[str, Any]) -> Shape:
    """Shape of the text model in a config.json.

    Raises:
        ShapeError: a value without which nothing can be counted is missing.
    """
    text = _text_part(config)
    kind = str(text.get("model_type") or config.get("model_type") or "")
    layers = _int(text, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
    hidden = _int(text, "hidden_size", "n_embd", "d_model")
    heads = _int(text, "num_attention_heads", "n_head", "n_heads")
    latent = _latent(text)
    kv_heads = int(text.get("num_key_value_heads") or text.get("num_kv_heads") or heads)
    if kind == "falcon" and text.get("multi_query") and not text.get("new_decoder_architecture"):
        kv_heads = 1
    kinds, window = _layer_kinds(text, kind, layers)
    experts, dense = _experts(text, kind, layers)
    intermediate = int(
        text.get("intermediate_size") or text.get("n_inner") or text.get("ffn_dim") or 4 * hidden
    )
    encoder = kind in _ENCODERS
    tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    attention_bias = bool(text.get("attention_bias", False))
    return Shape(
        model_type=kind,
        architecture=str((config.get("architectures") or text.get("architectures") or [""])[0]),
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=int(text.get("head_dim") or hidden // heads),
        vocab=_int(text, "vocab_size"),
        max_length=max_length(text),
        dtype=_dtype(text, config),
        tied=kind in _TIED_BY_DEFAULT if tied is None else bool(tied),
        layers=kinds,
        window=window,
        gated_mlp=kind not in _PLAIN_MLP and not encoder,
        qkv_bias=attention_bias or kind in {"qwen2", "qwen2_moe", "gpt2", "opt", "phi"} or encoder,
        out_bias=attention_bias or kind in {"gpt2", "opt", "phi"} or encoder,
        mlp_bias=bool(text.get("mlp_bias", False)) or kind in {"gpt2", "opt", "phi"} or encoder,
        qk_norm=kind in _QK_NORM or bool(text.get("use_qk_norm")),
        norms=4 if kind in _FOUR_NORMS else 2,
        encoder=encoder,
        positions=_learned_positions(text, kind, encoder),
        experts=experts,
        dense_layers=dense,
        dense_intermediate=int(text.get("intermediate_size_mlp") or intermediate),
        latent=latent,
        sinks=kind == "gpt_oss",
        quantization=config.get("quantization_config") or text.get("quantization_config") or {},
        not_counted=_not_counted(config, text, kind),
    )


def max_length(text: Mapping[str, Any]) -> int:
    """The longest sequence that vLLM allows by default, in tokens (2048 where nothing says)."""
    named = [int(text[key]) for key in _LENGTH_KEYS if text.get(key)]
    if not named:
        return 2048
    length = float(min(named))
    scaling = text.get("rope_scaling") or text.get("rope_parameters") or {}
    kind = str(scaling.get("rope_type") or scaling.get("type") or "default")
    if kind not in _SCALED_ALREADY and "gemma3" not in str(text.get("model_type")):
        length *= float(scaling.get("factor") or 1.0)
    if kind == "longrope" and text.get("original_max_position_embeddings"):
        length = float(text["original_max_position_embeddings"])
    return int(length)


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in ("text_config", "llm_config", "language_config"):
        if isinstance(config.get(key), Mapping):
            text = dict(config[key])
            return _DEFAULTS.get(str(text.get("model_type")), {}) | text
    return _DEFAULTS.get(str(config.get("model_type")), {}) | dict(config)


def _int(text: Mapping[str, Any], *names: str) -> int:
    for name in names:
        if text.get(name):
            return int(text[name])
    raise ShapeError(f"config.json has no {names[0]}")


def _dtype(text: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    for part in (text, config):
        for key in ("dtype", "torch_dtype"):
            if part.get(key):
                return str(part[key]).removeprefix("torch.")
    return "float32"


def _latent(text: Mapping[str, Any]) -> Latent | None:
    if not text.get("kv_lora_rank"):
        return None
    return Latent(
        kv_rank=int(text["kv_lora_rank"]),
        q_rank=int(text.get("q_lora_rank") or 0),
        rope_dim=int(text.get("qk_rope_head_dim") or 0),
        nope_dim=int(text.get("qk_nope_head_dim") or 0),
        value_dim=int(text.get("v_head_dim") or 0),
    )


def _layer_kinds(
    text: Mapping[str, Any], kind: str, layers: int
) -> tuple[tuple[LayerKind, ...], int]:
    """One kind a layer, and the window in tokens (0 where no layer has one)."""
    window = int(text.get("sliding_window") or 0)
    listed = text.get("layer_types")
    if listed:
        names: dict[str, LayerKind] = {
            "sliding_attention": "sliding",
            "chunked_attention": "chunked",
        }
        kinds = tuple(names.get(str(one), "full") for one in listed)
        if "chunked" in kinds:
            window = int(text.get("attention_chunk_size") or window)
        return kinds, window if set(kinds) != {"full"} else 0
    if kind in {"llama4", "llama4_text"}:
        chunk = int(text.get("attention_chunk_size") or 8192)
        every = 4
        return tuple("full" if (i + 1) % every == 0 else "chunked" for i in range(layers)), chunk
    if kind.startswith("qwen"):
        if not text.get("use_sliding_window"):
            return ("full",) * layers, 0
        first = int(text.get("max_window_layers") or layers)
        return tuple("full" if i < first else "sliding" for i in range(layers)), window
    if not window:
        return ("full",) * layers, 0
    every = int(text.get("sliding_window_pattern") or _FULL_EVERY.get(kind, 0))
    if not every:
        return ("sliding",) * layers, window
    return tuple("full" if (i + 1) % every == 0 else "sliding" for i in range(layers)), window


def _experts(text: Mapping[str, Any], kind: str, layers: int) -> tuple[Experts | None, int]:
    """The experts, and how many layers have none."""
    count = int(
        text.get("n_routed_experts")
        or text.get("num_local_experts")
        or text.get("num_experts")
        or text.get("moe_num_experts")
        or 0
    )
    if count < 2:
        return None, layers
    each = int(text.get("moe_intermediate_size") or text.get("intermediate_size") or 0)
    shared = int(text.get("shared_expert_intermediate_size") or 0)
    if text.get("n_shared_experts"):
        shared = int(text["n_shared_experts"]) * each
    if kind in {"llama4", "llama4_text"}:
        shared = each
    experts = Experts(
        count=count,
        active=int(text.get("num_experts_per_tok") or text.get("moe_topk") or 1),
        intermediate=each,
        shared=shared,
        shared_gated=bool(text.get("shared_expert_intermediate_size")),
        biased=kind == "gpt_oss",
    )
    if text.get("first_k_dense_replace") is not None:
        first, every = int(text["first_k_dense_replace"]), int(text.get("moe_layer_freq") or 1)
        sparse = sum(1 for i in range(layers) if i >= first and i % every == 0)
    elif text.get("interleave_moe_layer_step"):
        sparse = layers // int(text["interleave_moe_layer_step"])
    else:
        step = int(text.get("decoder_sparse_step") or 1)
        without = set(text.get("mlp_only_layers") or [])
        sparse = sum(1 for i in range(layers) if i not in without and (i + 1) % step == 0)
    return experts, layers - sparse


def _learned_positions(text: Mapping[str, Any], kind: str, encoder: bool) -> int:
    if encoder and kind != "modernbert":
        return int(text.get("max_position_embeddings") or 0) + int(text.get("type_vocab_size") or 0)
    if kind in {"gpt2", "opt", "gpt_bigcode"}:
        return int(text.get("max_position_embeddings") or text.get("n_positions") or 0)
    return 0


def _not_counted(config: Mapping[str, Any], text: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    """Parts of the model whose memory the plan does not know."""
    found = []
    if any(text.get(key) for key in _STATEFUL_KEYS) or "mamba" in kind:
        found.append(f"the state of {kind}'s layers without attention")
    if config.get("is_encoder_decoder"):
        found.append("the encoder and its cross-attention")
    if any(key in config for key in ("vision_config", "audio_config")):
        found.append("the encoder for images or sound and its activations")
    if text.get("compress_ratios") or text.get("index_topk"):
        found.append("the index of sparse attention")
    return tuple(found)
