# SPDX-License-Identifier: Apache-2.0
"""The options that all modules share, and the one place where a module ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from .errors import GceError
from .gce_client import DEFAULT_ENDPOINT, GceClient, Settings


def common_spec() -> dict[str, Any]:
    """Argument spec of the doc fragment `llmops.gce_vllm.gce`."""
    return {
        "project": {"type": "str", "required": True},
        "service_account_file": {"type": "path"},
        "access_token": {
            "type": "str",
            "no_log": True,
            "fallback": (env_fallback, ["GCE_VLLM_ACCESS_TOKEN"]),
        },
        "impersonate_service_account": {
            "type": "str",
            "fallback": (env_fallback, ["GCE_VLLM_IMPERSONATE_SERVICE_ACCOUNT"]),
        },
        "endpoint": {
            "type": "str",
            "default": DEFAULT_ENDPOINT,
            "fallback": (env_fallback, ["GCE_VLLM_ENDPOINT"]),
        },
        "timeout": {"type": "int", "default": 600},
    }


def price_spec() -> dict[str, Any]:
    """Argument spec of the doc fragment `llmops.gce_vllm.gce.prices`."""
    return {
        "price_source": {"type": "str", "choices": ["auto", "catalog", "table"], "default": "auto"},
        "billing_endpoint": {
            "type": "str",
            "fallback": (env_fallback, ["GCE_VLLM_BILLING_ENDPOINT"]),
        },
        "cache_dir": {
            "type": "path",
            "default": "~/.cache/gce-vllm",
            "fallback": (env_fallback, ["GCE_VLLM_CACHE_DIR"]),
        },
    }


def settings_of(params: dict[str, Any]) -> Settings:
    """What the shared options say."""
    return Settings(
        project=params["project"] or "",
        service_account_file=params["service_account_file"] or "",
        access_token=params["access_token"] or "",
        impersonate_service_account=(params["impersonate_service_account"] or "").strip(),
        endpoint=params["endpoint"] or DEFAULT_ENDPOINT,
        timeout=params["timeout"],
    )


def run(module: AnsibleModule, core: Callable[[GceClient, dict[str, Any], bool], Any]) -> None:
    """Call `core(client, params, check_mode)` and end the module with what it returns or raises."""
    params = module.params
    try:
        with GceClient(settings_of(params)) as client:
            result = core(client, params, module.check_mode)
    except GceError as error:
        module.fail_json(**error.as_result())
    for text in result.pop("warnings", []):
        module.warn(text)
    module.exit_json(**result)
