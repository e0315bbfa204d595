# SPDX-License-Identifier: Apache-2.0
"""Turns ingress rules into a packet filter, and loads it into a machine's network namespace."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from emulator.machines.runtime import execute
from emulator.world.backend import IngressRule, MachineError

TABLE = "inet gce_vllm"
# Names that Compute Engine takes besides numbers, as IANA numbers them
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "ipip": 94, "sctp": 132}
WITH_PORTS = {6: "tcp", 17: "udp", 132: "sctp"}
NEIGHBOUR_DISCOVERY = "nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert"


def script(rules: Sequence[IngressRule]) -> str:
    """Return an nft script that replaces the machine's filter in one step.

    The rules are matched in order, the first match decides, and what matches none is dropped.
    Answers to connections that the machine opened itself pass.
    """
    lines = [
        f"table {TABLE}",  # so that the deletion below finds one
        f"delete table {TABLE}",
        f"table {TABLE} {{",
        "  chain input {",
        "    type filter hook input priority filter; policy drop;",
        "    ct state established,related accept",
        '    iifname "lo" accept',
        f"    icmpv6 type {{ {NEIGHBOUR_DISCOVERY} }} accept",
        *(f"    {statement}" for rule in rules for statement in _statements(rule)),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def apply(namespace: str, rules: Sequence[IngressRule]) -> None:
    """Load the rules into the network namespace at the path `namespace`."""
    argv = ["nsenter", f"--net={namespace}", "nft", "-f", "-"]
    execute(argv, stdin=script(rules), timeout=120)


def _statements(rule: IngressRule) -> list[str]:
    verdict = {"allow": "accept", "deny": "drop"}[rule.action]
    traffic = _traffic(rule)
    return [" ".join(filter(None, [s, traffic, verdict])) for s in _sources(rule.sources)]


def _traffic(rule: IngressRule) -> str:
    if rule.protocol == "all":
        return ""
    number = _protocol_number(rule.protocol)
    if not rule.ports:
        return f"meta l4proto {number}"
    if number not in WITH_PORTS:
        raise MachineError(f"Protocol {rule.protocol} has no ports, but the rule names some")
    return f"{WITH_PORTS[number]} dport {{ {', '.join(_ports(rule.ports))} }}"


def _protocol_number(protocol: str) -> int:
    number = PROTOCOLS.get(protocol, int(protocol) if protocol.isdecimal() else -1)
    if not 0 <= number <= 255:
        raise MachineError(
            f"Unknown protocol {protocol!r}: known are all, {', '.join(PROTOCOLS)} and 0 to 255"
        )
    return number


def _ports(ranges: Sequence[tuple[int, int]]) -> Iterable[str]:
    """Yield merged ranges: nft refuses a set whose intervals overlap."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    for low, high in merged:
        yield str(low) if low == high else f"{low}-{high}"


def _sources(sources: Sequence[str]) -> Iterable[str]:
    """Yield a match for each address family; none for a rule whose sources are empty."""
    networks = [ipaddress.ip_network(source, strict=False) for source in sources]
    v4 = [n for n in networks if isinstance(n, ipaddress.IPv4Network)]
    v6 = [n for n in networks if isinstance(n, ipaddress.IPv6Network)]
    if v4:
        yield _match("ip", "ipv4", [str(n) for n in ipaddress.collapse_addresses(v4)])
    if v6:
        yield _match("ip6", "ipv6", [str(n) for n in ipaddress.collapse_addresses(v6)])


def _match(keyword: str, family: str, collapsed: Sequence[str]) -> str:
    if list(collapsed) in (["0.0.0.0/0"], ["::/0"]):
        return f"meta nfproto {family}"
    return f"{keyword} saddr {{ {', '.join(collapsed)} }}"
