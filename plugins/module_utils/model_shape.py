# SPDX-License-Identifier: Apache-2.0
"""From a model's config.json to its shape: layers, heads, experts, what is cached. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import model_layers
from .model_layers import Experts, Latent, LayerKind

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
    latent = model_layers.latent(text)
    kv_heads = int(text.get("num_key_value_heads") or text.get("num_kv_heads") or heads)
    if kind == "falcon" and text.get("multi_query") and not text.get("new_decoder_architecture"):
        kv_heads = 1
    kinds, window = model_layers.layer_kinds(text, kind, layers)
    experts, dense = model_layers.experts(text, kind, layers)
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
