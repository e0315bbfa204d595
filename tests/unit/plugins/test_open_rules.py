# SPDX-License-Identifier: Apache-2.0
"""Which rules of others open a port to everybody."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.network import open_rules

NETWORK = "projects/p/global/networks/default"
RULE: dict[str, Any] = {
    "name": "default-allow-ssh",
    "network": f"https://www.googleapis.com/compute/v1/{NETWORK}",
    "direction": "INGRESS",
    "sourceRanges": ["0.0.0.0/0"],
    "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
}


def found(**changes: Any) -> list[int]:
    rules = open_rules.opened(
        [{**RULE, **changes}], network=NETWORK, tags=["llm"], ports=[22, 8000], ignored=["ours"]
    )
    return [port for rule in rules for port in rule["ports"]]


@pytest.mark.parametrize(
    ("changes", "ports"),
    [
        ({}, [22]),
        ({"sourceRanges": ["0.0.0.0/1", "128.0.0.0/1"]}, [22]),
        ({"allowed": [{"IPProtocol": "tcp"}]}, [22, 8000]),
        ({"allowed": [{"IPProtocol": "all"}]}, [22, 8000]),
        ({"allowed": [{"IPProtocol": "tcp", "ports": ["20-30", "7999-8001"]}]}, [22, 8000]),
        ({"targetTags": ["llm", "x"]}, [22]),
        ({"allowed": [{"IPProtocol": "tcp", "ports": ["3389"]}]}, []),
        ({"allowed": [{"IPProtocol": "udp"}]}, []),
        ({"allowed": None, "denied": [{"IPProtocol": "all"}]}, []),
        ({"sourceRanges": ["10.0.0.0/8"]}, []),
        ({"targetTags": ["x"]}, []),
        ({"targetServiceAccounts": ["a@b"]}, []),
        ({"disabled": True}, []),
        ({"direction": "EGRESS"}, []),
        ({"network": NETWORK + "2"}, []),
        ({"name": "ours"}, []),
    ],
)
def test_opened(changes: dict[str, Any], ports: list[int]) -> None:
    assert found(**changes) == ports


def test_the_line_says_what_to_do() -> None:
    rule = {"name": "default-allow-ssh", "ports": [22], "target_tags": []}
    said = open_rules.line(rule, "my-project")
    assert "port 22 of all instances to everybody" in said
    assert "gcloud compute firewall-rules delete default-allow-ssh --project my-project" in said
