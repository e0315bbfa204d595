# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.plan_lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..module_utils.gce import naming

DOCUMENTATION = r"""
name: plan_lines
short_description: What a run would create, change and keep, as a table
version_added: 0.2.0
description:
  - Compares what a plan asks for with what there is. C(+) is created, C(~) is changed, C(=) is
    kept.
  - Meant for the role C(preflight).
positional: instance, rules
options:
  _input:
    description: The plan, with C(name), C(zone), C(machine_type), C(gpus) and
      C(provisioning_model). For disks, it has C(boot_disk), C(boot_disk_gb) and C(disks). For the
      network, it has C(rules), C(network) and C(network_created). C(facts) are lines without a
      mark.
    type: dict
    required: true
  instance:
    description: The instance as the API shows it; null where there is none.
    type: dict
    required: true
  rules:
    description: Firewall rules that there are, as the API shows them.
    type: list
    elements: dict
    required: true
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ plan | llmops.gce_vllm.plan_lines(found.instance, found.rules) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

Row = tuple[str, str, str]


def plan_lines(
    plan: Mapping[str, Any],
    instance: Mapping[str, Any] | None,
    rules: Iterable[Mapping[str, Any]],
) -> list[str]:
    """The plan as a table, a line a thing."""
    there = {str(rule["name"]): rule for rule in rules}
    made = plan["network_created"]
    rows: list[Row] = [
        _instance_row(plan, instance),
        _boot_disk_row(plan, instance),
        *(_disk_row(disk, instance) for disk in plan["disks"]),
        *(_rule_row(rule, there.get(rule["name"])) for rule in plan["rules"]),
        (" " if made else "=", "network", f"{plan['network']}{', made for this' if made else ''}"),
        *((" ", what, text) for what, text in plan["facts"].items() if text),
    ]
    return [f"{mark} {what:<10} {text}".rstrip() for mark, what, text in rows]


def _instance_row(plan: Mapping[str, Any], instance: Mapping[str, Any] | None) -> Row:
    kind = f"{plan['machine_type']}, {plan['gpus']}, {plan['provisioning_model']}"
    text = f"{plan['name']} in {plan['zone']}: {kind}"
    if instance is None:
        return "+", "instance", text
    differences = []
    now = naming.short(str(instance.get("machineType", "")))
    if now != plan["machine_type"]:
        differences.append(f"is a {now}")
    model = (instance.get("scheduling") or {}).get("provisioningModel", "STANDARD")
    if model != plan["provisioning_model"]:
        differences.append(f"is {model}")
    if instance.get("status") != "RUNNING":
        differences.append(f"is {instance.get('status')}")
    return ("~" if differences else "="), "instance", ", ".join([text, *differences])


def _boot_disk_row(plan: Mapping[str, Any], instance: Mapping[str, Any] | None) -> Row:
    if instance is None:
        return "+", "boot disk", plan["boot_disk"]
    boot: Mapping[str, Any] = next(
        (one for one in instance.get("disks") or [] if one.get("boot")), {}
    )
    size = int(boot.get("diskSizeGb") or 0)
    if size and size < int(plan["boot_disk_gb"]):
        return "~", "boot disk", f"{plan['boot_disk']}, has {size} GB"
    return "=", "boot disk", plan["boot_disk"]


def _disk_row(disk: Mapping[str, Any], instance: Mapping[str, Any] | None) -> Row:
    attached = {
        naming.short(str(one.get("source", ""))) for one in (instance or {}).get("disks") or []
    }
    size = f", {disk['size_gb']} GB" if disk.get("size_gb") else ""
    kind = f" {disk['type']}" if disk.get("type") else ""
    return ("=" if disk["name"] in attached else "+"), "disk", f"{disk['name']}{size}{kind}"


def _rule_row(rule: Mapping[str, Any], there: Mapping[str, Any] | None) -> Row:
    text = f"{rule['name']}: TCP {rule['port']} from {', '.join(rule['ranges'])}"
    if there is None:
        return "+", "firewall", text
    now = sorted(there.get("sourceRanges") or [])
    ports = [port for one in there.get("allowed") or [] for port in one.get("ports") or []]
    if now != sorted(rule["ranges"]):
        return "~", "firewall", f"{text}, is from {', '.join(now) or 'nowhere'}"
    if ports != [str(rule["port"])]:
        return "~", "firewall", f"{text}, is for {', '.join(ports) or 'all ports'}"
    return "=", "firewall", text


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"plan_lines": plan_lines}
