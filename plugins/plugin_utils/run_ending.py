# SPDX-License-Identifier: Apache-2.0
"""What a run ends with: endpoint, what exists and costs, and what to type next."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..filter.api_url import api_url
from ..module_utils.gce import naming

QUESTION = "What is the capital of France?"
COLLECTION = "llmops.gce_vllm"
AFTER_A_FAILURE = "Fix what the error names, then run the same command."


def curl_line(deployment: Mapping[str, Any]) -> str:
    """A command that works as printed. It reads the API key from its file."""
    body = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 32, "temperature": 0}
    words = ["curl -s", shlex.quote(f"{deployment['endpoint']}/v1/chat/completions")]
    if deployment.get("ca_file"):
        words.append(f"--cacert {shlex.quote(str(deployment['ca_file']))}")
    words.append("-H 'Content-Type: application/json'")
    if deployment.get("api_key_file"):
        key = shlex.quote(str(deployment["api_key_file"]))
        words.append(f'-H "Authorization: Bearer $(cat {key})"')
    return " ".join([*words, f"-d {shlex.quote(json.dumps(body))}"])


@dataclass(frozen=True)
class Commands:
    """Playbooks as this user calls them.

    Attributes:
        playbook: the one that runs, as it was typed.
        inventories: those that were named on the command line.
        names: whether deployments were named on the command line.
    """

    playbook: str
    inventories: Sequence[str] = ()
    names: bool = False

    def line(self, name: str, deployment: str = "") -> str:
        """The command line for another playbook of the collection."""
        words = ["ansible-playbook"]
        for one in self.inventories:
            inside = os.path.relpath(one) if "," not in one else one
            words += ["-i", one if inside.startswith("..") else inside]
        beside = Path(self.playbook).with_name(f"{name}.yml")
        words.append(str(beside) if beside.exists() else f"{COLLECTION}.{name}")
        if self.names and deployment:
            words += ["-e", f"gce_name={deployment}"]
        return shlex.join(words)


@dataclass
class Instances:
    """What the results of modules told of instances, the last word of each.

    Attributes:
        found: by name; None where there is none.
        asked: names that Google was asked to create or start, while the answer is unknown.
    """

    found: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def see(self, action: str, result: Mapping[str, Any]) -> None:
        """Learn from the result of one task, or of one turn of its loop."""
        if action.rpartition(".")[2] not in ("gce_instance", "gce_instance_info"):
            return
        for one in result.get("results") or [result]:
            if isinstance(one, Mapping):
                self._see_one(one)

    def _see_one(self, result: Mapping[str, Any]) -> None:
        called = ((result.get("invocation") or {}).get("module_args") or {}).get("name")
        instance = result.get("instance")
        name = (instance or {}).get("name") or called
        if not name:
            return
        if result.get("failed"):
            outcomes = {str(one.get("outcome")) for one in result.get("attempts") or []}
            if outcomes & {"created", "started"}:
                self.asked.add(name)
            return
        if "instance" in result:
            self.asked.discard(name)
            self.found[name] = _instance(instance, result) if instance else None


def _instance(instance: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    interfaces = instance.get("networkInterfaces") or [{}]
    outside = (interfaces[0].get("accessConfigs") or [{}])[0].get("natIP")
    where = naming.short(str(instance.get("zone") or result.get("zone") or ""))
    return {
        "status": instance.get("status", ""),
        "zone": where,
        "machine_type": naming.short(str(instance.get("machineType", ""))),
        "address": outside or interfaces[0].get("networkIP") or "",
    }


def merged(deployments: Mapping[str, Any], instances: Instances) -> dict[str, dict[str, Any]]:
    """What tasks said of each deployment, and what the results of modules say of its instance."""
    whole = {name: dict(told) for name, told in deployments.items()}
    for name, instance in instances.found.items():
        if instance:
            known = whole.setdefault(name, {})
            known.update(instance)
        elif name in whole:
            whole[name]["status"] = ""
    for name in instances.asked:
        whole.setdefault(name, {}).setdefault("asked", True)
    for known in whole.values():
        address = known.get("address")
        if "endpoint" not in known and known.get("port") and address:
            known["endpoint"] = api_url(address, known["port"], known.get("ca_file"))
    return whole


def lines(name: str, known: Mapping[str, Any], commands: Commands, *, failed: bool) -> list[str]:
    """What is said of one deployment."""
    status = known.get("status")
    own = known.get("own_machine", False)
    if not own and not status:
        return _unknown(name, known, commands)
    rows: list[tuple[str, str]] = []
    running = own or status == "RUNNING"
    if failed or not running:
        rows.append(("Instance", _described(name, known)))
    if running and not failed and known.get("endpoint"):
        rows.append(("Endpoint", known["endpoint"]))
        if known.get("api_key_file"):
            rows.append(("API key", f"in the file {known['api_key_file']}"))
        rows.append(("Try it", curl_line(known)))
    if known.get("cost") and not own:
        rows.append(("Cost", known["cost"] if running else "its disks go on costing"))
    if not own:
        if running:
            stop = f"{commands.line('stop', name)} (its disk stays and costs)"
            rows.append(("Stop it", stop))
        else:
            rows.append(("Start it", commands.line("start", name)))
        if failed:
            rows.append(("Delete it", commands.line("destroy", name)))
    return [f"{title:<10} {text}" for title, text in rows]


def short_lines(known: Mapping[str, Any]) -> list[str]:
    """What is said of one that needed nothing."""
    if not known.get("endpoint") or known.get("status", "RUNNING") != "RUNNING":
        return []
    key = f"   key in {known['api_key_file']}" if known.get("api_key_file") else ""
    cost = [f"{'Cost':<10} {known['cost']}"] if known.get("cost") else []
    return [f"{'Endpoint':<10} {known['endpoint']}{key}", *cost]


def _described(name: str, known: Mapping[str, Any]) -> str:
    if known.get("own_machine"):
        return f"{name}, a machine of yours"
    kind = f", {known['machine_type']}" if known.get("machine_type") else ""
    where = f", at {known['address']}" if known.get("address") else ""
    return f"{name} is {known['status']} in {known.get('zone', '')}{kind}{where}"


def _unknown(name: str, known: Mapping[str, Any], commands: Commands) -> list[str]:
    if known.get("asked"):
        text = f"{name} may exist and cost. To see it: {commands.line('status', name)}"
        return [f"{'Instance':<10} {text}"]
    if known.get("status") == "":
        return [f"{'Instance':<10} There is no instance {name}, so it costs nothing."]
    return []
