# SPDX-License-Identifier: Apache-2.0
"""What there is of one server on Compute Engine and what it costs: resources to a report. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..gce import naming
from ..gce.instance import fields as fields_of
from ..gce.network import firewall
from ..hardware import machine_types
from ..pricing import costs

GONE = frozenset({"TERMINATED", "STOPPED", "SUSPENDED"})


def report(
    instance: Mapping[str, Any] | None,
    disks: Iterable[Mapping[str, Any]],
    rules: Iterable[Mapping[str, Any]],
    *,
    project: str,
    zone: str,
    name: str,
    loose_disks: Iterable[Mapping[str, Any]] = (),
    reserved: Iterable[Mapping[str, Any]] = (),
    prices: costs.Prices | None = None,
    own_stop: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The report's dict, the same keys whether or not there is an instance.

    Args:
        disks: resources of the disks that are attached to the instance.
        rules: every firewall rule of the project.
        loose_disks: resources of the deployment's disks that nothing uses.
        reserved: resources of its static addresses.
        prices: where prices come from; the dated table by default.
        own_stop: its stop, where it switched itself off.
    """
    region = naming.region_of(zone)
    source = prices or costs.Table()
    loose = [_loose_disk(one) for one in loose_disks]
    static = [_static(one) for one in reserved]
    left = [
        source.disk_part(one["size_gb"], one["type"], naming.region_of(one["zone"] or zone))
        for one in loose
    ]
    left += [source.address_part(region, in_use=False) for one in static if not one["in_use"]]
    head: dict[str, Any] = {"project": project, "zone": zone, "name": name}
    own = [rule for rule in rules if _applies(rule, instance, name)]
    if instance is None:
        return head | {
            "exists": False,
            "status": "MISSING",
            **dict.fromkeys(("machine_type", "provisioning_model", "since", "created", "stopped")),
            "gpus": [],
            "addresses": fields_of.addresses(None),
            "disks": [],
            "loose_disks": loose,
            "static_addresses": static,
            "rules": [_rule(rule, project) for rule in own],
            "cost": _priced(left, False),
            "cost_while_stopped": _priced(left, False),
            "prices": source.about(),
        }
    machine = naming.short(str(instance.get("machineType", "")))
    gpus = machine_types.bundled(machine) or fields_of.accelerators(
        instance.get("guestAccelerators")
    )
    status = str(instance.get("status"))
    scheduling = instance.get("scheduling") or {}
    model = scheduling.get("provisioningModel")
    model = model or ("SPOT" if scheduling.get("preemptible") else "STANDARD")
    spot = model == "SPOT"
    addresses = fields_of.addresses(instance)
    shown_disks = [_disk(disk, instance) for disk in disks]
    kept = [source.disk_part(one["size_gb"], one["type"], region) for one in shown_disks]
    kept += left
    stopped_parts = list(kept)
    external = addresses["external"]
    if external and (status in GONE or external in [one["address"] for one in static]):
        # An address that a stopped instance still has is a reserved one.
        stopped_parts.append(source.address_part(region, in_use=False))
    parts = stopped_parts
    if status not in GONE:
        parts = [*source.machine_parts(machine, gpus, region), *kept]
        parts += [source.address_part(region)] if external else []
    since = instance.get("lastStopTimestamp" if status in GONE else "lastStartTimestamp")
    return head | {
        "exists": True,
        "status": status,
        "machine_type": machine,
        "provisioning_model": model,
        "since": since or instance.get("creationTimestamp"),
        "created": instance.get("creationTimestamp"),
        "stopped": own_stop,
        "gpus": gpus,
        "addresses": addresses,
        "disks": shown_disks,
        "loose_disks": loose,
        "static_addresses": static,
        "rules": [_rule(rule, project) for rule in own],
        "cost": _priced(parts, spot),
        "cost_while_stopped": _priced(stopped_parts, spot),
        "prices": source.about(),
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    """The report for people."""
    where = f"{found['name']} in {found['zone']}, project {found['project']}"
    rules = [
        f"rule {rule['name']}: {', '.join(rule['allowed'])} from "
        f"{', '.join(rule['source_ranges']) or 'nowhere'}{' (off)' if rule['disabled'] else ''}"
        for rule in found["rules"]
    ]
    left = [
        f"disk {one['name']}: {one['size_gb']} GB {one['type']}, used by nothing"
        f"{' in ' + one['zone'] if one['zone'] not in ('', found['zone']) else ''}"
        for one in found["loose_disks"]
    ]
    left += [
        f"static address {one['name']} in {one['region']}: {one['address']}, "
        f"{'in use' if one['in_use'] else 'not used'}"
        for one in found["static_addresses"]
    ]
    if not found["exists"]:
        text = [f"There is no instance {where}.", *left, *rules]
        return [*text, f"costs now: {costs.said(found['cost'])}"] if left else text
    gpus = ", ".join(f"{one['count']} x {one['type']}" for one in found["gpus"]) or "no GPU"
    kind = f"{found['machine_type']}, {gpus}, {found['provisioning_model']}"
    text = [
        f"instance {where}: {found['status']} since {found['since']} ({kind})",
        *([found["stopped"]["line"]] if found["stopped"] else []),
        f"addresses: external {found['addresses']['external'] or 'none'}, "
        f"internal {found['addresses']['internal'] or 'none'}",
        *(f"disk {one['name']}: {one['size_gb']} GB {one['type']}" for one in found["disks"]),
        *left,
        *rules,
        f"costs now: {costs.said(found['cost'])}",
    ]
    if found["provisioning_model"] in costs.NOTES:
        text.append(costs.NOTES[found["provisioning_model"]])
    if found["status"] not in GONE:
        text.append(f"would cost while stopped: {costs.said(found['cost_while_stopped'])}")
    return [*text, found["prices"]["text"]]


def own_rules(name: str) -> set[str]:
    """Names of the firewall rules that a deployment makes."""
    return {f"{name}-{which}" for which in ("api", "ssh", "dashboard")}


def deleted(found: Mapping[str, Any]) -> list[str]:
    """What destroying it deletes, and what stays behind; empty where there is nothing."""
    prefix = found["name"]
    text = []
    if found["exists"]:
        text.append(f"instance {prefix} ({found['status']})")
        for disk in found["disks"]:
            fate = "" if disk["deleted_with_instance"] else " stays, and goes on costing"
            text.append(f"disk {disk['name']} ({disk['size_gb']} GB){fate}")
    text += [
        f"static address {one['name']} ({one['address']}, {one['region']})"
        for one in found["static_addresses"]
    ]
    own = own_rules(prefix)
    return text + [f"firewall rule {r['name']}" for r in found["rules"] if r["name"] in own]


def _priced(parts: list[dict[str, Any]], spot: bool) -> dict[str, Any]:
    # It is there, however Google sells such machines: what it costs at most is known.
    model: costs.Model = "spot" if spot else "at_most"
    items = [{"what": part["what"], "price": part[model], "dated": part["dated"]} for part in parts]
    return {"items": items, **costs.total(parts, model)}


def _applies(rule: Mapping[str, Any], instance: Mapping[str, Any] | None, name: str) -> bool:
    """By its name one of ours, or in effect for the instance, which Google decides by tags."""
    if rule.get("direction", "INGRESS") != "INGRESS":
        return False
    if rule.get("name") in own_rules(name):
        return True
    if instance is None:
        return False
    networks = {
        naming.relative(str(one.get("network"))) for one in instance.get("networkInterfaces") or []
    }
    if naming.relative(str(rule.get("network"))) not in networks:
        return False
    tags = set((instance.get("tags") or {}).get("items") or [])
    accounts = {one.get("email") for one in instance.get("serviceAccounts") or []}
    if rule.get("targetServiceAccounts"):
        return bool(accounts & set(rule["targetServiceAccounts"]))
    return not rule.get("targetTags") or bool(tags & set(rule["targetTags"]))


def _rule(rule: Mapping[str, Any], project: str) -> dict[str, Any]:
    view = firewall.view(rule, project)
    entries = firewall.normal_allowed(rule.get("denied") or rule.get("allowed"))
    return {
        "name": rule["name"],
        "action": view["action"],
        "priority": view["priority"],
        "disabled": view["disabled"],
        "source_ranges": view["source_ranges"],
        "source_tags": view["source_tags"],
        "target_tags": view["target_tags"],
        "allowed": [
            f"{'deny ' if view['action'] == 'deny' else ''}{one['protocol']}"
            + (f" {','.join(one['ports'])}" if one["ports"] else "")
            for one in entries
        ],
    }


def _loose_disk(disk: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": disk["name"],
        "size_gb": int(disk.get("sizeGb", 0)),
        "type": naming.short(str(disk.get("type", ""))),
        "zone": naming.short(str(disk.get("zone", ""))),
    }


def _static(address: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": address["name"],
        "address": address.get("address"),
        "region": naming.short(str(address.get("region", ""))),
        "in_use": address.get("status") == "IN_USE",
    }


def _disk(disk: Mapping[str, Any], instance: Mapping[str, Any]) -> dict[str, Any]:
    link = naming.relative(str(disk.get("selfLink", "")))
    attached = next(
        one
        for one in instance.get("disks") or []
        if naming.relative(str(one.get("source"))) == link
    )
    return {
        "name": disk["name"],
        "size_gb": int(disk.get("sizeGb", 0)),
        "type": naming.short(str(disk.get("type", ""))),
        "boot": bool(attached.get("boot")),
        "deleted_with_instance": bool(attached.get("autoDelete")),
    }
