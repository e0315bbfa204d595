# SPDX-License-Identifier: Apache-2.0
"""Names, suggestions, machine types, quota, firewall and remedies, by tables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.filter.closest import FilterModule
from ansible_collections.llmops.gce_vllm.plugins.module_utils import suggest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import GceError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import (
    images,
    naming,
    remedies,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.network import firewall, ranges
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.quota import headroom as quota
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.quota import needs as quota_needs
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import machine_types

P = "my-project"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("default", "default"),
        ("global/networks/n", "n"),
        (f"https://www.googleapis.com/compute/v1/projects/{P}/global/networks/n", "n"),
        (f"https://compute.googleapis.com/compute/v1/projects/{P}/global/networks/n", "n"),
        ("projects/host/global/networks/n", "projects/host/global/networks/n"),
    ],
)
def test_reference(value: str, expected: str) -> None:
    assert naming.reference(value, P) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"errors": [{"reason": "notFound"}]}, "notFound"),
        ({"status": "PERMISSION_DENIED"}, "PERMISSION_DENIED"),
        (
            {
                "errors": [{"reason": "forbidden"}],
                "details": [{"reason": "SERVICE_DISABLED"}],
            },
            "SERVICE_DISABLED",
        ),
        ({}, ""),
    ],
)
def test_reason(error: dict[str, Any], expected: str) -> None:
    assert naming.error_reason(error) == expected


def test_missing_resource() -> None:
    text = "The resource 'projects/p/zones/z/instances/i' was not found"
    assert naming.missing_resource(text) == "projects/p/zones/z/instances/i"
    assert naming.missing_resource("Something else") == ""


@pytest.mark.parametrize(
    ("reason", "status", "words"),
    [
        (
            "accessNotConfigured",
            403,
            "gcloud services enable compute.googleapis.com --project my-p",
        ),
        ("SERVICE_DISABLED", 403, "gcloud services enable compute.googleapis.com --project my-p"),
        ("forbidden", 403, "roles/compute.instanceAdmin.v1"),
        ("unheardOf", 403, "roles/compute.instanceAdmin.v1"),
        ("required", 401, "gcloud auth application-default login"),
        ("QUOTA_EXCEEDED", 403, "iam-admin/quotas?project=my-p"),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", 0, "another zone"),
        ("unheardOf", 503, "status.cloud.google.com"),
    ],
)
def test_remedies(reason: str, status: int, words: str) -> None:
    assert words in remedies.remedy_for(reason, status, "my-p")


def test_no_remedy_where_googles_own_words_say_it() -> None:
    assert remedies.remedy_for("required", 400, "p") == ""
    assert remedies.remedy_for("invalid", 400, "p") == ""


@pytest.mark.parametrize(
    ("name", "choices", "expected"),
    [
        ("nvidia-t4", ["nvidia-l4", "nvidia-tesla-t4", "nvidia-b200"], "nvidia-tesla-t4"),
        ("us-centrall-a", ["us-west1-a", "us-central1-a", "us-central1-b"], "us-central1-a"),
        ("G2-Standard-8", ["g2-standard-8", "g2-standard-4"], "g2-standard-8"),
        ("gce_modle", ["gce_model", "llm_model"], "gce_model"),
    ],
)
def test_closest(name: str, choices: list[str], expected: str) -> None:
    assert suggest.closest(name, choices)[0] == expected
    assert FilterModule().filters()["closest"](name, choices) == suggest.closest(name, choices)


def test_closest_of_nothing_alike() -> None:
    assert suggest.closest("zebra", ["nvidia-l4"]) == []
    assert suggest.closest("zebra", []) == []
    assert suggest.did_you_mean("zebra", []) == ""
    assert suggest.listed([], 3) == "none"
    assert suggest.listed("abcde", 3) == "a, b, c and 2 more"


T4, L4 = "nvidia-tesla-t4", "nvidia-l4"


@pytest.mark.parametrize(
    ("machine", "cpus", "kind", "count", "fits"),
    [
        ("n1-standard-8", 8, T4, 1, True),
        ("n1-highmem-32", 32, T4, 2, True),
        ("n1-standard-64", 64, T4, 2, False),
        ("n1-standard-96", 96, T4, 4, True),
        ("n1-standard-8", 8, T4, 3, False),
        ("n1-standard-8", 8, L4, 1, False),
        ("g2-standard-8", 8, L4, 1, True),
        ("g2-standard-8", 8, L4, 2, False),
        ("g2-standard-24", 24, L4, 2, True),
        ("g2-standard-8", 8, T4, 1, False),
        ("e2-standard-8", 8, T4, 1, False),
        ("a2-highgpu-1g", 12, "nvidia-tesla-a100", 1, True),
    ],
)
def test_combinations(machine: str, cpus: int, kind: str, count: int, fits: bool) -> None:
    resource = {"name": machine, "guestCpus": cpus}
    problem = machine_types.combination_problem(resource, [{"type": kind, "count": count}])
    assert (problem == "") is fits
    if problem:
        assert machine in problem and kind in problem


def test_every_bundle_fits_itself_and_has_a_known_gpu() -> None:
    for name, (kind, count) in machine_types.BUNDLED.items():
        assert machine_types.bundles_gpus(name)
        assert kind in quota_needs.GPU_METRICS
        wanted = [{"type": kind, "count": count}]
        assert machine_types.combination_problem({"name": name}, wanted) == ""
        one_more = [{"type": kind, "count": count + 1}]
        assert machine_types.combination_problem({"name": name}, one_more)


@pytest.mark.parametrize(
    ("machine", "cpus", "gpus", "more", "expected"),
    [
        ("g2-standard-8", 8, [(L4, 1)], {}, {"NVIDIA_L4_GPUS": 1, "GPUS_ALL_REGIONS": 1}),
        (
            "g2-standard-8",
            8,
            [(L4, 1)],
            {"spot": True},
            {"PREEMPTIBLE_NVIDIA_L4_GPUS": 1, "GPUS_ALL_REGIONS": 1},
        ),
        (
            "n1-standard-8",
            8,
            [(T4, 2)],
            {},
            {"NVIDIA_T4_GPUS": 2, "GPUS_ALL_REGIONS": 2, "CPUS": 8, "CPUS_ALL_REGIONS": 8},
        ),
        (
            "a2-ultragpu-1g",
            12,
            [("nvidia-a100-80gb", 1)],
            {},
            {
                "NVIDIA_A100_80GB_GPUS": 1,
                "GPUS_ALL_REGIONS": 1,
                "LOCAL_SSD_TOTAL_GB_PER_VM_FAMILY/A2": 375,
            },
        ),
        # From H100 on, and from C3D on, only Cloud Quotas counts.
        (
            "a3-highgpu-8g",
            208,
            [("nvidia-h100-80gb", 8)],
            {},
            {
                "GPUS_PER_GPU_FAMILY/NVIDIA_H100": 8,
                "GPUS_ALL_REGIONS": 8,
                "LOCAL_SSD_TOTAL_GB_PER_VM_FAMILY/A3": 6000,
            },
        ),
        (
            "a3-highgpu-1g",
            26,
            [("nvidia-h100-80gb", 1)],
            {"spot": True, "disk_gb": 200, "disk_type": "hyperdisk-balanced"},
            {"PREEMPTIBLE_NVIDIA_H100_GPUS": 1, "GPUS_ALL_REGIONS": 1, "HDB_TOTAL_GB": 200},
        ),
        (
            "c4-standard-8",
            8,
            [],
            {"static_address": True, "more_disks": [{"size_gb": 5, "type": "pd-ssd"}]},
            {
                "CPUS_PER_VM_FAMILY/C4": 8,
                "CPUS_ALL_REGIONS": 8,
                "STATIC_ADDRESSES": 1,
                "SSD_TOTAL_GB": 5,
            },
        ),
        # A disk without a type gets the one that gce_instance makes.
        (
            "g2-standard-8",
            8,
            [(L4, 1)],
            {"more_disks": [{"size_gb": 5}, {"name": "has no size"}]},
            {"NVIDIA_L4_GPUS": 1, "GPUS_ALL_REGIONS": 1, "SSD_TOTAL_GB": 5},
        ),
        (
            "g4-standard-48",
            48,
            [("nvidia-rtx-pro-6000", 1)],
            {"more_disks": [{"size_gb": 5}]},
            {
                "GPUS_PER_GPU_FAMILY/NVIDIA_RTX_PRO_6000": 1,
                "GPUS_ALL_REGIONS": 1,
                "HDB_TOTAL_GB": 5,
            },
        ),
        (
            "e2-standard-2",
            2,
            [],
            {"disk_gb": 50, "disk_type": "pd-standard", "external_ip": True},
            {"CPUS": 2, "CPUS_ALL_REGIONS": 2, "DISKS_TOTAL_GB": 50, "IN_USE_ADDRESSES": 1},
        ),
    ],
)
def test_quota_needs(
    machine: str,
    cpus: int,
    gpus: list[tuple[str, int]],
    more: dict[str, Any],
    expected: dict[str, int],
) -> None:
    resource = {"name": machine, "guestCpus": cpus}
    asked = [{"type": kind, "count": count} for kind, count in gpus]
    needs = quota_needs.quota_needs(resource, asked, **more)
    assert needs == {**expected, "INSTANCES": 1}
    doubled = quota_needs.quota_needs(resource, asked, count=2, **more)
    assert doubled == {metric: 2 * amount for metric, amount in needs.items()}


def row(metric: str, limit: float, usage: float = 0) -> dict[str, Any]:
    return {"metric": metric, "limit": limit, "usage": usage}


@pytest.mark.parametrize(
    ("metric", "here", "ok", "counted"),
    [
        ("NVIDIA_L4_GPUS", [row("NVIDIA_L4_GPUS", 1)], True, "NVIDIA_L4_GPUS"),
        ("NVIDIA_L4_GPUS", [row("NVIDIA_L4_GPUS", 1, 1)], False, "NVIDIA_L4_GPUS"),
        # Absent is not zero.
        ("NVIDIA_H100_GPUS", [], None, "NVIDIA_H100_GPUS"),
        # Spot falls back to the standard quota where there is no preemptible one.
        ("PREEMPTIBLE_NVIDIA_L4_GPUS", [row("NVIDIA_L4_GPUS", 1)], True, "NVIDIA_L4_GPUS"),
        (
            "PREEMPTIBLE_NVIDIA_L4_GPUS",
            [row("PREEMPTIBLE_NVIDIA_L4_GPUS", 0), row("NVIDIA_L4_GPUS", 1, 1)],
            False,
            "NVIDIA_L4_GPUS",
        ),
        (
            "PREEMPTIBLE_NVIDIA_L4_GPUS",
            [row("PREEMPTIBLE_NVIDIA_L4_GPUS", 2, 1), row("NVIDIA_L4_GPUS", 0)],
            True,
            "PREEMPTIBLE_NVIDIA_L4_GPUS",
        ),
    ],
)
def test_headroom(metric: str, here: list[dict[str, Any]], ok: bool | None, counted: str) -> None:
    table = {one["metric"]: one for one in here}
    (found,) = quota.headroom({metric: 1}, "us-central1", quota.Known(table, {}))
    assert found["ok"] is ok
    assert found["metric"] == counted
    assert len(quota.shortfalls([found], P)) == (1 if ok is False else 0)


def info(value: int | None, **eligibility: Any) -> dict[str, Any]:
    details = {} if value is None else {"value": str(value)}
    entry = {"details": details, "applicableLocations": ["us-central1"]}
    return {"dimensionsInfos": [entry], "quotaIncreaseEligibility": eligibility}


@pytest.mark.parametrize(
    ("said", "in_use", "ok", "words"),
    [
        (info(8), 0, True, ""),
        (info(-1), 99, True, ""),
        (info(8), 4, False, "limit of 12"),
        (info(None), 0, None, "nobody says its limit"),
        (info(0, isEligible=False, ineligibilityReason="NO_VALID_BILLING_ACCOUNT"), 0, False,
         "NO_VALID_BILLING_ACCOUNT"),
    ],
)  # fmt: skip
def test_headroom_in_cloud_quotas(
    said: dict[str, Any], in_use: int, ok: bool | None, words: str
) -> None:
    metric = "GPUS_PER_GPU_FAMILY/NVIDIA_H100"
    known = quota.Known({}, {}, {metric: said}, {metric: in_use})
    assert quota.unlisted({metric: 8}, known) == [metric]
    rows = quota.headroom({metric: 8}, "us-central1", known)
    (shown,) = quota.table(rows, P, known.infos)
    assert shown["sufficient"] is ok and words in shown["next_step"]
    assert bool(shown["next_step"]) is (ok is not True)
    assert shown["dimensions"] == {"region": "us-central1", "gpu_family": "NVIDIA_H100"}


def test_a_grant_that_compute_engine_does_not_show_yet() -> None:
    known = quota.Known({"CPUS": row("CPUS", 8)}, {}, {"CPUS": info(64)})
    (short,) = quota.headroom({"CPUS": 32}, "us-central1", known)
    assert "Cloud Quotas says 64 already" in quota.next_step(short, P, known.infos)


@pytest.mark.parametrize(
    ("texts", "world"),
    [
        (["10.0.0.0/8"], False),
        ([], False),
        (["0.0.0.0/0"], True),
        (["::/0"], True),
        (["0.0.0.0/1", "128.0.0.0/1"], True),
        (["0.0.0.0/1", "::/1"], False),
        ([f"{first}.0.0.0/8" for first in range(256)], True),
        ([f"{first}.0.0.0/8" for first in range(255)], False),
    ],
)
def test_opens_world(texts: list[str], world: bool) -> None:
    assert ranges.opens_world(texts) is world


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        (" 10.0.0.0/8 ", "10.0.0.0/8"),
        ("2001:DB8::1", "2001:db8::1/128"),
    ],
)
def test_normal_range(given: str, expected: str) -> None:
    assert ranges.normal_range(given) == expected


@pytest.mark.parametrize("text", ["0.0.0.0/32", "0.0.0.0/8", "::/128"])
def test_ranges_that_nobody_is_in(text: str) -> None:
    [found] = ranges.problems([text])
    assert "which no client's address is ever in" in found


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "0.0.0.0/1"])
def test_ranges_that_everybody_is_in(text: str) -> None:
    assert ranges.problems([text]) == []


def test_host_bits_are_refused_with_the_corrected_range() -> None:
    found = ranges.problems(
        ["203.0.113.7/24", "203.0.113.7", "all"], "gce_network_api_source_ranges"
    )
    assert len(found) == 2
    assert "gce_network_api_source_ranges has '203.0.113.7/24'" in found[0]
    assert "write 203.0.113.0/24" in found[0]
    assert "203.0.113.7/32" in found[0]
    assert "'all'" in found[1]


@pytest.mark.parametrize(
    ("taken", "free"),
    [
        ([], "10.96.0.0/20"),
        (["10.96.0.0/20"], "10.96.16.0/20"),
        (["10.96.0.0/16"], "10.97.0.0/20"),
        (["10.96.16.0/20"], "10.96.0.0/20"),
        (["0.0.0.0/0"], None),
    ],
)
def test_next_free_range(taken: list[str], free: str | None) -> None:
    assert ranges.next_free("10.96.0.0/20", taken) == free


def test_blocks_of_a_range_lie_side_by_side() -> None:
    assert [ranges.block("10.96.0.0/20", n) for n in (0, 1, 16)] == [
        "10.96.0.0/20",
        "10.96.16.0/20",
        "10.97.0.0/20",
    ]


def test_allowed_is_the_same_in_any_order_and_spelling() -> None:
    one = [{"protocol": "TCP", "ports": [443, "80"]}, {"protocol": "icmp", "ports": None}]
    two = [{"IPProtocol": "icmp"}, {"IPProtocol": "tcp", "ports": ["80", "443"]}]
    split = [{"protocol": "tcp", "ports": ["443"]}, {"protocol": "tcp", "ports": ["80-80"]}]
    assert firewall.normal_allowed(one) == firewall.normal_allowed(two)
    assert firewall.normal_allowed(split) == [{"protocol": "tcp", "ports": ["80", "443"]}]
    every = [{"protocol": "tcp", "ports": []}, {"protocol": "tcp", "ports": ["80"]}]
    assert firewall.normal_allowed(every) == [{"protocol": "tcp", "ports": []}]


@pytest.mark.parametrize("port", ["http", "70000", "10-5", "-5", "", "1-2-3"])
def test_ports_that_are_none(port: str) -> None:
    with pytest.raises(GceError):
        firewall.normal_allowed([{"protocol": "tcp", "ports": [port]}])


def test_families_newest_cuda_first_and_nearest_first() -> None:
    families = [
        "common-cpu",
        "common-cu124-debian-11",
        "common-cu129-ubuntu-2204-nvidia-580",
        "pytorch-2-9-cu129-ubuntu-2204-nvidia-580",
        "pytorch-2-9-cu129-ubuntu-2404-nvidia-580",
    ]
    assert images.ordered(families)[-1] == "common-cpu"
    assert images.ordered(families)[-2] == "common-cu124-debian-11"
    near = images.nearest("pytorch-2-7-cu128-ubuntu-2204-nvidia-570", families)
    assert near[0] == "pytorch-2-9-cu129-ubuntu-2204-nvidia-580"
    assert images.nearest("zebra", families) == []
