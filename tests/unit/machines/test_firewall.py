# SPDX-License-Identifier: Apache-2.0
"""What rules become in nft's words; emulator/test_machines.py shows that they hold."""

from __future__ import annotations

import pytest

from emulator.machines import firewall
from emulator.world.backend import IngressRule, MachineError

Ports = list[tuple[int, int]]


def statements(*rules: IngressRule) -> list[str]:
    """Return the lines that come from rules, without the fixed ones."""
    fixed = firewall.script([]).splitlines()
    return [line.strip() for line in firewall.script(rules).splitlines() if line not in fixed]


def rule(
    protocol: str = "tcp",
    ports: Ports | None = None,
    sources: tuple[str, ...] = ("192.0.2.0/24",),
    action: str = "allow",
) -> IngressRule:
    return IngressRule(action, protocol, ports or [], sources)  # type: ignore[arg-type]


def test_without_rules_everything_new_is_dropped() -> None:
    lines = [line.strip() for line in firewall.script([]).splitlines()]
    assert "type filter hook input priority filter; policy drop;" in lines
    accepted = [line for line in lines if line.endswith("accept")]
    assert accepted == [
        "ct state established,related accept",
        'iifname "lo" accept',
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept",
    ]


def test_the_old_table_goes_in_the_same_transaction() -> None:
    lines = firewall.script([]).splitlines()
    # naming the table first makes the deletion work where there was none
    assert lines[:3] == [
        "table inet gce_vllm",
        "delete table inet gce_vllm",
        "table inet gce_vllm {",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule(ports=[(22, 22)]), ["ip saddr { 192.0.2.0/24 } tcp dport { 22 } accept"]),
        (rule(ports=[(1, 9)]), ["ip saddr { 192.0.2.0/24 } tcp dport { 1-9 } accept"]),
        (rule(), ["ip saddr { 192.0.2.0/24 } meta l4proto 6 accept"]),
        (rule("udp", [(53, 53)]), ["ip saddr { 192.0.2.0/24 } udp dport { 53 } accept"]),
        (rule("17", [(53, 53)]), ["ip saddr { 192.0.2.0/24 } udp dport { 53 } accept"]),
        (rule("sctp", [(9, 9)]), ["ip saddr { 192.0.2.0/24 } sctp dport { 9 } accept"]),
        (rule("icmp"), ["ip saddr { 192.0.2.0/24 } meta l4proto 1 accept"]),
        (rule("esp"), ["ip saddr { 192.0.2.0/24 } meta l4proto 50 accept"]),
        (rule("0"), ["ip saddr { 192.0.2.0/24 } meta l4proto 0 accept"]),
        (rule("all"), ["ip saddr { 192.0.2.0/24 } accept"]),
        (rule("all", action="deny"), ["ip saddr { 192.0.2.0/24 } drop"]),
        (rule("all", sources=("0.0.0.0/0",)), ["meta nfproto ipv4 accept"]),
        (rule("all", sources=("::/0",)), ["meta nfproto ipv6 accept"]),
        (
            rule("all", sources=("::/0", "0.0.0.0/0")),
            ["meta nfproto ipv4 accept", "meta nfproto ipv6 accept"],
        ),
        (rule("all", sources=("2001:db8::/32",)), ["ip6 saddr { 2001:db8::/32 } accept"]),
        (rule("all", sources=("192.0.2.7",)), ["ip saddr { 192.0.2.7/32 } accept"]),
        (rule("all", sources=("192.0.2.7/24",)), ["ip saddr { 192.0.2.0/24 } accept"]),
    ],
)
def test_rule(given: IngressRule, expected: list[str]) -> None:
    assert statements(given) == expected


def test_a_rule_without_sources_matches_nobody() -> None:
    assert statements(rule("all", sources=())) == []


def test_overlaps_are_merged_because_nft_refuses_them() -> None:
    ports = [(80, 90), (22, 22), (85, 100), (101, 101)]
    sources = ("10.1.0.0/16", "10.0.0.0/8", "192.0.2.0/25", "192.0.2.128/25")
    assert statements(rule(ports=ports, sources=sources)) == [
        "ip saddr { 10.0.0.0/8, 192.0.2.0/24 } tcp dport { 22, 80-101 } accept"
    ]


def test_order_is_kept() -> None:
    lines = statements(rule("all", action="deny"), rule(ports=[(22, 22)]))
    assert [line.split()[-1] for line in lines] == ["drop", "accept"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (rule("smtp"), "Unknown protocol 'smtp'"),
        (rule("256"), "Unknown protocol '256'"),
        (rule("icmp", [(1, 1)]), "icmp has no ports"),
    ],
)
def test_refused(given: IngressRule, says: str) -> None:
    with pytest.raises(MachineError, match=says):
        firewall.script([given])
