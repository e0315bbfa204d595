# SPDX-License-Identifier: Apache-2.0
"""Effective ingress rules."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.world.backend import IngressRule
from emulator.world.effective_firewall import effective, port_range

NET, OTHER_NET = "networks/default", "networks/other"


def vm(ip: str, *tags: str, nat: str = "", account: str = "", network: str = NET) -> dict[str, Any]:
    interface: dict[str, Any] = {"network": network, "networkIP": ip}
    if nat:
        interface["accessConfigs"] = [{"natIP": nat}]
    result: dict[str, Any] = {"networkInterfaces": [interface], "tags": {"items": list(tags)}}
    if account:
        result["serviceAccounts"] = [{"email": account}]
    return result


def rule(name: str = "r", action: str = "allowed", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "network": NET,
        "direction": "INGRESS",
        "priority": 1000,
        action: [{"IPProtocol": "tcp", "ports": ["8000"]}],
        "sourceRanges": ["192.0.2.0/24"],
    } | fields


ME = vm("10.0.0.2", "llm", account="a@x", nat="203.0.113.1")
PEER = vm("10.0.0.3", "client", account="b@x", nat="203.0.113.2")
STRANGER = vm("10.9.0.3", "client", network=OTHER_NET)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([], [], id="nothing is allowed by default"),
        pytest.param([rule()], [("allow", ("192.0.2.0/24",))], id="no target means all"),
        pytest.param([rule(targetTags=["llm"])], [("allow", ("192.0.2.0/24",))], id="tag matches"),
        pytest.param([rule(targetTags=["web"])], [], id="tag does not match"),
        pytest.param(
            [rule(targetServiceAccounts=["a@x"])], [("allow", ("192.0.2.0/24",))], id="sa"
        ),
        pytest.param([rule(targetServiceAccounts=["b@x"])], [], id="other sa"),
        pytest.param([rule(disabled=True)], [], id="disabled"),
        pytest.param([rule(direction="EGRESS")], [], id="egress"),
        pytest.param([rule(network=OTHER_NET)], [], id="other network"),
        pytest.param(
            [rule(sourceRanges=[], sourceTags=["client"])],
            [("allow", ("10.0.0.3/32", "203.0.113.2/32"))],
            id="source tag, only of the same network",
        ),
        pytest.param(
            [rule(sourceTags=["client"])],
            [("allow", ("192.0.2.0/24", "10.0.0.3/32", "203.0.113.2/32"))],
            id="ranges or tags",
        ),
        pytest.param(
            [rule(sourceRanges=[], sourceTags=["nobody"])], [], id="a tag that nobody has"
        ),
        pytest.param(
            [rule(sourceRanges=[], sourceServiceAccounts=["b@x"])],
            [("allow", ("10.0.0.3/32", "203.0.113.2/32"))],
            id="source service account",
        ),
        pytest.param(
            [rule("late", priority=2000), rule("early", "denied", priority=10)],
            [("deny", ("192.0.2.0/24",)), ("allow", ("192.0.2.0/24",))],
            id="lower number first",
        ),
        pytest.param(
            [rule("a-allow"), rule("b-deny", "denied")],
            [("deny", ("192.0.2.0/24",)), ("allow", ("192.0.2.0/24",))],
            id="deny before allow at the same priority",
        ),
    ],
)
def test_effective(
    rules: list[dict[str, Any]], expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    found = effective(ME, rules, [ME, PEER, STRANGER])
    assert [(r.action, tuple(r.sources)) for r in found] == expected


def test_one_rule_for_each_protocol() -> None:
    allowed = [
        {"IPProtocol": "TCP", "ports": ["22", "8000-8010"]},
        {"IPProtocol": "icmp"},
        {"IPProtocol": "50"},
    ]
    assert effective(ME, [rule(allowed=allowed)], [ME]) == [
        IngressRule("allow", "tcp", ((22, 22), (8000, 8010)), ("192.0.2.0/24",)),
        IngressRule("allow", "icmp", (), ("192.0.2.0/24",)),
        IngressRule("allow", "50", (), ("192.0.2.0/24",)),
    ]


@pytest.mark.parametrize(("text", "expected"), [("22", (22, 22)), ("0-65535", (0, 65535))])
def test_port_range(text: str, expected: tuple[int, int]) -> None:
    assert port_range(text) == expected
