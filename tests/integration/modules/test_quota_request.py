# SPDX-License-Identifier: Apache-2.0
"""gce_quota_request against the emulated Cloud Quotas API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Api

Json = dict[str, Any]
METRIC = "NVIDIA_L4_GPUS"


def options(cloud: m.Cloud, **changes: Any) -> Json:
    desired: Json = {
        "metric": METRIC,
        "region": m.REGION,
        "value": 16,
        "justification": "Serves a language model with vLLM.",
        "contact_email": "ops@example.com",
        "wait": 0,
        "quotas_endpoint": f"{cloud.emulator.url}/v1",
    }
    return desired | changes


def limit(cloud: m.Cloud) -> float:
    """The limit as the module that reads quota sees it."""
    found = cloud.ok("gce_quota_info", region=m.REGION, needs={METRIC: 1})
    return float(found["quotas"][0]["limit"])


def preferences(api: Api) -> list[Json]:
    project = api.base.rsplit("/", 1)[1]
    url = f"{api.base.split('/compute/')[0]}/v1/projects/{project}/locations/global"
    answer = api.session.get(f"{url}/quotaPreferences", timeout=120)
    assert answer.status_code == 200
    found: list[Json] = answer.json()["quotaPreferences"]
    return found


def test_granted_at_once(cloud: m.Cloud, api: Api) -> None:
    before = limit(cloud)
    planned = cloud.ok("gce_quota_request", check=True, **options(cloud))
    assert planned["changed"] and planned["outcome"] is None and preferences(api) == []
    made = cloud.ok("gce_quota_request", **options(cloud))
    assert made["diff"] == planned["diff"]
    assert (made["outcome"], made["granted"], made["limit"]) == ("granted", 16, before)
    assert "approved" in made["state_detail"]
    assert limit(cloud) == 16
    for value in (16, 8):
        again = cloud.ok("gce_quota_request", **options(cloud, value=value))
        assert (again["changed"], again["outcome"]) == (False, "granted")
    more = cloud.ok("gce_quota_request", **options(cloud, value=32))
    assert more["changed"] and limit(cloud) == 32
    (one,) = preferences(api)
    assert one["quotaConfig"]["preferredValue"] == "32"
    assert one["justification"] == "Serves a language model with vLLM."


def test_pending_then_granted(cloud: m.Cloud, api: Api) -> None:
    cloud.admin("PUT", "quota-requests", {"outcome": "pending"})
    before = limit(cloud)
    first = cloud.ok("gce_quota_request", **options(cloud))
    assert first["changed"] and first["outcome"] == "pending" and limit(cloud) == before
    for check in (True, False):
        again = cloud.ok("gce_quota_request", check=check, **options(cloud))
        assert (again["changed"], again["outcome"]) == (False, "pending")
    assert len(preferences(api)) == 1
    cloud.admin("PUT", "quota-requests", {"outcome": "granted"})
    later = cloud.ok("gce_quota_request", **options(cloud))
    assert (later["changed"], later["outcome"]) == (False, "granted")
    assert limit(cloud) == 16


def test_waits_for_the_decision(cloud: m.Cloud) -> None:
    cloud.admin("PUT", "quota-requests", {"outcome": "granted", "seconds": 1})
    assert cloud.ok("gce_quota_request", **options(cloud))["outcome"] == "pending"
    waited = cloud.ok("gce_quota_request", **options(cloud, value=17, wait=20))
    assert waited["outcome"] == "granted" and limit(cloud) == 17


def test_denied_is_told_and_not_asked_again(cloud: m.Cloud, api: Api) -> None:
    cloud.admin("PUT", "quota-requests", {"outcome": "denied"})
    before = limit(cloud)
    first = cloud.ok("gce_quota_request", **options(cloud))
    assert first["changed"] and first["outcome"] == "denied" and "denied" in first["state_detail"]
    stamp = preferences(api)[0]["updateTime"]
    again = cloud.ok("gce_quota_request", **options(cloud))
    assert (again["changed"], again["outcome"]) == (False, "denied")
    assert preferences(api)[0]["updateTime"] == stamp and limit(cloud) == before
    cloud.admin("PUT", "quota-requests", {"outcome": "granted"})
    less = cloud.ok("gce_quota_request", **options(cloud, value=12))
    assert (less["changed"], less["outcome"], less["granted"]) == (True, "granted", 12)
    assert len(preferences(api)) == 1


def test_global_and_family_quotas(cloud: m.Cloud) -> None:
    everywhere = options(cloud, metric="GPUS_ALL_REGIONS", region=None, value=99)
    assert cloud.ok("gce_quota_request", **everywhere)["outcome"] == "granted"
    family: Json = {
        "metric": None,
        "quota_id": "GPUS-PER-GPU-FAMILY-per-project-region",
        "dimensions": {"gpu_family": "NVIDIA_H100"},
    }
    first = cloud.ok("gce_quota_request", **options(cloud, **family, value=8))
    assert (first["limit"], first["outcome"], first["changed"]) == (0, "granted", True)
    again = cloud.ok("gce_quota_request", **options(cloud, **family, value=8))
    assert (again["limit"], again["changed"]) == (8, False)


def test_request_that_others_filed_is_found(cloud: m.Cloud, api: Api) -> None:
    cloud.admin("PUT", "quota-requests", {"outcome": "pending"})
    root = f"{cloud.emulator.url}/v1/projects/{cloud.emulator.project}/locations/global"
    body = {
        "service": "compute.googleapis.com",
        "quotaId": "NVIDIA-L4-GPUS-per-project-region",
        "dimensions": {"region": m.REGION},
        "quotaConfig": {"preferredValue": "16"},
        "contactEmail": "ops@example.com",
    }
    url = f"{root}/quotaPreferences/by-hand"
    assert api.session.patch(url, json=body, timeout=120).status_code == 404
    made = api.session.patch(url, json=body, params={"allowMissing": "true"}, timeout=120)
    assert made.status_code == 200 and made.json()["reconciling"] is True
    found = cloud.ok("gce_quota_request", **options(cloud))
    assert (found["changed"], found["outcome"]) == (False, "pending")
    assert found["preference"].endswith("/by-hand")
    raised = cloud.ok("gce_quota_request", **options(cloud, value=20))
    assert raised["changed"] and len(preferences(api)) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "NVIDIA_L5_GPUS"}, "NVIDIA-L4-GPUS-per-project-region"),
        ({"region": None}, "has the dimensions region"),
        ({"contact_email": "nobody"}, "contact_email"),
        ({"justification": " "}, "justification"),
        ({"value": 0}, "value"),
        ({"quotas_endpoint": "http://127.0.0.1:9/v1"}, "GCE_VLLM_QUOTAS_ENDPOINT"),
    ],
)
def test_mistakes(cloud: m.Cloud, api: Api, changes: Json, words: str) -> None:
    failed = cloud.fails("gce_quota_request", **options(cloud, **changes))
    assert words in failed["msg"]
    assert preferences(api) == []


def test_api_wants_a_token(cloud: m.Cloud) -> None:
    wrong = options(cloud, service_account_file=None, access_token="wrong")
    failed = cloud.fails("gce_quota_request", **wrong)
    assert failed["reason"] == "unauthorized"
