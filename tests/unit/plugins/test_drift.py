# SPDX-License-Identifier: Apache-2.0
"""Results of tasks to differences, and the report's verdict."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.action import drift as action
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils import drift

from tests.support.modules_fixtures import ROOT

READ_ONLY = {
    "ansible.builtin.command",
    "ansible.builtin.uri",
}


def record(role: str, module: str, result: dict[str, Any], **more: Any) -> dict[str, Any]:
    base = {"host": "h", "role": role, "task": "A task", "action": module, "outcome": "changed"}
    return base | {"hidden": False, "result": result} | more


def rows(one: dict[str, Any]) -> list[tuple[Any, ...]]:
    keys = ("layer", "object", "field", "is", "should_be")
    return [tuple(row[key] for key in keys) for row in drift.differences([one])]


def template(path: str, before: str, after: str) -> dict[str, Any]:
    diff = {"before": before, "after": after, "before_header": path, "after_header": "x.j2"}
    return record("llm_server", "ansible.builtin.template", {"diff": [diff]})


def test_settings_are_compared_by_key() -> None:
    before, after = 'port: 8000\nargs: {"len": 512}\n', 'port: 8000\nargs: {"len": 1024}\n'
    path = "/etc/llm-server/settings.yaml"
    assert rows(template(path, before, after)) == [("service", path, "args.len", 512, 1024)]


def test_units_are_compared_by_key_and_variable() -> None:
    path = "/etc/systemd/system/llm-server.service"
    before = '[Service]\nRestart=no\nEnvironment="A=1"\nSystemCallFilter=a\nSystemCallFilter=b\n'
    after = '[Service]\nRestart=on-failure\nEnvironment="A=2"\nSystemCallFilter=a\n'
    assert rows(template(path, before, after)) == [
        ("service", path, "Service.Environment.A", "1", "2"),
        ("service", path, "Service.Restart", "no", "on-failure"),
        ("service", path, "Service.SystemCallFilter", ["a", "b"], "a"),
    ]


@pytest.mark.parametrize("path", ["/etc/x.service", "/etc/x.yaml", "/etc/x.conf"])
def test_a_comment_alone_is_still_a_difference(path: str) -> None:
    found = rows(template(path, "# a\nk: v\n", "# b\nk: v\n"))
    assert found == [("service", path, "line 1", "# a", "# b")]


def test_a_missing_file_is_named_without_its_contents() -> None:
    found = rows(template("/etc/x.yaml", "", "a: 1\nb: 2\n"))
    assert found == [("service", "/etc/x.yaml", "content", None, "2 lines")]


def test_packages_are_named() -> None:
    result = {
        "diff": {"before": "b==1\nc==1\n", "after": "a==1\nb==2\n"},
        "invocation": {"module_args": {"venv": "/opt/vllm/venv"}},
    }
    assert rows(record("vllm_venv", "llmops.gce_vllm.uv_sync", result)) == [
        ("host", "/opt/vllm/venv", "a", None, "1"),
        ("host", "/opt/vllm/venv", "b", "1", "2"),
        ("host", "/opt/vllm/venv", "c", "1", None),
    ]


@pytest.mark.parametrize(
    ("status", "state", "expected"),
    [
        (
            {"ActiveState": "inactive", "UnitFileState": "enabled"},
            "started",
            [("state", "inactive")],
        ),
        (
            {"ActiveState": "failed", "UnitFileState": "disabled"},
            "started",
            [("state", "failed"), ("enabled", "disabled")],
        ),
        # Restarted only because a file differs, which is reported as that file's difference.
        ({"ActiveState": "active", "UnitFileState": "enabled"}, "restarted", []),
    ],
)
def test_services(status: dict[str, str], state: str, expected: list[tuple[str, str]]) -> None:
    result = {
        "status": status,
        "state": state,
        "invocation": {"module_args": {"name": "llm-server.service"}},
    }
    found = rows(record("llm_server", "ansible.builtin.systemd_service", result))
    assert [(row[2], row[3]) for row in found] == expected
    assert all(row[1] == "llm-server.service" for row in found)


def test_a_change_without_any_diff_is_not_lost() -> None:
    assert rows(record("llm_server", "ansible.builtin.user", {"name": "llm-server"})) == [
        ("service", "llm-server", "state", "differs", "as by the task 'A task'")
    ]


def test_hidden_results_show_the_task_only() -> None:
    found = rows(record("llm_server", "ansible.builtin.copy", {}, hidden=True))
    assert found == [("service", "A task", "content", "(hidden)", "(hidden, another value)")]


def kept(records: list[dict[str, Any]], roles: list[str]) -> dict[str, Any]:
    return {"records": records, "roles": roles}


ALL = ["preflight", "vllm_venv", "llm_server"]


def test_verdicts() -> None:
    user = record("llm_server", "ansible.builtin.user", {"name": "llm-server"})
    failed = record("preflight", "x", {"msg": "No quota"}, outcome="failed")
    assert action.judge(kept([], ALL), 0, "")["status"] == "clean"
    assert action.judge(kept([user], ALL), 0, "")["status"] == "drift"
    both = action.judge(kept([user, failed], ALL), 2, "")
    assert (both["status"], len(both["differences"])) == ("error", 1)
    assert both["errors"][0] == {
        "layer": "cloud",
        "host": "h",
        "task": "A task",
        "message": "No quota",
    }


def test_what_a_run_may_not_put_right_is_a_difference_and_no_error() -> None:
    change = {"field": "machine_type", "from": "g2-standard-4", "to": "g2-standard-8"}
    refused = {"msg": "differs", "blocked": ["machine_type"], "changes": [change], "name": "llm"}
    stop = record("gce_instance", "x.gce_instance", refused, outcome="failed")
    found = action.judge(kept([stop], ALL), 2, "")
    assert rows(stop) == [
        ("cloud", "instance llm", "machine_type", "g2-standard-4", "g2-standard-8")
    ]
    assert found["errors"] == []
    # Refused without a word of what differs, it is an error.
    other = record("gce_instance", "x.gce_instance", {"msg": "No."}, outcome="failed")
    assert [one["message"] for one in action.judge(kept([other], ALL), 2, "")["errors"]] == ["No."]


def test_a_run_that_ended_early_or_saw_no_host_is_not_clean() -> None:
    ended = action.judge(None, 1, "line\nERROR! no such file\n")
    assert ended["status"] == "error"
    assert "no such file" in ended["errors"][0]["message"]
    assert action.judge(kept([], ALL), 4, "")["status"] == "error"
    # Outside of office hours there is no host to look at, and nothing is wrong.
    rests = kept([], ["preflight", "gce_instance"]) | {"resting": True}
    assert action.judge(rests, 0, "")["status"] == "clean"
    nobody = action.judge(kept([], ["preflight"]), 0, "")
    assert nobody["status"] == "error"
    assert set(nobody["layers_checked"].values()) == {False}


def test_the_inner_run_only_checks_and_gets_what_this_run_got() -> None:
    cli = {"inventory": ["a", "b"], "extra_vars": ["x=1"], "become": True, "subset": "h"}
    line = action.command_line("site.yml", ["preflight", "configure"], cli)
    assert "--check" in line
    own = [one for one in line if "outside_schedule" not in one and "when_idle" not in one]
    assert own[own.index("site.yml") + 1 :] == [
        *("--check", "--diff", "--tags=preflight,configure", "--inventory=a", "--inventory=b"),
        *("--extra-vars=x=1", "--limit=h", "--become"),
    ]
    # The caller's own word comes later, and so wins.
    rest = '--extra-vars={"gce_instance_start_outside_schedule": false}'
    assert line.index(rest) < line.index("--extra-vars=x=1")


def tasks(content: Any) -> list[dict[str, Any]]:
    """Every task of a file, those in blocks too."""
    found = []
    for one in content or []:
        found.append(one)
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            found += tasks(one.get(part))
    return found


def test_what_runs_for_real_in_check_mode_only_reads() -> None:
    """A task with check_mode false runs in drift too: it must say that it changes nothing."""
    files = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml")]
    real = [
        (path.name, task)
        for path in files
        for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
        if task.get("check_mode") is False and "ansible.builtin.copy" not in task
    ]
    assert len(real) >= 6
    for name, task in real:
        assert READ_ONLY & set(task), (name, task["name"])
        if "ansible.builtin.command" in task:
            assert task.get("changed_when") is False, (name, task["name"])
