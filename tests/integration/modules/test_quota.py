# SPDX-License-Identifier: Apache-2.0
"""gce_quota_info: Compute Engine's own lists and Cloud Quotas together."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import modules_fixtures as m

H100 = "GPUS_PER_GPU_FAMILY/NVIDIA_H100"
SPOT_H100 = "PREEMPTIBLE_NVIDIA_H100_GPUS"
Json = dict[str, Any]


def set_limit(cloud: m.Cloud, metric: str, limit: int) -> None:
    where = f"projects/{cloud.emulator.project}/regions/{m.REGION}"
    cloud.admin("PUT", f"{where}/quotas/{metric}", {"limit": limit})


def grant(cloud: m.Cloud, value: int, **what: Any) -> None:
    request = {"justification": "Tests.", "contact_email": "ops@example.com", "wait": 0}
    made = cloud.ok("gce_quota_request", region=m.REGION, value=value, **request, **what)
    assert made["outcome"] == "granted"


def quota(cloud: m.Cloud, needs: Json, **options: Any) -> Json:
    """The result, with the table's rows by metric under `by`."""
    found = cloud.ok("gce_quota_info", region=m.REGION, needs=needs, **options)
    return found | {"by": {row["metric"]: row for row in found["table"]}}


def test_quota_headroom(cloud: m.Cloud) -> None:
    project = cloud.emulator.project
    cloud.admin("PUT", f"projects/{project}/regions/{m.REGION}/quotas/NVIDIA_L4_GPUS", {"limit": 1})
    needs = {"NVIDIA_L4_GPUS": 1, "GPUS_ALL_REGIONS": 1, "NVIDIA_B200_GPUS": 8}
    before = cloud.ok("gce_quota_info", region=m.REGION, needs=needs)
    assert before["sufficient"] is True
    assert before["unknown"] == ["NVIDIA_B200_GPUS"]
    cloud.ok("gce_instance", **m.machine(m.new_name("llm")))
    after = cloud.ok("gce_quota_info", region=m.REGION, needs=needs)
    assert after["sufficient"] is False
    rows = {row["metric"]: row for row in after["quotas"]}
    assert rows["NVIDIA_L4_GPUS"]["free"] == 0
    assert rows["GPUS_ALL_REGIONS"]["region"] == "global"
    assert len(after["shortfalls"]) == 1
    for word in ("NVIDIA_L4_GPUS", m.REGION, "1 needed, 0 free", "limit of 2", project):
        assert word in after["shortfalls"][0]


def test_unknown_region_and_needs_that_are_no_numbers(cloud: m.Cloud) -> None:
    failed = cloud.fails("gce_quota_info", region="us-centra1")
    assert failed["closest"][0] == "us-central1"
    failed = cloud.fails("gce_quota_info", region=m.REGION, needs={"CPUS": "many"})
    assert "CPUS" in failed["msg"]


def test_table_says_what_to_ask_for(cloud: m.Cloud) -> None:
    set_limit(cloud, "NVIDIA_L4_GPUS", 1)
    found = quota(cloud, {"NVIDIA_L4_GPUS": 4, "SSD_TOTAL_GB": 100, "STATIC_ADDRESSES": 1})
    row = found["by"]["NVIDIA_L4_GPUS"]
    assert (row["sufficient"], row["source"], row["request"]) == (False, "compute", 4)
    assert "gce_quota_request" in row["next_step"]
    assert all(found["by"][one]["sufficient"] for one in ("SSD_TOTAL_GB", "STATIC_ADDRESSES"))
    heads, *rows = found["lines"]
    assert heads.split() == ["metric", "region", "needed", "free", "in", "use", "limit"]
    assert rows[0].split() == ["NVIDIA_L4_GPUS", m.REGION, "4", "1", "0", "1", "SHORT"]
    grant(cloud, int(row["request"]), quota_id=row["quota_id"], dimensions=row["dimensions"])
    assert quota(cloud, {"NVIDIA_L4_GPUS": 4})["sufficient"] is True


