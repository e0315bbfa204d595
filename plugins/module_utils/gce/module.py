# SPDX-License-Identifier: Apache-2.0
"""The options that all modules share, and the one place where a module ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ..errors import GceError
from . import names
from .client import DEFAULT_ENDPOINT, GceClient, Settings
from .read_cache import SharedReads


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


def shared_spec() -> dict[str, Any]:
    """Argument spec of the doc fragment `llmops.gce_vllm.gce.shared`."""
    return {"shared_reads": {"type": "path"}}


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


Core = Callable[[GceClient, dict[str, Any], bool], Any]


def run(
    module: AnsibleModule, core: Core, at_rest: Callable[[dict[str, Any]], bool] | None = None
) -> None:
    """Call `core(client, params, check_mode)` and end the module with what it returns or raises.

    Args:
        at_rest: for a module that changes things, whether a result that is not changed needs no
            waiting either. Only a run that finds nothing to do is content with shared reads.
    """
    params = module.params
    try:
        names.refuse_bad(params)
        with GceClient(settings_of(params)) as client:
            _take_id(client)
            folder = params.get("shared_reads")
            client.shared = _shared(client, folder) if folder else None
            found = None
            if client.shared and at_rest:
                found = _nothing_to_do(client, core, params, at_rest)
                client.shared = None
            result = found or core(client, params, module.check_mode)
    except GceError as error:
        module.fail_json(**error.as_result())
    for text in result.pop("warnings", []):
        module.warn(text)
    module.exit_json(**result)


def _take_id(client: GceClient) -> None:
    """The project by its id, where its number was given: all that Google answers has the id."""
    if client.project.isdigit():
        what = f"look up the project with the number {client.project}"
        client.project = str(client.get(client.root, what)["name"])


def _shared(client: GceClient, folder: str) -> SharedReads | None:
    """None where the module runs on a machine that has no such place."""
    settings = client.settings
    asker = [settings.endpoint, settings.service_account_file, settings.impersonate_service_account]
    return SharedReads(folder, "\n".join(asker)) if Path(folder).parent.is_dir() else None


def _nothing_to_do(
    client: GceClient,
    core: Core,
    params: dict[str, Any],
    at_rest: Callable[[dict[str, Any]], bool],
) -> dict[str, Any] | None:
    """The result where shared reads show that all is as it should be; None to look for oneself."""
    try:
        result: dict[str, Any] = core(client, params, True)
    except GceError:
        return None
    return None if result["changed"] or not at_rest(result) else result
