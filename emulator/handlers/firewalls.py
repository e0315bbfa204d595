# SPDX-License-Identifier: Apache-2.0
"""Firewall rules: insert, patch, update, delete. Each change reaches the running machines."""

from __future__ import annotations

from emulator.errors import Json, already_exists, invalid
from emulator.handlers.networks import find_network
from emulator.request.call import Call, handles
from emulator.rules import resources as rules
from emulator.world.references import Ref
from emulator.world.world import base

_EVERYWHERE = "0.0.0.0/0"
_FIXED = ("kind", "id", "creationTimestamp", "name", "selfLink")


@handles("firewalls.insert")
def insert(call: Call) -> Json:
    """Creates a rule."""
    rules.firewall(call.body)
    ref = call.ref("firewalls", call.body["name"])
    if call.world.find(ref):
        raise already_exists(ref.path)
    call.world.quotas.check(call.project, None, {"FIREWALLS": 1})
    rule = base("firewall", ref) | _complete(call, call.body)
    call.world.store.put(ref, rule)
    return _begin(call, "insert", ref, rule)


@handles("firewalls.patch")
def patch(call: Call) -> Json:
    """Replaces the fields that the request holds."""
    ref = call.ref("firewalls", call.params["firewall"])
    current = call.world.get(ref)
    return _replace(call, "patch", ref, current, current | call.body)


@handles("firewalls.update")
def update(call: Call) -> Json:
    """Replaces the whole rule."""
    ref = call.ref("firewalls", call.params["firewall"])
    current = call.world.get(ref)
    return _replace(call, "update", ref, current, {"name": ref.name} | call.body)


@handles("firewalls.delete")
def delete(call: Call) -> Json:
    """Removes a rule."""
    ref = call.ref("firewalls", call.params["firewall"])
    rule = call.world.get(ref)

    def work() -> None:
        call.world.store.delete(ref)
        call.world.sync_firewalls(call.project)

    return call.begin("delete", ref, rule, work)


def _begin(call: Call, kind: str, ref: Ref, rule: Json) -> Json:
    return call.begin(kind, ref, rule, lambda: call.world.sync_firewalls(call.project))


def _replace(call: Call, kind: str, ref: Ref, current: Json, wanted: Json) -> Json:
    rules.firewall(wanted)
    rule = _complete(call, wanted)
    for field in ("network", "direction"):
        if rule[field] != current[field]:
            raise invalid(f"resource.{field}", rule[field], "It can't be changed; make a new rule.")
    rule |= {field: current[field] for field in _FIXED}

    def work() -> None:
        with call.world.store.transaction():
            call.world.get(ref)
            call.world.store.put(ref, rule)
        call.world.sync_firewalls(call.project)

    return call.begin(kind, ref, current, work)


def _complete(call: Call, body: Json) -> Json:
    """A rule with references resolved and defaults filled in."""
    rule = {k: v for k, v in body.items() if v not in ("", []) and k != "params"}
    network = body.get("network") or "global/networks/default"
    rule["network"] = find_network(call, network, "resource.network").link
    rule.setdefault("direction", "INGRESS")
    rule.setdefault("priority", 1000)
    rule.setdefault("disabled", False)
    rule.setdefault("description", "")
    rule["logConfig"] = {"enable": False} | rule.get("logConfig", {})
    sources = ("sourceRanges", "sourceTags", "sourceServiceAccounts")
    if rule["direction"] == "INGRESS" and not any(rule.get(field) for field in sources):
        rule["sourceRanges"] = [_EVERYWHERE]
    if rule["direction"] == "EGRESS":
        rule.setdefault("destinationRanges", [_EVERYWHERE])
    return rule
