# SPDX-License-Identifier: Apache-2.0
"""What a run ends with, by what it learned."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.filter.api_url import api_url
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils import run_ending

RECORD = {
    "name": "llm",
    "status": "RUNNING",
    "zone": "https://compute.googleapis.com/compute/v1/projects/p/zones/us-central1-a",
    "machineType": "zones/us-central1-a/machineTypes/g2-standard-4",
    "networkInterfaces": [{"networkIP": "10.0.0.2", "accessConfigs": [{"natIP": "198.51.100.9"}]}],
}
TOLD = {"port": 8000, "api_key_file": "/keys/api key", "cost": "0.73 USD an hour"}
COMMANDS = run_ending.Commands("llmops.gce_vllm.site")


def learned(*results: dict[str, Any], action: str = "llmops.gce_vllm.gce_instance") -> Any:
    """What is known after these results."""
    instances = run_ending.Instances()
    for one in results:
        instances.see(action, one)
    return instances


def said(instances: Any, *, failed: bool, told: dict[str, Any] | None = None) -> str:
    """The lines of the one deployment."""
    whole = run_ending.merged({"llm": TOLD if told is None else told}, instances)
    return "\n".join(run_ending.lines("llm", whole["llm"], COMMANDS, failed=failed))


def test_a_good_run_ends_with_the_endpoint() -> None:
    text = said(learned({"instance": RECORD}), failed=False)
    assert "Endpoint   http://198.51.100.9:8000\n" in text
    assert "API key    in the file /keys/api key\n" in text
    assert "Cost       0.73 USD an hour\n" in text
    assert "Stop it    ansible-playbook llmops.gce_vllm.stop (its disk stays and costs)" in text


def test_a_failed_run_ends_with_what_costs() -> None:
    text = said(learned({"instance": RECORD}), failed=True)
    assert "Instance   llm is RUNNING in us-central1-a, g2-standard-4, at 198.51.100.9\n" in text
    assert "Cost       0.73 USD an hour\n" in text
    assert "Delete it  ansible-playbook llmops.gce_vllm.destroy" in text
    assert "Endpoint" not in text


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([{"instance": None, "invocation": {"module_args": {"name": "llm"}}}], "costs nothing"),
        (
            [
                {"instance": RECORD},
                {"instance": None, "invocation": {"module_args": {"name": "llm"}}},
            ],
            "costs nothing",
        ),
        *(
            (
                [
                    {
                        "failed": True,
                        "attempts": [{"outcome": "stockout"}, {"outcome": outcome}],
                        "invocation": {"module_args": {"name": "llm"}},
                    }
                ],
                "llm may exist and cost. To see it: ansible-playbook llmops.gce_vllm.status",
            )
            for outcome in ("created", "started")
        ),
        ([{"results": [{"instance": {**RECORD, "status": "TERMINATED"}}]}], "llm is TERMINATED"),
        ([], ""),
    ],
)
def test_what_there_is(results: list[dict[str, Any]], expected: str) -> None:
    text = said(learned(*results), failed=True)
    assert (expected in text) if expected else text == ""


def test_a_stopped_one_is_started_not_asked() -> None:
    text = said(learned({"instance": {**RECORD, "status": "TERMINATED"}}), failed=False)
    assert "Start it   ansible-playbook llmops.gce_vllm.start" in text
    assert "Try it" not in text


def test_results_of_other_modules_say_nothing() -> None:
    assert learned({"instance": RECORD}, action="llmops.gce_vllm.gce_address").found == {}


def test_a_machine_of_yours_costs_nothing_here() -> None:
    told = {"own_machine": True, "endpoint": "http://10.0.0.9:8000", "api_key_file": "/k"}
    text = said(learned(), failed=False, told=told)
    assert "Endpoint   http://10.0.0.9:8000" in text
    assert "Stop it" not in text
    assert "Cost" not in text


def test_the_curl_line_is_one_command() -> None:
    line = run_ending.curl_line({"endpoint": "https://[::1]:8000", **TOLD, "ca_file": "/c a.pem"})
    words = shlex.split(line)
    assert words[:3] == ["curl", "-s", "https://[::1]:8000/v1/chat/completions"]
    assert words[words.index("--cacert") + 1] == "/c a.pem"
    assert "Authorization: Bearer $(cat '/keys/api key')" in words
    assert "Authorization" not in run_ending.curl_line({"endpoint": "http://a:1"})


@pytest.mark.parametrize(
    ("host", "certificate", "expected"),
    [
        ("::1", "", "http://[::1]:80"),
        ("10.0.0.1", None, "http://10.0.0.1:80"),
        ("llm.example.com", "/tls.pem", "https://llm.example.com:80"),
    ],
)
def test_the_address_of_an_api(host: str, certificate: str | None, expected: str) -> None:
    assert api_url(host, 80, certificate) == expected


def test_commands_are_as_the_user_calls_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stop.yml").touch()
    near = run_ending.Commands("site.yml", [str(tmp_path / "hosts")], names=True)
    assert near.line("stop", "llm") == "ansible-playbook -i hosts stop.yml -e gce_name=llm"
    assert near.line("start") == "ansible-playbook -i hosts llmops.gce_vllm.start"
    far = run_ending.Commands("site.yml", ["/elsewhere/hosts", "localhost,"])
    assert far.line("stop", "llm") == "ansible-playbook -i /elsewhere/hosts -i localhost, stop.yml"
