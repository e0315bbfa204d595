# SPDX-License-Identifier: Apache-2.0
"""vLLM's switches and options that undo a promise of this server: which it refuses, and of which it
only warns, since a deployment may need them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Switches of vLLM's environment, and why they are refused.
REFUSED_SWITCHES = {
    "VLLM_ENABLE_RESPONSES_API_STORE": (
        "vLLM would keep every answer for ever, show it to each key that names its id, and work in"
        " the background beyond all limits and past the end of the server"
    ),
    "VLLM_SERVER_DEV_MODE": (
        "each key could put the model to sleep, empty its caches, and call any method in the engine"
    ),
    "VLLM_ALLOW_INSECURE_SERIALIZATION": (
        "what the engine's processes read could run code, as it would be unpickled"
    ),
    "VLLM_DEBUG_LOG_API_SERVER_RESPONSE": (
        "answers would be in the log, whatever log_content (llm_server_log_content) says"
    ),
}

#: vLLM's options, and why they are refused where they are on.
REFUSED_IF_ON = {
    "disable_log_stats": (
        "a step at a long prompt would give no sign of life, and the watchdog would restart a"
        " server that works; /metrics would say nothing of the engine. Leave it out"
    ),
    "enable_log_requests": (
        "this server writes a line for each request itself, and prompts where log_content"
        " (llm_server_log_content) is on. Leave it out"
    ),
    "enable_log_outputs": (
        "answers would be in the log, whatever log_content (llm_server_log_content) says."
        " Leave it out"
    ),
    "enable_log_deltas": (
        "answers would be in the log, whatever log_content (llm_server_log_content) says."
        " Leave it out"
    ),
    "trust_request_chat_template": (
        "each request could bring a template, a program that runs here for as long as it likes."
        " Set chat_template, or leave it out"
    ),
}

#: The same two, where there is a use for them that this server can't judge.
WARNED_SWITCHES = {
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": (
        "whoever has a key can load any folder that the service can read as an adapter, and remove"
        " those of others"
    ),
}
WARNED_IF_ON = {
    "trust_remote_code": (
        "the Python files in the model's folder run as the service's user: pin the model"
        " (llm_model_revision, llm_model_manifest_sha256) and read them"
    ),
    "enable_prompt_embeds": (
        "a request may bring tensors in place of text, which a length of text does not bound"
    ),
}


def is_on(value: str | None) -> bool:
    """As vLLM reads its switches: some are numbers, some are words."""
    return (value or "").strip().lower() not in {"", "0", "false"}


def refused_switches(environment: Mapping[str, str]) -> list[str]:
    """A message for each switch that must go."""
    return [
        f"{name}: {why}; take it out of the environment (llm_server_environment)"
        for name, why in REFUSED_SWITCHES.items()
        if is_on(environment.get(name))
    ]


def warnings(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[str]:
    """A message for each that is taken, though it gives away what this server guards.

    Args:
        arguments: vLLM's options, by their normal names.
    """
    for name, why in WARNED_SWITCHES.items():
        if is_on(environment.get(name)):
            yield f"{name} is on: {why}."
    for name, why in WARNED_IF_ON.items():
        if arguments.get(name) is True:
            yield f"{name} is on: {why}."
