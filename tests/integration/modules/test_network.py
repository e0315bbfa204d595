# SPDX-License-Identifier: Apache-2.0
"""gce_network and gce_subnetwork against the emulator: predicted, made once, undone, refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Api, instance_body

SUBNET: dict[str, Any] = {"region": m.REGION, "network": "llm-net", "range": "10.96.0.0/20"}


def held(cloud: m.Cloud) -> Any:
    return cloud.stored("networks"), cloud.stored("subnetworks")


def transition(cloud: m.Cloud, module: str, **options: Any) -> dict[str, Any]:
    """Check, run, run again: the prediction holds and the second run has nothing to do."""
    before = held(cloud)
    predicted = cloud.ok(module, check=True, **options)
    assert held(cloud) == before
    made = cloud.ok(module, **options)
    for part in ("changed", "changes", "diff", "kept"):
        assert made[part] == predicted[part], part
    after = held(cloud)
    again = cloud.ok(module, **options)
    assert (again["changed"], again["changes"]) == (False, [])
    assert again["diff"]["before"] == again["diff"]["after"]
    assert held(cloud) == after
    return made


def hows(result: dict[str, Any]) -> dict[str, str]:
    return {one["field"]: one["how"] for one in result["changes"]}


def test_network_there_changed_and_gone(cloud: m.Cloud) -> None:
    made = transition(cloud, "gce_network", name="llm-net", description="ours")
    assert hows(made) == {"network": "create"}
    assert made["network"]["autoCreateSubnetworks"] is False
    assert made["network"]["subnetworks"] == []
    assert hows(transition(cloud, "gce_network", name="llm-net", routing_mode="GLOBAL")) == {
        "routing_mode": "live"
    }
    gone = transition(cloud, "gce_network", name="llm-net", state="absent")
    assert hows(gone) == {"network": "delete"}
    assert [one["name"] for one in cloud.stored("networks")] == ["default"]


def test_auto_mode_is_left_but_never_entered(cloud: m.Cloud) -> None:
    made = transition(cloud, "gce_network", name="wide", auto_create_subnetworks=True)
    assert made["network"]["subnetworks"]
    left = transition(cloud, "gce_network", name="wide", auto_create_subnetworks=False)
    assert hows(left) == {"auto_create_subnetworks": "live"}
    failed = cloud.fails("gce_network", check=True, name="wide", auto_create_subnetworks=True)
    assert "no way back" in failed["msg"]


def test_subnetwork_there_changed_and_gone(cloud: m.Cloud) -> None:
    cloud.ok("gce_network", name="llm-net")
    made = transition(cloud, "gce_subnetwork", name="llm-net", **SUBNET)
    assert hows(made) == {"subnetwork": "create"}
    wider = {**SUBNET, "range": "10.96.0.0/19", "private_google_access": True}
    changed = transition(cloud, "gce_subnetwork", name="llm-net", **wider)
    assert hows(changed) == {"range": "live", "private_google_access": "live"}
    assert changed["subnetwork"]["id"] == made["subnetwork"]["id"]
    smaller = cloud.fails("gce_subnetwork", check=True, name="llm-net", **SUBNET)
    assert "only grow" in smaller["msg"]
    moved = {**SUBNET, "network": "default", "range": None}
    assert (
        "belongs to the network llm-net"
        in cloud.fails("gce_subnetwork", name="llm-net", **moved)["msg"]
    )
    where = {"region": m.REGION, "state": "absent"}
    assert hows(transition(cloud, "gce_subnetwork", name="llm-net", **where)) == {
        "subnetwork": "delete"
    }


def test_a_preferred_range_gives_way_and_then_stays(cloud: m.Cloud) -> None:
    cloud.ok("gce_network", name="llm-net")
    cloud.ok("gce_subnetwork", name="llm-net", **SUBNET)
    other = {**SUBNET, "region": "europe-west4", "prefer_range": True}
    made = transition(cloud, "gce_subnetwork", name="llm-net", **other)
    assert made["subnetwork"]["ipCidrRange"] == "10.96.16.0/20"
    exact = {**SUBNET, "region": "us-west1"}
    assert "overlaps" in cloud.fails("gce_subnetwork", name="llm-net", **exact)["msg"]


def test_in_use_is_refused_or_kept(cloud: m.Cloud, api: Api) -> None:
    cloud.ok("gce_network", name="llm-net", description="ours")
    cloud.ok("gce_subnetwork", name="llm-net", **SUBNET)
    subnet = f"regions/{m.REGION}/subnetworks/llm-net"
    interface = {"network": "global/networks/llm-net", "subnetwork": subnet}
    api.must("POST", f"zones/{m.ZONE}/instances", instance_body("a", networkInterfaces=[interface]))
    rule = {
        "network": "llm-net",
        "source_ranges": ["203.0.113.7"],
        "allowed": [{"protocol": "tcp"}],
    }
    cloud.ok("gce_firewall", name="r", **rule)
    gone = {"name": "llm-net", "state": "absent"}
    for check in (True, False):
        failed = cloud.fails("gce_network", check=check, **gone)
        assert failed["users"] == ["global/firewalls/r", subnet, f"zones/{m.ZONE}/instances/a"]
        failed = cloud.fails("gce_subnetwork", check=check, region=m.REGION, **gone)
        assert failed["users"] == [f"zones/{m.ZONE}/instances/a"]
    kept = transition(cloud, "gce_network", keep_used=True, **gone)
    assert "instances/a" in kept["kept"]
    assert kept["changed"] is False
    # What the same play deletes first does not count when predicting.
    leaving = ["instances/a", "firewalls/r", "subnetworks/llm-net"]
    assert cloud.ok("gce_network", check=True, ignore_users=leaving, **gone)["changed"] is True
    # Google's own refusal is kept too: users that are not looked for exist.
    kept = cloud.ok("gce_network", ignore_users=leaving, keep_used=True, **gone)
    assert "is already being used" in kept["kept"]


def test_what_others_made_stays(cloud: m.Cloud) -> None:
    cloud.ok("gce_network", name="theirs", description="by hand")
    kept = transition(cloud, "gce_network", name="theirs", state="absent", description="ours")
    assert "'by hand'" in kept["kept"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"range": "10.96.0.7/20"}, ["10.96.0.0/20"]),
        ({"range": "10.96.0.0/30"}, ["/29"]),
        ({"range": "ten"}, ["'ten'"]),
        ({"range": None}, ["10.96.0.0/20"]),
        ({"region": "us-central9"}, ["us-central9", "us-central1"]),
    ],
)
def test_wrong_input_says_what_would_be_right(
    cloud: m.Cloud, wrong: dict[str, Any], words: list[str]
) -> None:
    failed = cloud.fails("gce_subnetwork", name="llm-net", **{**SUBNET, **wrong})
    for word in words:
        assert word in failed["msg"]
