# SPDX-License-Identifier: Apache-2.0
"""An alert's command is the step that the same trouble asks for where a playbook finds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import gpu_findings, nvidia_xid

ROOT = Path(__file__).parents[3]
RULES = yaml.safe_load((ROOT / "files/prometheus/llm-rules.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]
          if "alert" in rule}  # fmt: skip
#: What each asks for, by NVIDIA's catalog: of an Xid error the alert's own label says it.
ASKED = {
    **{
        name: found[1]
        for name, rule in ALERTS.items()
        if (found := re.search(r'llm_gpu_xid_\w+\{action="([^"]+)"\}', rule["expr"]))
    },
    "GPUMemoryWornOut": nvidia_xid.CATALOG[64].action,
}
STEP = re.compile(r"\breboot\b|\b(?:stop|start)\.yml")


@pytest.mark.parametrize("alert", ASKED)
def test_an_alert_of_a_gpu_and_a_finding_ask_for_the_same(alert: str) -> None:
    action = ASKED[alert]
    told = gpu_findings.line({"gpu": "", "text": "", "action": action})
    command = ALERTS[alert]["annotations"]["command"]
    assert STEP.findall(command) == STEP.findall(told)
    assert bool(STEP.findall(told)) is (action != nvidia_xid.GO_ON)


def test_there_is_an_alert_for_each_action() -> None:
    assert {*ASKED.values()} == {one.action for one in nvidia_xid.CATALOG.values()}
