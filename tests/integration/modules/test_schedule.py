# SPDX-License-Identifier: Apache-2.0
"""gce_instance_schedule against the emulator: predicted, made, attached, changed and undone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Api, instance_body

OFFICE: dict[str, Any] = {
    "region": m.REGION,
    "name": "office",
    "start": "0 8 * * 1-5",
    "stop": "0 19 * * 1-5",
    "time_zone": "Europe/Berlin",
}
FOLLOWER = {"zone": m.ZONE, "instance": "llm"}


def policies(api: Api) -> list[dict[str, Any]]:
    return list(api.get(f"regions/{m.REGION}/resourcePolicies").get("items", []))


def transition(cloud: m.Cloud, api: Api, **options: Any) -> dict[str, str]:
    """Check, run, run again; how each field changed."""
    before = policies(api), cloud.stored("instances")
    predicted = cloud.ok("gce_instance_schedule", check=True, **options)
    assert (policies(api), cloud.stored("instances")) == before
    made = cloud.ok("gce_instance_schedule", **options)
    for part in ("changed", "changes", "diff"):
        assert made[part] == predicted[part], part
    again = cloud.ok("gce_instance_schedule", **options)
    assert (again["changed"], again["changes"]) == (False, [])
    return {one["field"]: one["how"] for one in made["changes"]}


def test_there_attached_changed_and_gone(cloud: m.Cloud, api: Api) -> None:
    api.must("POST", f"zones/{m.ZONE}/instances", instance_body("llm"))
    assert transition(cloud, api, **OFFICE) == {"schedule": "create"}
    assert policies(api)[0]["instanceSchedulePolicy"] == {
        "vmStartSchedule": {"schedule": "0 8 * * 1-5"},
        "vmStopSchedule": {"schedule": "0 19 * * 1-5"},
        "timeZone": "Europe/Berlin",
    }
    assert transition(cloud, api, **OFFICE, **FOLLOWER) == {"instance": "live"}
    later = {**OFFICE, "stop": "0 21 * * 1-5", "expiration": "2099-01-01T00:00:00Z"}
    changed = transition(cloud, api, **later, **FOLLOWER)
    assert changed == {"stop": "live", "expiration": "live"}
    gone = {"region": m.REGION, "name": "office", "state": "absent"}
    failed = cloud.fails("gce_instance_schedule", **gone)
    assert "instances/llm" in failed["msg"]
    assert transition(cloud, api, **gone, **FOLLOWER) == {"instance": "live", "schedule": "delete"}
    assert policies(api) == []
    assert "resourcePolicies" not in api.get(f"zones/{m.ZONE}/instances/llm")


def test_made_and_attached_at_once_or_not_without_an_instance(cloud: m.Cloud, api: Api) -> None:
    failed = cloud.fails("gce_instance_schedule", **OFFICE, **FOLLOWER)
    assert "There is no instance llm" in failed["msg"]
    # An earlier task of the same play would have made it.
    assert cloud.ok("gce_instance_schedule", check=True, **OFFICE, **FOLLOWER)["changed"]
    api.must("POST", f"zones/{m.ZONE}/instances", instance_body("llm"))
    made = cloud.ok("gce_instance_schedule", **OFFICE, **FOLLOWER)
    assert made["expected"] in {"running", "stopped"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"start": "8 o'clock"}, "instead of five"),
        ({"stop": "0 25 * * *"}, "hour '25'"),
        ({"time_zone": "Europe/Berlni"}, "Europe/Berlin"),
        ({"region": "us-central9"}, "us-central1"),
        ({"start": None, "stop": None}, "start, stop"),
    ],
)
def test_wrong_input(cloud: m.Cloud, api: Api, wrong: dict[str, Any], words: str) -> None:
    failed = cloud.fails("gce_instance_schedule", **{**OFFICE, **wrong})
    assert words in failed["msg"]
    assert policies(api) == []
