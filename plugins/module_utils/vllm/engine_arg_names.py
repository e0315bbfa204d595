# SPDX-License-Identifier: Apache-2.0
"""Engine arguments by what they do to a GPU's memory: data, read from vLLM 0.32 and 0.33.

What is in none of the lists may take memory or free some, so that the plan says that it can't tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model.unknown import Unknown

# The release that is meant where none is named, and whose arguments these are.
NEWEST = "0.32.0"
# What the plan adds up, or tests.
_COUNTED_NAMES = """
    block_size cudagraph_capture_sizes disable_hybrid_kv_cache_manager dtype enable_chunked_prefill
    enforce_eager gpu_memory_utilization kv_cache_dtype kv_cache_memory_bytes
    mamba_cache_dtype mamba_ssm_cache_dtype max_cudagraph_capture_size max_model_len
    max_num_batched_tokens max_num_seqs
    performance_mode pipeline_parallel_size quantization tensor_parallel_size
    """
COUNTED = frozenset(_COUNTED_NAMES.split())
# What leaves a GPU's memory as it is: names, logs, the order of requests, the host's side.
_NEUTRAL_NAMES = """
    aggregate_engine_logging allowed_local_media_path allowed_media_domains async_scheduling
    code_revision collect_detailed_traces config_format convert cudagraph_metrics
    custom_histogram_buckets disable_cascade_attn disable_custom_all_reduce disable_log_stats
    distributed_executor_backend distributed_timeout_seconds download_dir enable_log_requests
    enable_logging_iteration_details enable_mfu_metrics enable_mm_processor_stats
    enable_prefix_caching fail_on_environ_validation generation_config hf_token ignore_patterns
    interleave_mm_strings io_processor_plugin jit_monitor_mode jit_monitor_verbose kv_cache_metrics
    kv_cache_metrics_sample kv_events_config limit_mm_per_prompt log_config_file log_level
    logging_config long_prefill_token_threshold long_prefill_token_threshold_adaptive max_logprobs
    max_num_active_seqs max_num_queued_reqs max_num_queued_tokens max_num_scheduled_tokens
    max_parallel_loading_workers media_io_kwargs mm_hasher_algorithm mm_processor_cache_gb
    mm_processor_cache_type mm_processor_kwargs mm_shm_cache_max_object_size_mb
    model_loader_extra_config numa_bind numa_bind_cpus numa_bind_nodes otlp_traces_endpoint
    override_generation_config per_request_spec_decode_metrics prefill_schedule_interval
    prefix_cache_retention_interval prefix_caching_hash_algo pt_load_map_location reasoning_parser
    reasoning_parser_plugin renderer_num_workers revision runner safetensors_load_strategy
    safetensors_prefetch_block_size safetensors_prefetch_num_threads scheduler_reserve_full_isl
    scheduling_policy seed served_model_name show_hidden_metrics_for_version shutdown_timeout
    skip_tokenizer_init stream_interval structured_outputs_config tokenizer tokenizer_mode
    tokenizer_revision tokens_only trust_remote_code use_tqdm_on_load watermark
    """
NEUTRAL = frozenset(_NEUTRAL_NAMES.split())
# The same of what vLLM 0.33 has besides.
_NEUTRAL_SINCE_0_33 = frozenset({"reasoning_effort_map", "watchdog_config"})
# What takes more, and never less: where the rest does not fit, this does not either.
_MORE = {
    "speculative_config": "the draft model of speculative_config",
    "enable_lora": "LoRA adapters",
    "kv_transfer_config": "kv_transfer_config",
}
# What means nothing without enable_lora.
_OF_LORA = frozenset(
    {
        "max_loras",
        "max_lora_rank",
        "lora_dtype",
        "lora_target_modules",
        "max_cpu_loras",
        "fully_sharded_loras",
    }
)
_WORDS = {"cpu_offload_gb": "weights that cpu_offload_gb keeps off the GPU"}
# Formats of weights that are read as they are.
_LOAD_FORMATS = frozenset(
    {"auto", "safetensors", "hf", "pt", "fastsafetensors", "runai_streamer", "dummy", "npcache"}
)


def not_counted(args: Mapping[str, Any]) -> tuple[Unknown, ...]:
    """What of given arguments (with underscores) is not counted."""
    known = COUNTED | NEUTRAL | _NEUTRAL_SINCE_0_33
    if not _does_something("enable_lora", args.get("enable_lora")):
        known |= _OF_LORA
    if str(args.get("load_format") or "auto") in _LOAD_FORMATS:
        known |= {"load_format"}
    names = [
        name for name, value in args.items() if name not in known and _does_something(name, value)
    ]
    more = _MORE.keys() | (_OF_LORA if "enable_lora" in names else frozenset())
    return tuple(
        Unknown(_MORE.get(name, _WORDS.get(name, name)), frees=name not in more) for name in names
    )


def _does_something(name: str, value: Any) -> bool:
    """Whether an argument's value changes anything; sizes of 1 and empty ones do not."""
    idle = {"", "0", "0.0", "false", "none"} | ({"1"} if name.endswith("_size") else set())
    return value not in ([], {}) and value is not None and str(value).lower() not in idle
