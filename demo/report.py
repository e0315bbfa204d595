# SPDX-License-Identifier: Apache-2.0
"""What a run of the demo ends with: summary.json for scripts, a page for people."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from demo import paths, tunnel
from demo.settings import INSTANCE, PROJECT, ZONE, Settings


@dataclass(frozen=True)
class Outcome:
    """What is known after the playbook ended.

    Attributes:
        run: what the run_summary callback wrote.
        address: where the instance answers.
        before: seconds of the steps before the playbook, by name.
    """

    run: dict[str, Any]
    address: str
    before: dict[str, float]


def summary(settings: Settings, outcome: Outcome) -> dict[str, Any]:
    """The content of summary.json."""
    known = outcome.run["deployments"][INSTANCE]
    return {
        "endpoint": known["endpoint"],
        "api_key_file": known["api_key_file"],
        "try_it": known["try_it"],
        "dashboard": settings.dashboard,
        "ca_file": None,
        "emulator": settings.url,
        "project": PROJECT,
        "zone": ZONE,
        "instance": INSTANCE,
        "ssh": " ".join(["ssh", *tunnel.login(outcome.address)]),
        "changed": outcome.run["changed"],
        "phases": {**outcome.before, **outcome.run["phases"]},
        "checklist": outcome.run["stats"].get("checklist", {}),
    }


def save(document: dict[str, Any]) -> None:
    """Write summary.json whole or not at all."""
    part = paths.SUMMARY.with_name("summary.json.part")
    part.write_text(json.dumps(document, indent=2) + "\n")
    part.replace(paths.SUMMARY)


def show(document: dict[str, Any]) -> None:
    """Print what the run itself does not end with."""
    mark = {True: "ok", False: "FAILED", None: "--"}
    changed = sum(document["changed"].values())
    lines = ["", "Checklist:"]
    lines += [
        f"  {mark[line['ok']]:<7} {item:<13} {line['evidence']}"
        for item, line in document["checklist"].items()
    ]
    lines += ["", "Built (in an emulated Compute Engine):"]
    lines += [
        f"  instance {document['instance']} in {document['zone']} of {document['project']}, "
        f"rules {document['instance']}-api and {document['instance']}-ssh",
        f"  tasks that changed something in this run: {changed}",
        "",
        "Seconds:   " + ", ".join(f"{k} {v:.1f}" for k, v in document["phases"].items()),
        "",
        f"Dashboard     {document['dashboard']}",
        f"              log in with the key in {document['api_key_file']}",
        f"Look around   {document['ssh']}",
        "              make demo-status",
        "Stop          ansible-playbook -i inventories/demo playbooks/stop.yml",
        "Start again   make demo",
        "Clean up      make demo-destroy",
        "",
    ]
    sys.stdout.write(os.linesep.join(lines))
