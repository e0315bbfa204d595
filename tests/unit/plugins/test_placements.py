# SPDX-License-Identifier: Apache-2.0
"""Placements: what each makes of the options, which one an instance came from, and the order."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.filter.attempt_lines import attempt_lines
from ansible_collections.llmops.gce_vllm.plugins.filter.full_placements import full_placements
from ansible_collections.llmops.gce_vllm.plugins.filter.start_placements import start_placements
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import GceError, OperationError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    argspec as instance_options,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import placements
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance.placements import (
    Placement,
)

A, B, C = "us-central1-a", "us-central1-b", "us-east1-c"
T4 = [{"type": "nvidia-tesla-t4", "count": 1}]


def entry(zone: str, **given: Any) -> dict[str, Any]:
    names = ("machine_type", "accelerators", "provisioning_model")
    return {"zone": zone, **{name: given.get(name) for name in names}}


def options(*entries: dict[str, Any], **given: Any) -> dict[str, Any]:
    empty = dict.fromkeys(instance_options.SPEC)
    return {**empty, "name": "llm", **given, "placements": list(entries)}


def stockout(named: str, code: str = "ZONE_RESOURCE_POOL_EXHAUSTED") -> GceError:
    detail = {"errorInfo": {"metadatas": {"zonesAvailable": named}}}
    error = {"code": code, "errorDetails": [detail]}
    return OperationError("Out.", reason=code, details={"operation_errors": [error]})


def test_zone_alone_is_one_placement() -> None:
    given = {**options(), "placements": None, "zone": A, "machine_type": "g2-standard-8"}
    (only,) = placements.listed(given)
    assert only == Placement(A)
    assert only.options(given) == given


@pytest.mark.parametrize(
    ("place", "common", "expected"),
    [
        ({}, {"machine_type": "m", "accelerators": T4}, ("m", T4, None)),
        # GPUs that are meant for another machine type stay behind.
        ({"machine_type": "g2-standard-8"}, {"accelerators": T4}, ("g2-standard-8", None, None)),
        ({"machine_type": "n1-standard-8", "accelerators": T4}, {}, ("n1-standard-8", T4, None)),
        (
            {"provisioning_model": "SPOT"},
            {"scheduling": {"automatic_restart": True, "instance_termination_action": "STOP"}},
            (None, None, {"provisioning_model": "SPOT", "instance_termination_action": "STOP"}),
        ),
        (
            {"provisioning_model": "STANDARD"},
            {"scheduling": {"automatic_restart": True, "instance_termination_action": "STOP"}},
            (None, None, {"provisioning_model": "STANDARD", "automatic_restart": True}),
        ),
    ],
)
def test_options_of_a_placement(
    place: dict[str, Any], common: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    given = options(entry(A, **place), **common)
    found = placements.listed(given)[0].options(given)
    assert (found["machine_type"], found["accelerators"], found["scheduling"]) == expected
    assert found["zone"] == A


def test_beside_spot_the_others_are_standard() -> None:
    given = options(entry(A, provisioning_model="SPOT"), entry(A))
    assert [place.provisioning_model for place in placements.listed(given)] == ["SPOT", "STANDARD"]


@pytest.mark.parametrize("entries", [[], [entry(A), entry(A)]])
def test_lists_that_are_none(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(GceError, match="placements"):
        placements.listed(options(*entries))


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ({"machine_type": "g2-standard-8", "scheduling.provisioning_model": "SPOT"}, 0),
        ({"machine_type": "g2-standard-8", "scheduling.provisioning_model": "STANDARD"}, 1),
        (
            {
                "machine_type": "n1-standard-8",
                "scheduling.provisioning_model": "STANDARD",
                "accelerators": T4,
            },
            2,
        ),
        # Changed by hand: what is nearest.
        ({"machine_type": "g2-standard-16", "scheduling.provisioning_model": "SPOT"}, 0),
    ],
)
def test_nearest_in_the_same_zone(view: dict[str, Any], expected: int) -> None:
    given = options(
        entry(A, machine_type="g2-standard-8", provisioning_model="SPOT"),
        entry(A, machine_type="g2-standard-8"),
        entry(A, machine_type="n1-standard-8", accelerators=T4),
        entry(B, machine_type="g2-standard-8"),
    )
    places = placements.listed(given)
    found = placements.nearest(places, A, {"accelerators": [], **view}, given)
    assert places.index(found) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", "stockout"),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "stockout"),
        ("QUOTA_EXCEEDED", "quota"),
        ("quotaExceeded", "quota"),
        ("rateLimitExceeded", ""),
        ("invalid", ""),
        ("alreadyExists", ""),
        ("", ""),
    ],
)
def test_refusals_that_lead_on(reason: str, expected: str) -> None:
    assert placements.refusal(GceError("No.", reason=reason)) == expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("", [A, B, C]),
        (C, [C, A, B]),
        (f"{C},{B}", [B, C, A]),
        (f"projects/p/zones/{C}, zones/{B}", [B, C, A]),
        ("europe-west1-b", [A, B, C]),
    ],
)
def test_zones_that_google_names_come_first(named: str, expected: list[str]) -> None:
    rest = [Placement(zone) for zone in (A, B, C)]
    assert [place.zone for place in placements.reordered(rest, stockout(named))] == expected


def test_every_attempt_is_in_the_last_error() -> None:
    given = options(entry(A, machine_type="m"), entry(B, machine_type="m"))
    tries = [place.attempt(given, "stockout", stockout("")) for place in placements.listed(given)]
    error = placements.exhausted("llm", tries, "", stockout(""))
    assert A in str(error) and B in str(error) and error.details["attempts"] == tries
    assert "allow_recreate" not in str(error)
    blocked = [*tries, placements.listed(given)[1].attempt(given, "not_allowed")]
    assert "allow_recreate" in str(placements.exhausted("llm", blocked, A, stockout("")))


def test_placements_are_filled_in_from_the_other_settings() -> None:
    gpus = [{"type": "nvidia-tesla-t4", "count": 1}]
    found = full_placements(
        [
            {"zone": "us-central1-a"},
            {"zone": "us-east1-c", "machine_type": "g2-standard-8", "provisioning_model": "SPOT"},
            {"zone": "us-east1-d", "accelerators": [{"type": "nvidia-l4"}]},
        ],
        "unused",
        "n1-standard-4",
        gpus,
    )
    assert [one["said"] for one in found] == [
        "us-central1-a n1-standard-4 STANDARD with 1 x nvidia-tesla-t4",
        "us-east1-c g2-standard-8 SPOT",
        "us-east1-d n1-standard-4 STANDARD with 1 x nvidia-l4",
    ]
    assert [one["region"] for one in found] == ["us-central1", "us-east1", "us-east1"]
    alone = full_placements([], "us-east1-c", "g2-standard-4")
    assert [one["said"] for one in alone] == ["us-east1-c g2-standard-4 STANDARD"]


def test_a_start_tries_the_instances_own_place_first() -> None:
    zones = "https://www.googleapis.com/compute/v1/projects/p/zones"
    instance = {
        "zone": f"{zones}/us-east1-c",
        "machineType": f"{zones}/us-east1-c/machineTypes/g2-standard-8",
        # As Google lists those that come with the machine, and no setting has to.
        "guestAccelerators": [
            {"acceleratorType": f"{zones}/us-east1-c/acceleratorTypes/nvidia-l4"}
            | {"acceleratorCount": 1}
        ],
    }
    settings = [
        {"zone": "us-central1-a", "machine_type": "n1-standard-4", "accelerators": []},
        {"zone": "us-east1-c", "machine_type": "g2-standard-8", "accelerators": []},
    ]
    found = start_placements(
        [{**one, "provisioning_model": "STANDARD"} for one in settings], instance
    )
    assert [one["zone"] for one in found] == ["us-east1-c", "us-central1-a"]


def test_lines_of_attempts() -> None:
    place = {"zone": "us-east1-c", "machine_type": "g2-standard-4", "provisioning_model": "SPOT"}
    tried = [
        {**place, "outcome": "stockout", "reason": "ZONE_RESOURCE_POOL_EXHAUSTED"},
        {**place, "zone": "us-east1-d", "outcome": "created", "reason": ""},
    ]
    assert attempt_lines(tried) == [
        "1. us-east1-c g2-standard-4 SPOT (ZONE_RESOURCE_POOL_EXHAUSTED): "
        "Google has none left there",
        "2. us-east1-d g2-standard-4 SPOT: created",
    ]
