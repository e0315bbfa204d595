# SPDX-License-Identifier: Apache-2.0
"""From a model's config.json to its shape: layers, heads, experts, what is cached. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import families
from . import layers as model_layers
from . import states as model_states
from .config_fields import ShapeError, UnreadableError, fraction, needed, part, whole
from .families import Family
from .layers import Experts, Latent, LayerKind
from .multimodal import MULTIMODAL
from .states import State
from .unknown import Unknown

__all__ = ["Shape", "ShapeError", "UnreadableError", "lengths", "parse"]

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
# Where a model of several parts keeps its text model.
_TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")
# An object by such a name is an encoder, or what prepares its input.
_ENCODER_PARTS = (
    "vision",
    "visual",
    "audio",
    "image",
    "img_",
    "speech",
    "sound",
    "video",
    "embd_layer",
)


@dataclass(frozen=True)
class Shape:
    """A text model's shape. Sizes are elements; `layers` holds one kind of attention a layer.

    Attributes:
        layers: `full`, `sliding`, `chunked`, or empty for a layer without attention.
        states: whether a layer keeps `state`.
        feeds: `dense`, `moe`, or empty for a layer without an MLP.
        max_length: the length that vLLM takes by default.
        longest: the greatest that it accepts.
        cache_declared: the KV cache's dtype that the checkpoint declares.
    """

    model_type: str
    architecture: str
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    max_length: int
    longest: int
    dtype: str
    tied: bool
    layers: tuple[LayerKind, ...]
    states: tuple[bool, ...]
    feeds: tuple[str, ...]
    family: Family
    window: int = 0
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    qk_norm: str = ""
    gated_attention: bool = False
    positions: int = 0
    rotary: tuple[int, int] = (0, 0)
    experts: Experts | None = None
    dense_intermediate: int = 0
    latent: Latent | None = None
    state: State | None = None
    quantization: Mapping[str, Any] = field(default_factory=dict)
    cache_declared: str = ""
    not_counted: tuple[Unknown, ...] = ()

    @property
    def encoder(self) -> bool:
        """Whether it pools, and caches nothing."""
        return self.family.encoder

    @property
    def gated_mlp(self) -> bool:
        """Whether the MLP has a gate beside its two projections."""
        return self.family.gated

    @property
    def sinks(self) -> bool:
        """Whether attention has sinks."""
        return self.family.sinks

    @property
    def beside(self) -> bool:
        """Whether it has parts beside the text model, which are not counted."""
        return any(one.adds and not one.frees for one in self.not_counted)

    @property
    def attending(self) -> tuple[LayerKind, ...]:
        """The layers with attention."""
        return tuple(kind for kind in self.layers if kind)

    @property
    def dense_layers(self) -> int:
        """Layers whose MLP is one for all tokens."""
        return self.feeds.count("dense")


def parse(config: Mapping[str, Any]) -> Shape:
    """Shape of the text model in a config.json.

    Raises:
        ShapeError: a value without which nothing can be counted is missing, or is not readable.
    """
    text = _text_part(config)
    kind = _word(text, "model_type") or _word(config, "model_type")
    family = families.of(kind)
    number = _number_of_layers(text)
    hidden = needed(text, "hidden_size", "n_embd", "d_model")
    heads = needed(text, "num_attention_heads", "n_head", "n_heads")
    latent = model_layers.latent(text)
    kv_heads = whole(text, "num_key_value_heads", "num_kv_heads", default=heads) or heads
    if kind == "falcon" and text.get("multi_query") and not text.get("new_decoder_architecture"):
        kv_heads = 1
    found = model_layers.of(text, kind, family, number)
    experts = model_layers.experts(text, family)
    intermediate = whole(text, "intermediate_size", "n_inner", "ffn_dim") or 4 * hidden
    tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    attention_bias = bool(text.get("attention_bias", False))
    head_dim = whole(text, "head_dim", "attention_head_dim") or hidden // heads
    default, longest = lengths(text)
    quantized = part(config, "quantization_config") or part(text, "quantization_config")
    architecture = _architecture(config, text)
    unknown = [*_not_counted(config, text, kind, architecture), *found.unknown]
    if not any(found.attention) and not any(found.states):
        unknown.append(Unknown("what its layers attend to"))
    if family.state and not any(found.states) and not found.listed:
        unknown.append(Unknown(f"which layers of {kind} attend and which keep a state"))
    return Shape(
        model_type=kind,
        architecture=architecture,
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocab=needed(text, "vocab_size"),
        max_length=default,
        longest=longest,
        dtype=_dtype(text, config),
        tied=family.tied if tied is None else bool(tied),
        layers=found.attention,
        states=found.states,
        feeds=found.feeds,
        family=family,
        window=found.window,
        qkv_bias=attention_bias or bool(text.get("qkv_bias")) or family.qkv_bias,
        out_bias=(attention_bias and not family.out_unbiased) or family.out_bias,
        mlp_bias=bool(text.get("mlp_bias", False)) or family.mlp_bias,
        qk_norm=_qk_norm(text, kind, family),
        gated_attention=family.gated_attention or bool(text.get("attn_output_gate")),
        positions=_learned_positions(text, kind, family),
        rotary=_rotary(text, family, head_dim, latent, longest),
        experts=experts,
        dense_intermediate=_dense_intermediate(text, kind, experts, intermediate),
        latent=latent,
        state=model_states.of(family.state, text, hidden, heads, head_dim)
        if any(found.states)
        else None,
        quantization=quantized,
        cache_declared=_cache_declared(quantized),
        not_counted=tuple(unknown),
    )


def lengths(text: Mapping[str, Any]) -> tuple[int, int]:
    """The longest sequence that vLLM takes by default, and that it accepts, in tokens.

    By default a model with LongRoPE takes its original length, and accepts all that it was made
    for.
    """
    named = [whole(text, key) for key in _LENGTH_KEYS if whole(text, key)]
    if not named:
        # It takes any length that is given.
        return 2048, 1 << 62
    length = float(min(named))
    scaling = part(text, "rope_scaling") or part(text, "rope_parameters")
    kind = str(scaling.get("rope_type") or scaling.get("type") or "default")
    if kind not in _SCALED_ALREADY and "gemma3" not in str(text.get("model_type")):
        length *= fraction(scaling, "factor", 1.0) or 1.0
    longest = int(length)
    if text.get("model_max_length"):
        longest = max(longest, whole(text, "model_max_length"))
    original = whole(text, "original_max_position_embeddings") or whole(
        scaling, "original_max_position_embeddings"
    )
    if kind in {"longrope", "su"} and original:
        return original, longest
    return int(length), longest


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The text model's part, which may lie two deep."""
    for key in _TEXT_PARTS:
        if isinstance(config.get(key), Mapping):
            inner = config[key]
            deeper = any(isinstance(inner.get(one), Mapping) for one in _TEXT_PARTS)
            return _text_part(inner) if deeper else families.filled(inner)
    return families.filled(config)


