# SPDX-License-Identifier: Apache-2.0
"""Every way in which Compute Engine is known to refuse has its advice."""

from __future__ import annotations

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.remedies import remedy_for


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", 503, "another zone"),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", 503, "another zone"),
        ("QUOTA_EXCEEDED", 403, "iam-admin/quotas?project=p"),
        ("quotaExceeded", 403, "iam-admin/quotas?project=p"),
        ("IP_SPACE_EXHAUSTED", 503, "free address"),
        ("RESOURCE_NOT_FOUND", 404, "names it"),
        ("RESOURCE_NOT_READY", 400, "another change"),
        ("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", 400, "detach or delete"),
        ("RESOURCE_ALREADY_EXISTS", 409, "run again"),
        ("UNSUPPORTED_OPERATION", 400, "Correct it"),
        ("PERMISSIONS_ERROR", 403, "roles/compute.instanceAdmin.v1"),
        ("changedMeanwhile", 412, "run again"),
        ("rateLimitExceeded", 403, "wait a minute"),
        ("accessNotConfigured", 403, "gcloud services enable compute.googleapis.com --project p"),
        ("INTERNAL_ERROR", 500, "status.cloud.google.com"),
        ("anything", 502, "status.cloud.google.com"),
        ("anything", 429, "wait a minute"),
    ],
)
def test_advice(code: str, status: int, advice: str) -> None:
    assert advice in remedy_for(code, status, "p")


def test_no_advice_is_better_than_a_guess() -> None:
    assert remedy_for("invalid", 400, "p") == ""
    assert remedy_for("required", 400, "p") == ""
