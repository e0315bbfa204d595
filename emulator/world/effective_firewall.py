# SPDX-License-Identifier: Apache-2.0
"""Which traffic reaches an instance: firewall rules resolved to addresses and put in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from emulator.errors import Json
from emulator.world.backend import IngressRule


def effective(
    instance: Json, firewalls: Iterable[Json], instances: Sequence[Json]
) -> list[IngressRule]:
    """The ingress rules of an instance, first match wins; what none allows is denied.

    Args:
        instances: all of the project, to resolve source tags and service accounts.
    """
    networks = {interface["network"] for interface in instance["networkInterfaces"]}
    chosen = [
        rule
        for rule in firewalls
        if rule["network"] in networks
        and rule.get("direction", "INGRESS") == "INGRESS"
        and not rule.get("disabled")
        and _targets(rule, instance)
    ]
    # At the same priority deny goes before allow.
    chosen.sort(key=lambda rule: (rule["priority"], "denied" not in rule, rule["name"]))
    result = []
    for rule in chosen:
        sources = _sources(rule, instances)
        if not sources:  # tags that nobody carries: the rule matches nothing
            continue
        action = "deny" if "denied" in rule else "allow"
        for entry in rule.get("denied") or rule.get("allowed") or []:
            result.append(
                IngressRule(
                    action="deny" if action == "deny" else "allow",
                    protocol=entry["IPProtocol"].lower(),
                    ports=tuple(port_range(text) for text in entry.get("ports", [])),
                    sources=sources,
                )
            )
    return result


def port_range(text: str) -> tuple[int, int]:
    """`22` or `8000-8010` as an inclusive range."""
    first, _, final = text.partition("-")
    return int(first), int(final or first)


def _tags(instance: Json) -> set[str]:
    return set(instance.get("tags", {}).get("items", []))


def _accounts(instance: Json) -> set[str]:
    return {account["email"] for account in instance.get("serviceAccounts", [])}


def _targets(rule: Json, instance: Json) -> bool:
    if rule.get("targetTags"):
        return bool(_tags(instance).intersection(rule["targetTags"]))
    if rule.get("targetServiceAccounts"):
        return bool(_accounts(instance).intersection(rule["targetServiceAccounts"]))
    return True


def _sources(rule: Json, instances: Sequence[Json]) -> tuple[str, ...]:
    sources = dict.fromkeys(rule.get("sourceRanges", []))  # a set that keeps its order
    tags = set(rule.get("sourceTags", []))
    accounts = set(rule.get("sourceServiceAccounts", []))
    for other in instances:
        if _tags(other) & tags or _accounts(other) & accounts:
            for interface in other["networkInterfaces"]:
                if interface["network"] == rule["network"]:
                    sources.update(dict.fromkeys(_addresses(interface)))
    return tuple(sources)


def _addresses(interface: Json) -> list[str]:
    found = [str(interface["networkIP"])]
    found += [str(a["natIP"]) for a in interface.get("accessConfigs", []) if "natIP" in a]
    return [f"{address}/32" for address in found]
