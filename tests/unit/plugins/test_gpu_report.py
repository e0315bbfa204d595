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

L4 = {"name": "NVIDIA L4"}
XID = {"gpu": "0000:00:04", "kind": "xid", "text": "Xid 109 (1 times), hung", "action": "reset"}


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
        # A fault that is no finding is a person's to mend.
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
