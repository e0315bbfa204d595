# SPDX-License-Identifier: Apache-2.0
"""What there is of one server on Compute Engine and what it costs: resources to a report. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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
    source = prices or costs.Table()
    region = naming.region_of(zone)
    loose = [_loose_disk(one) for one in loose_disks]
    static = [_static(one) for one in reserved]
    view = _MISSING if instance is None else _existing(instance, disks, own_stop)
    left = _left_over(source, zone, loose, static)
    now, stopped = _parts(source, region, view, left, {one["address"] for one in static})
    spot = view["provisioning_model"] == "SPOT"
    return {
        "project": project,
        "zone": zone,
        "name": name,
        **view,
        "loose_disks": loose,
        "static_addresses": static,
        "rules": [_rule(rule, project) for rule in rules if _applies(rule, instance, name)],
        "cost": _priced(now, spot),
        "cost_while_stopped": _priced(stopped, spot),
        "prices": source.about(),
    }


#: What a report says of an instance that is not there.
_MISSING: Mapping[str, Any] = {
    "exists": False,
    "status": "MISSING",
    **dict.fromkeys(("machine_type", "provisioning_model", "since", "created", "stopped")),
    "gpus": [],
    "addresses": fields_of.addresses(None),
    "disks": [],
}


def _existing(
    instance: Mapping[str, Any],
    disks: Iterable[Mapping[str, Any]],
    own_stop: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What a report says of an instance that exists, with the keys of `_MISSING`."""
    machine = naming.short(str(instance.get("machineType", "")))
    attached = fields_of.accelerators(instance.get("guestAccelerators"))
    status = str(instance.get("status"))
    scheduling = instance.get("scheduling") or {}
    unnamed = "SPOT" if scheduling.get("preemptible") else "STANDARD"
    since = instance.get("lastStopTimestamp" if status in GONE else "lastStartTimestamp")
    created = instance.get("creationTimestamp")
    return {
        "exists": True,
        "status": status,
        "machine_type": machine,
        "provisioning_model": scheduling.get("provisioningModel") or unnamed,
        "since": since or created,
        "created": created,
        "stopped": own_stop,
        "gpus": machine_types.bundled(machine) or attached,
        "addresses": fields_of.addresses(instance),
        "disks": [_disk(disk, instance) for disk in disks],
    }


def _left_over(
    source: costs.Prices,
    zone: str,
    loose: Iterable[Mapping[str, Any]],
    static: Iterable[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Prices of the disks and addresses that no instance uses."""
    disks = [
        source.disk_part(one["size_gb"], one["type"], naming.region_of(one["zone"] or zone))
        for one in loose
    ]
    unused = [one for one in static if not one["in_use"]]
    region = naming.region_of(zone)
    return disks + [source.address_part(region, in_use=False) for _ in unused]


def _parts(
    source: costs.Prices,
    region: str,
    view: Mapping[str, Any],
    left: list[dict[str, Any]],
    reserved: Collection[str | None],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is paid for now, and what while the instance is stopped, with prices.

    Args:
        left: what is paid for besides the instance.
        reserved: static addresses.
    """
    disks = [source.disk_part(one["size_gb"], one["type"], region) for one in view["disks"]]
    kept = disks + left
    gone = not view["exists"] or view["status"] in GONE
    external = view["addresses"]["external"]
    stopped = list(kept)
    if external and (gone or external in reserved):
        # An address that a stopped instance still has is a reserved one.
        stopped.append(source.address_part(region, in_use=False))
    if gone:
        return stopped, stopped
    now = [*source.machine_parts(view["machine_type"], view["gpus"], region), *kept]
    return now + ([source.address_part(region)] if external else []), stopped


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
    return {f"{name}-{which}" for which in ("api", "ssh", "dashboard", "acme")}


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
