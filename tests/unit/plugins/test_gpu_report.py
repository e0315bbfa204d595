# SPDX-License-Identifier: Apache-2.0
"""Results of gpu_info to the lines of status.yml, and to those of drift.yml."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.action import drift
from ansible_collections.llmops.gce_vllm.plugins.callback.drift_records import CallbackModule
from ansible_collections.llmops.gce_vllm.plugins.filter.gpu_report import gpu_report
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import (
    gpu_findings,
    gpu_health,
    gpu_probe,
)

from tests.unit.plugins.test_broken_hosts import H100, answering

L4 = {"name": "NVIDIA L4"}
XID = {"gpu": "0000:00:04", "kind": "xid", "text": "Xid 109 (1 times), hung", "action": "reset"}
HOT = {"gpu": "0000:00:05", "kind": "throttling", "text": "it is too hot", "action": "go on"}
LOST = "Only 7 of the machine type's 8 GPUs answer. Move it."
OF_XID = "GPU 0000:00:04: the kernel's log has Xid 109 (1 times), hung: reboot the host."


def answer(*findings: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"status": "ok", "gpus": [L4, L4], "problems": [], "findings": list(findings), **more}


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        (answer(), ["GPUs of a: 2 x NVIDIA L4, nothing found"]),
        (
            answer(XID),
            [
                "GPUs of a: 2 x NVIDIA L4",
                "GPU 0000:00:04: Xid 109 (1 times), hung: reset (reboot the host)",
            ],
        ),
        # What no finding tells comes first, whatever else was found.
        (
            answer(XID, HOT, problems=[OF_XID, LOST]),
            [
                "GPUs of a: 2 x NVIDIA L4",
                LOST,
                "GPU 0000:00:04: Xid 109 (1 times), hung: reset (reboot the host)",
                "GPU 0000:00:05: it is too hot: go on",
            ],
        ),
        # A fault that is no finding is a person's to fix.
        (
            answer(status="no_driver", gpus=[], problems=["There is no driver."]),
            ["GPUs of a: none answers", "There is no driver."],
        ),
        ({"unreachable": True}, ["GPUs of a: not looked at, the host does not answer by SSH"]),
        ({"failed": True, "msg": "No Python"}, ["GPUs of a: not looked at, No Python"]),
    ],
)
def test_lines_of_a_host(result: dict[str, Any], lines: list[str]) -> None:
    found = gpu_report({"a": result})
    assert found["lines"] == lines
    [host] = found["hosts"]
    assert host["looked_at"] is ("findings" in result)
    assert host["findings"] == result.get("findings", [])


AILMENTS = {
    "spare rows": ("remapped_row_failure>No<", "remapped_row_failure>Yes<"),
    "rows": ("remapped_row_pending>No<", "remapped_row_pending>Yes<"),
    "cells": ("<dram_uncorrectable>0<", "<dram_uncorrectable>2<"),
    "sram": ("<sram_threshold_exceeded>No<", "<sram_threshold_exceeded>Yes<"),
    "recovery": ("recovery_action>None<", "recovery_action>Reset<"),
}


@pytest.mark.parametrize("name", AILMENTS)
def test_nothing_is_told_twice(name: str) -> None:
    was, becomes = AILMENTS[name]
    assert was in H100
    facts = gpu_probe.collect(answering(H100.replace(was, becomes, 1)))
    assert (len(facts["problems"]), len(facts["findings"])) == (1, 1)
    [_head, line] = gpu_report({"a": facts})["lines"]
    assert line == gpu_findings.line(facts["findings"][0])


def test_an_xid_is_told_once_and_a_lost_gpu_besides() -> None:
    log = "NVRM: Xid (PCI:0000:00:06): 79, GPU has fallen off the bus."
    host = answering(H100, log=log)
    facts = gpu_probe.collect(host, needs=gpu_health.Needs(brought=8))
    lines = gpu_report({"a": facts})["lines"]
    assert [("Xid 79" in line, "Only 1 of" in line) for line in lines[1:]] == [
        (False, True),
        (True, False),
    ]


def test_a_run_of_drift_keeps_the_last_look_at_each_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = CallbackModule()
    target = tmp_path / "records.json"
    monkeypatch.setattr(kept, "get_option", {"records_file": str(target)}.get)
    role = SimpleNamespace(get_name=lambda **_: "gpu_host")
    for host, findings in (("a", []), ("a", [XID]), ("b", [])):
        task = SimpleNamespace(_role=role, action="llmops.gce_vllm.gpu_info")
        name = SimpleNamespace(get_name=lambda host=host: host)
        result = answer(*findings)
        kept.v2_runner_on_ok(
            SimpleNamespace(task=task, host=name, result=result, is_changed=lambda: False)
        )
    kept.v2_playbook_on_stats(SimpleNamespace(failures={}, dark={}, processed={"a": 1, "b": 1}))
    written = json.loads(target.read_text())
    assert written["gpu_findings"] == {"a": [XID], "b": []}
    assert (written["roles"], written["records"]) == (["gpu_host"], [])


def test_drift_lists_findings_and_is_clean_with_them() -> None:
    hot = XID | {"kind": "throttling", "text": "it is too hot", "action": "go on"}
    kept = {"records": [], "roles": ["gpu_host", "llm_server"], "gpu_findings": {"a": [hot]}}
    report = drift.judge(kept, 0, "")
    assert report["status"] == "clean"
    assert report["gpu_findings"] == [{"host": "a", **hot}]
    assert "a: GPU 0000:00:04: it is too hot: go on" in drift.lines(report)
    assert drift.judge(None, 1, "")["gpu_findings"] == []
