# SPDX-License-Identifier: Apache-2.0
"""Results of tasks as a few lines."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils import run_steps

FIREWALL = "llmops.gce_vllm.gce_firewall"


def called(**arguments: Any) -> dict[str, Any]:
    """A result that changed something, of a module with these arguments."""
    return {"changed": True, "invocation": {"module_args": arguments}}


@pytest.mark.parametrize(
    ("play", "phase"),
    [("Configure: the API key", "configure"), ("Verify: a: b", "verify"), ("Say", "run")],
)
def test_phases(play: str, phase: str) -> None:
    assert run_steps.phase_of(play) == phase


@pytest.mark.parametrize(
    ("phase", "roles", "title"),
    [
        ("provision", ["gce_instance"], "instance"),
        ("configure", ["llm_server", "llm_probe"], "service"),
        ("preflight", ["preflight", "gce_network"], "checks"),
        ("configure", [], "playbook"),
        ("run", ["a_role_of_others"], "playbook"),
    ],
)
def test_titles(phase: str, roles: list[str], title: str) -> None:
    assert run_steps.title_of(phase, roles) == title


@pytest.mark.parametrize(
    ("action", "result", "said"),
    [
        (FIREWALL, called(name="a", source_ranges=["198.51.100.7/32"]), "a (198.51.100.7/32)"),
        (FIREWALL, called(name="a"), "a"),
        (
            "llmops.gce_vllm.gce_instance",
            {
                **called(name="llm"),
                "instance": {"machineType": "zones/z/machineTypes/g2-standard-4"},
                "zone": "us-central1-a",
            },
            "llm, g2-standard-4 in us-central1-a",
        ),
        ("llmops.gce_vllm.uv_sync", {"installed": {"a": "", "b": ""}}, "2 packages"),
        (
            "ansible.builtin.systemd_service",
            called(name="llm-server.service", state="started"),
            "llm-server.service started",
        ),
        ("ansible.builtin.copy", called(dest="/etc/x"), ""),
        (FIREWALL, {"censored": "hidden", "changed": True}, ""),
    ],
)
def test_described(action: str, result: dict[str, Any], said: str) -> None:
    assert run_steps.described(action, result) == said


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ([], "changed"),
        ([{"how": "create"}], "created"),
        ([{"how": "live"}], "changed"),
        ([{"how": "delete"}], "deleted"),
        ([{"how": "recreate"}], "recreated"),
    ],
)
def test_outcomes(changes: list[dict[str, str]], word: str) -> None:
    assert run_steps.outcome_of({"changes": changes}) == word


def test_a_step_is_one_line() -> None:
    step = run_steps.Step("provision", "firewall", 10.0)
    rules = [called(name=name, source_ranges=["0.0.0.0/1"]) for name in ("one", "two")]
    kept = {**called(name="three"), "changed": False}
    step.see("Converge", FIREWALL, {"changed": True, "results": [*rules, kept]})
    line = step.line(12.4)
    assert line.startswith("provision   firewall: one (0.0.0.0/1), two (0.0.0.0/1) ")
    assert line.endswith("changed     2 s")
    assert "would be changed" in step.line(12.4, check=True)


def test_tasks_stand_in_where_modules_say_nothing() -> None:
    step = run_steps.Step("configure", "host")
    for name in ("Install a", "Install a", "Write b", "Write c", "Write d"):
        step.see(name, "ansible.builtin.copy", called())
    assert "host: Install a, Write b, 2 more" in step.line(1)


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        ({"msg": "It is wrong."}, ["It is wrong."]),
        ({"msg": "It is wrong.", "remedy": "fix it."}, ["It is wrong.", "Next: fix it."]),
        (
            {"msg": "It is wrong. Next: fix it.", "remedy": "fix it."},
            ["It is wrong. Next: fix it."],
        ),
        ({"msg": ["One.", "Two."]}, ["One.", "Two."]),
        ({"msg": "One.\nTwo."}, ["One.", "Two."]),
        ({"msg": "non-zero return code", "stderr": "cat: no"}, ["non-zero return code", "cat: no"]),
        ({}, ["No reason was given; -v shows all that is known."]),
    ],
)
def test_failures(result: dict[str, Any], lines: list[str]) -> None:
    assert run_steps.failure_lines(result) == lines


@pytest.mark.parametrize(
    ("elapsed", "last", "told"),
    [
        (9.9, 0, False),
        (10.1, 0, True),
        (11.1, 10.1, False),
        (30.5, 10.1, True),
        (59, 30.5, False),
        (60, 30.5, True),
        (119, 60, False),
        (121, 60, True),
    ],
)
def test_heartbeats(elapsed: float, last: float, told: bool) -> None:
    assert run_steps.beats(elapsed, last) is told
