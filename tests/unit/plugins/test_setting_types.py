# SPDX-License-Identifier: Apache-2.0
"""Values of the wrong type, in words that a person can use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.action import check_settings

SPEC = check_settings.load_specs(Path(__file__).parents[3] / "roles")


@pytest.mark.parametrize(
    "values",
    [
        {"llm_model_disk": {}},
        {"llm_model_disk": {"name": "w", "size_gb": 200, "type": "pd-balanced"}},
        {"llm_model_disk": {"name": "w", "device": "/dev/sdb"}},
        {"gce_instance_extra_disks": [{"name": "w", "state": "detached"}]},
        {"gce_instance_iap": "yes"},
        {"llm_server_profile": ""},
    ],
)
def test_right(values: dict[str, Any]) -> None:
    assert check_settings.type_errors(SPEC, values) == []


@pytest.mark.parametrize(
    ("values", "said", "not_said"),
    [
        ({"llm_model_disk": {"name": "w", "size": 200}}, "llm_model_disk.size. ", "gce_"),
        ({"gce_instance_extra_disks": [{"sizegb": 1}]}, "gce_instance_extra_disks.sizegb", "llm_"),
        ({"llm_model_disk": {"mode": "rw"}}, "READ_WRITE", ""),
        ({"llm_server_profile": "fast"}, "must be one of: '' (none), latency", "of: ,"),
        (
            {"gce_instance_iap": "yess"},
            "gce_instance_iap is 'yess'. Give true or false.",
            "argument",
        ),
    ],
)
def test_wrong(values: dict[str, Any], said: str, not_said: str) -> None:
    [error] = check_settings.type_errors(SPEC, values)
    assert said in error
    assert not not_said or not_said not in error
