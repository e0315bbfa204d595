# SPDX-License-Identifier: Apache-2.0
"""Rules of a network that let everybody in to a port of an instance, whoever made them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import naming
from .firewall import normal_allowed
from .ranges import found_range, opens_world


def opened(
    rules: Iterable[Mapping[str, Any]],
    *,
    network: str,
    tags: Iterable[str],
    ports: Iterable[int],
    ignored: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """Name, ports and target tags of each such rule, in order of their names.

    A deny rule is not weighed: behind one that comes first, the rule found is closed after all.

    Args:
        rules: as the API lists them.
        network: `projects/P/global/networks/N`.
        tags: network tags of the instance.
        ports: TCP ports that matter.
        ignored: names of rules that don't count, being ours.
    """
    wanted, skipped, own = list(ports), set(ignored), set(tags)
    found = []
    for rule in rules:
        targets = set(rule.get("targetTags") or [])
        if (
            rule["name"] in skipped
            or rule.get("disabled")
            or rule.get("direction", "INGRESS") != "INGRESS"
            or naming.relative(str(rule.get("network"))) != network
            or rule.get("targetServiceAccounts")
            or (targets and not targets & own)
            or not opens_world(map(found_range, rule.get("sourceRanges") or []))
        ):
            continue
        hit = [port for port in wanted if _covers(rule, port)]
        if hit:
            found.append({"name": rule["name"], "ports": hit, "target_tags": sorted(targets)})
    return sorted(found, key=lambda one: str(one["name"]))


def _covers(rule: Mapping[str, Any], port: int) -> bool:
    for entry in normal_allowed(rule.get("allowed")):
        if entry["protocol"] not in {"tcp", "6", "all"}:
            continue
        if not entry["ports"]:
            return True
        for text in entry["ports"]:
            first, _, last = text.partition("-")
            if int(first) <= port <= int(last or first):
                return True
    return False


def line(rule: Mapping[str, Any], project: str) -> str:
    """What it is and what to do, for people."""
    ports = " and ".join(map(str, rule["ports"]))
    who = (
        f"instances tagged {', '.join(rule['target_tags'])}"
        if rule["target_tags"]
        else "all instances"
    )
    return (
        f"the firewall rule {rule['name']}, which is not ours, opens port {ports} of {who} "
        "to everybody: if nobody needs it, "
        f"`gcloud compute firewall-rules delete {rule['name']} --project {project}`"
    )
