# SPDX-License-Identifier: Apache-2.0
"""The plan's table: what is created, changed and kept."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.filter.plan_lines import plan_lines

PLAN: dict[str, Any] = {
    "name": "llm",
    "zone": "us-central1-a",
    "machine_type": "g2-standard-4",
    "gpus": "nvidia-l4 x1",
    "provisioning_model": "STANDARD",
    "boot_disk": "100 GB pd-balanced",
    "boot_disk_gb": 100,
    "disks": [{"name": "weights", "size_gb": 200}],
    "rules": [{"name": "llm-api", "port": 8000, "ranges": ["198.51.100.7/32"]}],
    "network": "default",
    "network_created": False,
    "facts": {"cost": "0.73 USD an hour", "quota": ""},
}
INSTANCE: dict[str, Any] = {
    "status": "RUNNING",
    "machineType": "zones/us-central1-a/machineTypes/g2-standard-4",
    "scheduling": {"provisioningModel": "STANDARD"},
    "disks": [
        {"boot": True, "diskSizeGb": "100", "source": "zones/a/disks/llm"},
        {"source": "https://compute.googleapis.com/zones/a/disks/weights"},
    ],
}
RULE: dict[str, Any] = {
    "name": "llm-api",
    "sourceRanges": ["198.51.100.7/32"],
    "allowed": [{"IPProtocol": "tcp", "ports": ["8000"]}],
}


def marks(lines: list[str]) -> str:
    """The first letter of each line."""
    return "".join(line[0] for line in lines)


def test_nothing_there() -> None:
    lines = plan_lines(PLAN, None, [])
    assert marks(lines) == "++++= "
    assert lines[0] == "+ instance   llm in us-central1-a: g2-standard-4, nvidia-l4 x1, STANDARD"
    assert lines[3] == "+ firewall   llm-api: TCP 8000 from 198.51.100.7/32"
    assert lines[-1] == "  cost       0.73 USD an hour"


def test_all_there() -> None:
    assert marks(plan_lines(PLAN, INSTANCE, [RULE])) == "===== "


@pytest.mark.parametrize(
    ("instance", "rule", "row", "said"),
    [
        ({"status": "TERMINATED"}, {}, 0, "is TERMINATED"),
        ({"machineType": "a/b/n1-standard-8"}, {}, 0, "is a n1-standard-8"),
        ({"scheduling": {"provisioningModel": "SPOT"}}, {}, 0, "is SPOT"),
        ({"disks": [{"boot": True, "diskSizeGb": "50"}]}, {}, 1, "has 50 GB"),
        ({}, {"sourceRanges": ["0.0.0.0/0"]}, 3, "is from 0.0.0.0/0"),
        ({}, {"sourceRanges": None}, 3, "is from nowhere"),
        ({}, {"allowed": [{"IPProtocol": "tcp", "ports": ["80"]}]}, 3, "is for 80"),
        ({}, {"allowed": [{"IPProtocol": "tcp"}]}, 3, "is for all ports"),
    ],
)
def test_what_differs(instance: dict[str, Any], rule: dict[str, Any], row: int, said: str) -> None:
    lines = plan_lines(PLAN, INSTANCE | instance, [RULE | rule])
    assert lines[row].startswith("~ ")
    assert lines[row].endswith(said)


def test_an_own_network_is_named() -> None:
    lines = plan_lines(PLAN | {"network": "llm", "network_created": True}, None, [])
    assert "  network    llm, made for this" in lines
