# SPDX-License-Identifier: Apache-2.0
"""What status.yml and destroy.yml say of one server, from resources of Google's."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports import status

LINK = "https://www.googleapis.com/compute/v1/projects/p"
ZONE = f"{LINK}/zones/us-central1-a"
NETWORK = f"{LINK}/global/networks/default"
DISK = {
    "name": "llm",
    "sizeGb": "100",
    "type": f"{ZONE}/diskTypes/pd-balanced",
    "selfLink": f"{ZONE}/disks/llm",
}


def instance(running: bool, address: str = "") -> dict[str, Any]:
    access = [{"natIP": address}] if address else []
    return {
        "name": "llm",
        "status": "RUNNING" if running else "TERMINATED",
        "machineType": f"{ZONE}/machineTypes/g2-standard-4",
        "disks": [{"boot": True, "autoDelete": True, "source": f"{ZONE}/disks/llm"}],
        "networkInterfaces": [{"network": NETWORK, "accessConfigs": access}],
        "tags": {"items": ["llm"]},
    }


def rule(name: str) -> dict[str, Any]:
    return {"name": name, "network": NETWORK, "targetTags": ["llm"], "sourceRanges": ["10.0.0.0/8"]}


def report(one: dict[str, Any], **more: Any) -> dict[str, Any]:
    rules = [rule("llm-api"), rule("theirs")]
    place = {"project": "p", "zone": "us-central1-a", "name": "llm"}
    return status.report(one, [DISK], rules, **place, **more)


def test_a_rule_of_others_that_lets_somebody_in_is_told_and_not_deleted() -> None:
    found = report(instance(True))
    assert [one["name"] for one in found["rules"]] == ["llm-api", "theirs"]
    assert status.deleted(found) == [
        "instance llm (RUNNING)",
        "disk llm (100 GB)",
        "firewall rule llm-api",
    ]


@pytest.mark.parametrize(
    ("running", "address", "reserved", "now", "stopped"),
    [
        # Price of disk, of an address in use, and of a reserved one that waits.
        (True, "203.0.113.9", False, "external IPv4 address", ""),
        (True, "203.0.113.9", True, "external IPv4 address", "reserved and not in use"),
        (False, "203.0.113.9", True, "reserved and not in use", "reserved and not in use"),
        (False, "", False, "", ""),
    ],
)
def test_an_address_costs_as_long_as_it_is_kept(
    running: bool, address: str, reserved: bool, now: str, stopped: str
) -> None:
    static = {"name": "llm-ip", "address": "203.0.113.9", "status": "IN_USE"}
    found = report(instance(running, address), reserved=[static] if reserved else [])

    def addresses(cost: dict[str, Any]) -> str:
        return ", ".join(one["what"] for one in cost["items"] if "address" in one["what"])

    for cost, expected in ((found["cost"], now), (found["cost_while_stopped"], stopped)):
        told = addresses(cost)
        assert told.endswith(expected) and bool(told) == bool(expected)
