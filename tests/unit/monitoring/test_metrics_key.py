# SPDX-License-Identifier: Apache-2.0
"""The server is told the digest of the key that its host's Prometheus has, and what that opens."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jinja2
import jinja2.nativetypes
import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.key_budgets import in_tokens
from llm_server.keys.access import load_access

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "roles" / "llm_server" / "templates"
NAME = yaml.safe_load((ROOT / "roles/llm_server/vars/main.yml").read_text())[
    "__llm_server_metrics_key_name"
]
KEY = "x" * 40
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()


def access(**settings: Any) -> str:
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)  # noqa: S701
    environment.filters |= {
        "bool": bool,
        "hash": lambda text, kind: hashlib.new(kind, text.encode()).hexdigest(),
        "to_json": json.dumps,
        "dict2items": lambda all_: [{"key": key, "value": all_[key]} for key in all_],
        "items2dict": lambda items: {one["key"]: one["value"] for one in items},
        "llmops.gce_vllm.key_budgets": in_tokens,
    }
    environment.tests["none"] = lambda value: value is None
    known = {
        "ansible_managed": "a test",
        "__llm_server_unit": "llm-server.service",
        "__llm_server_metrics_key_name": NAME,
        "llm_server_api_keys": ["an-own-key-0123456789"],
        "llm_server_keys": [],
        "llm_server_limits": {},
        "llm_server_usd_per_million_tokens": None,
        "llm_server_metrics_key": True,
    }
    text = (TEMPLATES / "access.yaml.j2").read_text()
    return environment.from_string(text).render(**known | settings)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"__llm_server_metrics_key": {"stat": {"checksum": DIGEST}}}, ["default", NAME]),
        # In check mode there is no such file yet.
        ({"__llm_server_metrics_key": {"stat": {"exists": False}}}, ["default"]),
        ({"llm_server_metrics_key": False}, ["default"]),
        (
            {"llm_server_api_keys": [], "__llm_server_metrics_key": {"stat": {"checksum": DIGEST}}},
            [NAME],
        ),
        ({"llm_server_api_keys": [], "llm_server_metrics_key": False}, []),
    ],
)
def test_what_the_server_is_told(
    tmp_path: Path, settings: dict[str, Any], names: list[str]
) -> None:
    file = tmp_path / "access.yaml"
    file.write_text(access(**settings))
    keys = {key.name: key for key in load_access(file, keys_needed=False).keys}
    assert list(keys) == names
    if NAME in keys:
        assert keys[NAME].scope == "metrics"
        assert keys[NAME].sha256 == DIGEST


@pytest.mark.parametrize("wanted", [True, False])
def test_the_file_goes_where_it_is_not_wanted(wanted: bool) -> None:
    tasks = yaml.safe_load((ROOT / "roles/llm_server/tasks/configure.yml").read_text())
    (task,) = [one for one in tasks if one["name"].startswith("Remove key files")]
    environment = jinja2.nativetypes.NativeEnvironment()
    environment.filters["bool"] = bool
    gone = environment.from_string(task["loop"]).render(
        __llm_server_etc="/etc/llm-server",
        __llm_server_metrics_key_file="KEY",
        llm_server_metrics_key=wanted,
    )
    assert gone == ["/etc/llm-server/api_key", *([] if wanted else ["KEY"])]