def test_spot_draws_on_the_standard_quota_where_it_has_none(cloud: m.Cloud) -> None:
    set_limit(cloud, "PREEMPTIBLE_NVIDIA_L4_GPUS", 0)
    found = quota(cloud, {"PREEMPTIBLE_NVIDIA_L4_GPUS": 1, "PREEMPTIBLE_CPUS": 8})
    assert found["sufficient"] is True
    assert found["by"]["NVIDIA_L4_GPUS"]["instead_of"] == "PREEMPTIBLE_NVIDIA_L4_GPUS"
    assert found["by"]["CPUS"]["instead_of"] == "PREEMPTIBLE_CPUS"


def test_newer_gpus_and_machine_families_are_in_cloud_quotas(cloud: m.Cloud) -> None:
    none = quota(cloud, {H100: 8, "CPUS_PER_VM_FAMILY/C4": 16})
    row = none["by"][H100]
    assert (row["limit"], row["source"], row["sufficient"]) == (0, "cloud_quotas", False)
    assert none["by"]["CPUS_PER_VM_FAMILY/C4"]["limit"] == 24
    assert [H100 in text for text in none["shortfalls"]] == [True]
    big = m.machine(m.new_name("llm"), machine_type="a3-highgpu-8g")
    set_everywhere = f"projects/{cloud.emulator.project}/global/quotas/GPUS_ALL_REGIONS"
    cloud.admin("PUT", set_everywhere, {"limit": 16})
    # Google holds to it, and so says what the table said before.
    refused = cloud.fails("gce_instance", **big)
    assert "GPUS_PER_GPU_FAMILY" in refused["msg"] and refused["reason"] == "QUOTA_EXCEEDED"
    grant(cloud, 8, quota_id=row["quota_id"], dimensions={"gpu_family": "NVIDIA_H100"})
    assert quota(cloud, {H100: 8})["sufficient"] is True
    # Cloud Quotas tells no usage: it is counted from the instances that run.
    cloud.ok("gce_instance", **big)
    full = quota(cloud, {H100: 1})["by"][H100]
    assert (full["limit"], full["usage"], full["free"]) == (8, 8, 0)
    cloud.ok("gce_instance", **{**big, "state": "stopped"})
    assert quota(cloud, {H100: 8})["sufficient"] is True


def test_spot_of_newer_gpus(cloud: m.Cloud) -> None:
    """Regions without a grant have an entry without a value, which is no zero."""
    grant(cloud, 4, quota_id="GPUS-PER-GPU-FAMILY-per-project-region",
          dimensions={"gpu_family": "NVIDIA_H100"})  # fmt: skip
    row = quota(cloud, {SPOT_H100: 1})["by"][H100]
    assert (row["instead_of"], row["limit"], row["sufficient"]) == (SPOT_H100, 4, True)
    grant(cloud, 2, metric=SPOT_H100)
    own = quota(cloud, {SPOT_H100: 4})["by"][SPOT_H100]
    assert (own["limit"], own["sufficient"]) == (2, False)


@pytest.mark.parametrize("how", ["disabled", "unreachable"])
def test_goes_on_without_cloud_quotas(cloud: m.Cloud, how: str) -> None:
    options = {}
    if how == "disabled":
        off = f"projects/{cloud.emulator.project}/apis/cloudquotas.googleapis.com"
        cloud.admin("PUT", off, {"enabled": False})
        words = ["gcloud services enable cloudquotas.googleapis.com", H100]
    else:
        options["quotas_endpoint"] = "http://127.0.0.1:9/v1"
        words = ["GCE_VLLM_QUOTAS_ENDPOINT", H100]
    found = quota(cloud, {"NVIDIA_L4_GPUS": 1, H100: 8}, **options)
    assert (found["sufficient"], found["unknown"]) == (True, [H100])
    assert found["by"][H100]["next_step"].startswith("nobody says its limit")
    # Run in one process, the modules share what they have warned of.
    said = [str(one) for one in found["warnings"] if words[0] in str(one)]
    assert len(said) == 1 and all(word in said[0] for word in words), said


def test_a_plan_that_needs_no_more_fits_a_lowered_limit(cloud: m.Cloud) -> None:
    cloud.ok("gce_instance", **m.machine(m.new_name("llm")))
    set_limit(cloud, "NVIDIA_L4_GPUS", 0)
    found = quota(cloud, {"NVIDIA_L4_GPUS": 0})
    assert found["sufficient"] is True and found["by"]["NVIDIA_L4_GPUS"]["free"] == -1
