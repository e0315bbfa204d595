# SPDX-License-Identifier: Apache-2.0
"""Puts together what was read of all hosts, and writes it down."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.reports import deployment
from ..plugin_utils.benchmark_found import newest
from ..plugin_utils.bill_of_materials import LIBRARY, bill, manifest_of
from ..plugin_utils.hiding import without_secrets
from ..plugin_utils.report_page import page
from ..plugin_utils.secret_options import secret_values

Json = dict[str, Any]
#: What is read of a host: the variable that a task of report.yml leaves, and what of its result.
READ = {
    "facts": ("__report_facts", "ansible_facts"),
    "samples": ("__report_metrics", "samples"),
    "packages": ("__report_packages", "packages"),
    "usage": ("__report_usage", "rows"),
    "gpu": ("__gpu_host_state", "status"),
    "plan": ("__preflight_fit", "plan"),
}
#: Their whole result counts, and not the field that it is known by.
WHOLE = ("usage", "gpu", "plan")


def read_host(name: str, variables: Mapping[str, Any]) -> Json:
    """What the plays left of one host, as `reports.deployment` takes it."""
    reached = variables.get("__report_reached") or {}
    found: Json = {
        "host": name,
        "reached": "ping" in reached,
        "why": first_line(reached.get("msg")),
    }
    for what, (variable, field) in READ.items():
        result = variables.get(variable) or {}
        there = field in result and not result.get("failed")
        found[what] = (result if what in WHOLE else result[field]) if there else None
        found[f"{what}_why"] = first_line(result.get("msg"))
    if found["plan"] is None:
        found["plan"] = {"msg": found["plan_why"]}
    return found


def first_line(text: object) -> str:
    """Of a message, which may be a page."""
    lines = str(text or "").strip().splitlines()
    return lines[0][:300] if lines else ""


def manifest(variables: Mapping[str, Any]) -> Json | None:
    """The list of the model's files on a host."""
    content = (variables.get("__report_manifest") or {}).get("content")
    return manifest_of(base64.b64decode(content).decode("utf-8", "replace")) if content else None


def price(given: float | None, instances: list[Json], host: str) -> float | None:
    """USD an hour of one host."""
    if given is not None:
        return float(given)
    found = [one["cost"]["hourly"] for one in instances if one["name"] == host]
    return found[0] if found else None


def save(path: Path, text: str) -> str:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return str(path)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs on the controller, and writes there."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the files; what could not be read is said in them."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args, hostvars = self._task.args, (task_vars or {}).get("hostvars", {})
        hosts = [(name, read_host(name, hostvars[name])) for name in args["hosts"]]
        document = self._document(args, hostvars, [one for _, one in hosts])
        secrets = secret_values(Path(args["roles_dir"]), hostvars)
        folder = Path(args["output"]).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for (name, one), shown in zip(hosts, document["hosts"], strict=True):
            if not one["packages"]:
                continue
            known = without_secrets(
                {**shown, "packages": one["packages"], "files": manifest(hostvars[name])}, secrets
            )
            try:
                text, number = bill(known, known["files"])
            except ImportError:
                document["missing"].append(
                    f"There are no lists of components: the Python that runs Ansible here has no "
                    f"{LIBRARY} (pip install {LIBRARY})."
                )
                break
            files.append(save(folder / f"sbom-{Path(name).name}.cdx.json", text))
            document["components"].append(
                {"host": name, "number": number, "file": Path(files[-1]).name}
            )
        document = without_secrets(document, secrets)
        files.insert(0, save(folder / "report.json", json.dumps(document, indent=2) + "\n"))
        files.insert(0, save(folder / "report.html", page(str(args["template"]), document)))
        result.update(
            changed=False, files=files, summary=[*document["summary"], *document["missing"]]
        )
        return result

    @staticmethod
    def _document(args: Json, hostvars: Mapping[str, Any], hosts: list[Json]) -> Json:
        statuses = [
            (hostvars[name].get("gce_instance_status") or {}).get("report")
            for name in args.get("clouds") or []
        ]
        instances = [one for one in statuses if one]
        given = args.get("hour_price")
        found = {
            "name": args["name"],
            "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "hosts": hosts,
            "instances": instances,
            "checklist": args.get("checklist") or None,
            "drift": args.get("drift") or None,
            "prices": {one["host"]: price(given, instances, one["host"]) for one in hosts},
            "benchmarks": {
                one["host"]: newest(Path(args["benchmarks"]), one["host"]) for one in hosts
            },
        }
        made: Json = deployment.document(found)
        return made
