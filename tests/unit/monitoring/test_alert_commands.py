# SPDX-License-Identifier: Apache-2.0
"""An alert's command is the step that the same trouble asks for where a playbook finds it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import gpu_findings, nvidia_xid
from ansible_collections.llmops.gce_vllm.plugins.module_utils.logs import question, report

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


#: A line of the server's log, as tests/fixtures/journal has it.
REQUEST = {
    "request_id": "a",
    "key": "partner",
    "method": "POST",
    "path": "/v1/chat/completions",
    "status": 200,
    "tokens_in": 31000,
    "tokens_out": 20,
    "time_to_first_token_s": 3.25,
    "queue_s": 2.5,
    "total_s": 4.0,
}


def test_of_a_slow_first_token_its_parts_are_shown() -> None:
    """Where it waited for a place, how long its prompt was, and whose it was."""
    rule = ALERTS["LLMFirstTokenSlow"]
    program, playbook, *options = shlex.split(rule["annotations"]["command"])
    assert (program, playbook) == ("ansible-playbook", "playbooks/logs.yml")
    assert options[::2] == ["-e"] * len(options[::2])
    settings = dict(one.split("=", 1) for one in options[1::2])
    assert question.problems(settings, 1e9) == []
    # The ten minutes of its rate, and as long as it waits before it fires.
    assert "p95_10m" in rule["expr"] and rule["for"] == "10m"
    assert 1e9 - question.moment(settings["logs_since"], 1e9) >= 20 * 60
    line = report.of_request(REQUEST)
    for part in ("key partner", "31000 tokens in", "first token 3.250 s", "queue 2.500 s"):
        assert part in line
