# SPDX-License-Identifier: Apache-2.0
"""Runs a playbook in check mode and tells what it would change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.host import gpu_findings
from ..plugin_utils import drift
from ..plugin_utils.command_line import asking, options
from ..plugin_utils.secret_options import secret_values

DISPLAY = Display()


def command_line(site: str, tags: Iterable[str], cli: Mapping[str, Any]) -> list[str]:
    """The inner run: always --check, never able to ask a person."""
    arguments = [sys.executable, "-m", "ansible", "playbook", site, "--check", "--diff"]
    arguments.append(f"--tags={','.join(tags)}")
    # A stop by the schedule, or of its own, is no drift. First, so that the caller's own word wins.
    arguments += [
        '--extra-vars={"gce_instance_start_outside_schedule": false}',
        '--extra-vars={"gce_instance_start_when_idle": false}',
    ]
    return arguments + options(cli)


def environment(records: Path) -> dict[str, str]:
    """That of this run, with the callback that keeps records."""
    kept = {key: v for key, v in os.environ.items() if key != "GCE_VLLM_SUMMARY_FILE"}
    if constants.CONFIG_FILE:
        kept["ANSIBLE_CONFIG"] = str(constants.CONFIG_FILE)
    return kept | {
        "ANSIBLE_CALLBACKS_ENABLED": "llmops.gce_vllm.drift_records",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(constants.COLLECTIONS_PATHS),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        # A difference is named after a module's arguments, which ansible-core 2.21 leaves out.
        "ANSIBLE_INJECT_INVOCATION": "1",
        "GCE_VLLM_DRIFT_RECORDS": str(records),
    }


def judge(kept: Mapping[str, Any] | None, code: int, output: str) -> dict[str, Any]:
    """Records of the inner run, its exit status and output to the report.

    Args:
        kept: None where the run ended before it could write any.
    """
    records = kept["records"] if kept else []
    found, errors = drift.differences(records), drift.errors(records)
    # Preflight compares nothing, and its check of the settings runs without any cloud too.
    roles = set((kept or {}).get("roles", [])) - {"preflight"}
    looked = {drift.LAYER_OF_ROLE.get(role) for role in roles}
    layers = {layer: layer in looked for layer in drift.LAYERS}
    if not errors and (kept is None or (code and not found)):
        last = "\n".join(output.strip().splitlines()[-15:])
        errors.append(_error(f"The check ended with status {code}. Its last words:\n{last}"))
    cloud_differs = any(one["layer"] == "cloud" for one in found)
    resting = bool((kept or {}).get("resting"))
    blind = not (layers["host"] and layers["service"])
    if not errors and not cloud_differs and blind and not resting:
        errors.append(
            _error(
                "No host in the group llm_servers was looked at, though nothing is wrong with "
                "the instance: see `ansible-inventory --graph`."
            )
        )
    status = "error" if errors else "drift" if found else "clean"
    return {
        "status": status,
        "checked_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "layers_checked": layers,
        "at_rest": list((kept or {}).get("at_rest", [])),
        "differences": found,
        "errors": errors,
        "gpu_findings": [
            {"host": host, **one}
            for host, findings in (kept or {}).get("gpu_findings", {}).items()
            for one in findings
        ],
    }


def lines(report: Mapping[str, Any]) -> list[str]:
    """The report for people."""
    text = [f"status: {report['status']}", *drift.table(report["differences"])]
    text += [
        f"error ({one['layer'] or 'run'}, {one['host'] or 'controller'}): {one['message']}"
        for one in report["errors"]
    ]
    text += [f"{one['host']}: {gpu_findings.line(one)}" for one in report["gpu_findings"]]
    text += report["at_rest"]
    skipped = [layer for layer, done in report["layers_checked"].items() if not done]
    return text + ([f"not looked at: {', '.join(skipped)}"] if skipped else [])


def _verdict(report: Mapping[str, Any]) -> str:
    if report["status"] == "clean":
        return "Everything is as the settings say."
    return (
        f"{len(report['differences'])} differences and {len(report['errors'])} errors, listed "
        "above. Nothing was changed; playbooks/site.yml puts differences right."
    )


def _error(message: str) -> dict[str, str]:
    return {"layer": "", "host": "", "task": "", "message": message}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs on the controller; the hosts are only read."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Report what differs; fails unless all is as it should be."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args, cli = self._task.args, context.CLIARGS
        option = asking(cli)
        if option:
            raise AnsibleActionFail(
                f"The check can't ask for a password: give it in a file ({option})."
            )
        site = Path(args["site"])
        with tempfile.TemporaryDirectory(prefix="gce-vllm-drift-") as folder:
            records = Path(folder) / "records.json"
            done = subprocess.run(
                command_line(str(site), args["tags"], cli),
                env=environment(records),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            kept = json.loads(records.read_text(encoding="utf-8")) if records.exists() else None
        report = judge(kept, done.returncode, done.stdout)
        # Values that must not be shown even if a task shows them by mistake.
        hostvars = (task_vars or {}).get("hostvars", {})
        report = remove_values(report, secret_values(site.parent.parent / "roles", hostvars))
        if args.get("output"):
            target = Path(args["output"]).expanduser()
            part = target.with_name(target.name + ".part")
            part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            part.replace(target)
        clean = report["status"] == "clean"
        # Ansible would wrap the columns of a result.
        for line in lines(report):
            DISPLAY.display(line)
        result.update(changed=False, failed=not clean, report=report, msg=_verdict(report))
        return result