def _number_of_layers(text: Mapping[str, Any]) -> int:
    for name in ("layers_block_type", "layer_types"):
        if not text.get("num_hidden_layers") and isinstance(text.get(name), list):
            return len(text[name])
    return needed(text, "num_hidden_layers", "n_layer", "n_layers", "num_layers")


def _word(text: Mapping[str, Any], name: str) -> str:
    value = text.get(name)
    return value if isinstance(value, str) else ""


def _architecture(config: Mapping[str, Any], text: Mapping[str, Any]) -> str:
    named = config.get("architectures") or text.get("architectures") or [""]
    if not isinstance(named, list):
        raise UnreadableError("config.json's architectures is no list")
    return str(named[0])


def _qk_norm(text: Mapping[str, Any], kind: str, family: Family) -> str:
    if text.get("use_qk_norm") is False and kind not in {"qwen3", "qwen3_moe"}:
        return ""
    if family.qk_norm:
        return family.qk_norm
    # Llama 4 has one without weights.
    return "head" if text.get("use_qk_norm") and not kind.startswith("llama4") else ""


def _dense_intermediate(
    text: Mapping[str, Any], kind: str, experts: Experts | None, intermediate: int
) -> int:
    if kind == "granitemoehybrid" and experts is None:
        return needed(text, "shared_intermediate_size")
    if kind == "lfm2" and text.get("block_auto_adjust_ff_dim", True):
        size = int(2 * intermediate / 3)
        size = int(fraction(text, "block_ffn_dim_multiplier", 1.0) * size)
        step = whole(text, "block_multiple_of", default=256)
        return step * -(-size // step)
    return (
        whole(text, "intermediate_size_mlp", "dense_intermediate_size", default=intermediate)
        or intermediate
    )


def _dtype(text: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    for one in (text, config):
        for key in ("dtype", "torch_dtype"):
            if one.get(key):
                return str(one[key]).removeprefix("torch.")
    return "float32"


def _learned_positions(text: Mapping[str, Any], kind: str, family: Family) -> int:
    if family.encoder and kind != "modernbert":
        return whole(text, "max_position_embeddings") + whole(text, "type_vocab_size")
    if family.learned_positions:
        # OPT's begin at two.
        more = 2 if kind == "opt" else 0
        return whole(text, "max_position_embeddings", "n_positions") + more
    return 0


def _rotary(
    text: Mapping[str, Any], family: Family, head_dim: int, latent: Latent | None, longest: int
) -> tuple[int, int]:
    """Positions and size of the tables of sines and cosines, all of them together."""
    if family.learned_positions or text.get("position_embedding_type") == "nope":
        return 0, 0
    scaling = part(text, "rope_scaling") or part(text, "rope_parameters")
    share = fraction(text, "partial_rotary_factor", fraction(scaling, "partial_rotary_factor", 1.0))
    dim = latent.rope_dim if latent else int(head_dim * share)
    kind = str(scaling.get("rope_type") or scaling.get("type") or "")
    tables = family.rotary * min(longest, 1 << 40)
    if kind in {"longrope", "su"}:
        tables += whole(text, "original_max_position_embeddings")
    return tables, dim


def _cache_declared(quantized: Mapping[str, Any]) -> str:
    """The KV cache's dtype that a checkpoint declares, as vLLM reads it; empty for none."""
    inner = part(quantized, "quantization") or quantized
    method = str(quantized.get("quant_method") or "").lower().replace("_", "-")
    named = (
        inner.get("kv_cache_scheme")
        or quantized.get("kv_cache_scheme")
        or inner.get("kv_cache_quant_algo")
        or quantized.get("kv_cache_quant_algo")
    )
    if not named or not (
        method.startswith("modelopt") or method == "compressed-tensors" or not method
    ):
        return ""
    if isinstance(named, Mapping):
        bits = named.get("num_bits")
        if method == "compressed-tensors":
            return "fp8_e4m3" if bits == 8 and named.get("type", "float") == "float" else ""
        if named.get("type") != "float":
            return ""
        if bits == 8 and named.get("dynamic") is False:
            return "fp8_e4m3"
        return "nvfp4" if bits == 4 else ""
    return {"fp8": "fp8_e4m3", "nvfp4": "nvfp4"}.get(str(named).lower(), "")


def _not_counted(
    config: Mapping[str, Any], text: Mapping[str, Any], kind: str, architecture: str
) -> list[Unknown]:
    """Parts of the model whose memory the plan does not know."""
    found = []
    if not families.known(kind):
        found.append(Unknown(f"how layers of the model type {kind or 'without a name'} are built"))
    if config.get("is_encoder_decoder"):
        found.append(Unknown("the encoder and its cross-attention", frees=False))
    if _sees_or_hears(config, text) or architecture in MULTIMODAL:
        found.append(Unknown("the encoder for images or sound and its activations", frees=False))
    if text.get("compress_ratios") or text.get("index_topk") or text.get("sparse_attention_config"):
        found.append(Unknown("the index of sparse attention", frees=False))
    if not families.of(kind).state and _stateful(text):
        found.append(Unknown(f"the state of {kind}'s layers without attention"))
    return found


def _sees_or_hears(config: Mapping[str, Any], text: Mapping[str, Any]) -> bool:
    """Whether an object in config.json describes an encoder."""
    parts = {**text, **config}
    return any(
        isinstance(value, Mapping) and any(word in name for word in _ENCODER_PARTS)
        for name, value in parts.items()
    ) or any(
        isinstance(parts.get(name), str) and bool(parts[name])
        for name in ("mm_vision_tower", "vision_tower", "mm_audio_tower", "visual_tower")
    )


def _stateful(text: Mapping[str, Any]) -> bool:
    """Whether config.json has a size of a state."""
    return any(
        text.get(key)
        for key in (
            "mamba_d_state",
            "ssm_state_size",
            "linear_num_key_heads",
            "state_size",
            "mamba_d_ssm",
            "linear_attn_config",
            "lru_width",
        )
    )
