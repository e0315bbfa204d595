# SPDX-License-Identifier: Apache-2.0
"""Requests for quota: their ids, the limit in force, what became of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.quota import request as q

INFO: dict[str, Any] = {
    "dimensionsInfos": [
        {"dimensions": {"region": "us-east1"}, "details": {"value": "8"}},
        {"details": {"value": "1"}, "applicableLocations": ["us-central1", "us-west1"]},
        {"dimensions": {"region": "us-west1"}, "details": {"value": "-1"}},
        {"dimensions": {"region": "us-west4"}, "details": {}},
    ]
}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("NVIDIA_L4_GPUS", "NVIDIA-L4-GPUS-per-project-region"),
        ("PREEMPTIBLE_NVIDIA_T4_GPUS", "PREEMPTIBLE-NVIDIA-T4-GPUS-per-project-region"),
        ("GPUS_ALL_REGIONS", "GPUS-ALL-REGIONS-per-project"),
    ],
)
def test_quota_id(metric: str, expected: str) -> None:
    assert q.quota_id_of(metric) == expected


def test_preference_id_is_stable_and_tells_requests_apart() -> None:
    quota = "GPUS-PER-GPU-FAMILY-per-project-region"
    one = q.preference_id(q.COMPUTE, quota, {"region": "us-east1", "gpu_family": "NVIDIA_H100"})
    assert one == q.preference_id(
        q.COMPUTE, quota, {"gpu_family": "NVIDIA_H100", "region": "us-east1"}
    )
    others = {
        q.preference_id(q.COMPUTE, quota, {"region": "us-east1", "gpu_family": "NVIDIA_H200"}),
        q.preference_id(q.COMPUTE, quota, {"region": "us-east4", "gpu_family": "NVIDIA_H100"}),
        q.preference_id("other.googleapis.com", quota, {"region": "us-east1"}),
        q.preference_id(q.COMPUTE, quota, {}),
    }
    assert len(others | {one}) == 5
    for name in others | {one}:
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", name)


@pytest.mark.parametrize(
    ("region", "expected"),
    [("us-east1", 8), ("us-central1", 1), ("us-west1", -1), ("us-west4", None), ("x", None)],
)
def test_limit(region: str, expected: int | None) -> None:
    assert q.limit_of(INFO, {"region": region}) == expected


@pytest.mark.parametrize(
    ("preference", "limit", "expected"),
    [
        ({"reconciling": True}, 0, "pending"),
        ({"reconciling": True, "quotaConfig": {"grantedValue": "3"}}, 0, "pending"),
        ({"quotaConfig": {"grantedValue": "4"}}, 0, "granted"),
        ({"quotaConfig": {"grantedValue": "3"}}, 0, "denied"),
        ({"quotaConfig": {}}, 0, "denied"),
        ({"quotaConfig": {"grantedValue": "3"}}, 4, "granted"),
        ({"reconciling": True}, -1, "granted"),
    ],
)
def test_outcome(preference: dict[str, Any], limit: int, expected: str) -> None:
    assert q.outcome(preference, limit, 4) == expected
