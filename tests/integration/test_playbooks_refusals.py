# SPDX-License-Identifier: Apache-2.0
"""What the playbooks refuse, each in one sentence, before anybody is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.integration.playbook_runs import ROOT, ansible_playbook

SETTINGS = ["-e", "gce_project=demo-project", "-e", "gce_zone=us-central1-a", "-e", "llm_model=x"]
SERVERS = {"hosts": {"llm-server": {"ansible_host": "10.0.0.10"}}}


def inventory(folder: Path, *instances: str) -> Path:
    """One with the hosts that stand for instances, and a server."""
    file = folder / "hosts.yml"
    local = {"ansible_connection": "local"}
    groups = {"compute_engine": {"hosts": dict.fromkeys(instances, local)}, "llm_servers": SERVERS}
    file.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": local}, "children": groups}}))
    return file


@pytest.mark.parametrize("playbook", ["stop", "destroy", "drift", "site", "keys"])
def test_a_limit_without_localhost_is_refused(tmp_path: Path, playbook: str) -> None:
    hosts = inventory(tmp_path, "localhost")
    run = ansible_playbook(
        *("-i", hosts, ROOT / f"playbooks/{playbook}.yml", "--limit", "llm-server"),
        *SETTINGS,
        merged=True,
    )
    assert run.returncode == 2, run.stdout
    assert "--limit llm-server leaves out localhost" in run.stdout
    assert "--limit 'llm-server,localhost'" in run.stdout


def test_a_limit_without_the_instance_is_refused(tmp_path: Path) -> None:
    """Where other hosts stand for the instances, localhost is not enough."""
    hosts = inventory(tmp_path, "one", "two")
    run = ansible_playbook(
        *("-i", hosts, ROOT / "playbooks/stop.yml", "--limit", "llm-server,localhost"),
        *SETTINGS,
        merged=True,
    )
    assert run.returncode == 2, run.stdout
    assert "leaves out one,two" in run.stdout


def test_each_playbook_begins_with_that_check() -> None:
    imported = "ansible.builtin.import_playbook"
    for file in sorted((ROOT / "playbooks").glob("*.yml")):
        first = yaml.safe_load(file.read_text())[0]
        begins = first.get(imported, "")
        if file.name in ("guard.yml", "servers.yml"):  # parts of the others
            continue
        assert begins in ("guard.yml", "preflight.yml"), file.name


def test_a_run_says_that_it_does_not_talk_to_google() -> None:
    address = "http://127.0.0.1:9/compute/v1"
    for variables, expected in (({"GCE_VLLM_ENDPOINT": address}, True), ({}, False)):
        run = ansible_playbook(
            *("-i", ROOT / "inventories/gcp", ROOT / "playbooks/cost.yml", *SETTINGS),
            environment=variables,
            merged=True,
        )
        assert run.returncode == 0, run.stdout
        assert (f"This run talks to {address}, and not to Google Cloud" in run.stdout) is expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"llm_api_port": "http"}, "llm_api_port is http. Give a port from 1 to 65535"),
        ({"llm_api_port": 70000}, "llm_api_port is 70000."),
        ({"llm_api_port": 22}, "llm_api_port is 22."),
        ({"gce_network_dashboard_port": 8000}, "gce_network_dashboard_port is 8000."),
        ({"gce_name": "LLM_Server"}, "gce_name is 'LLM_Server' (10 characters), from which"),
        ({"gce_name": "llm-"}, "for example llm-server"),
        ({"gce_name": "a" * 54}, f"{'a' * 54}-dashboard"),
        ({"gce_name": "a" * 54}, "Give up to 53 lower-case letters"),
        ({"gce_zone": "us-central1"}, "gce_zone is 'us-central1', which is not the name of a zone"),
        (
            {"gce_instance_placements": [{"zone": "us-central1-ai1a"}, {"zone": "us-central1"}]},
            "has the zone 'us-central1', which is not",
        ),
        (
            {"gce_network_api_source_ranges": "203.0.113.5/32"},
            "is the text '203.0.113.5/32', not a list. Next: write ['203.0.113.5/32'].",
        ),
    ],
)
def test_preflight_refuses(settings: dict[str, object], said: str) -> None:
    run = ansible_playbook(
        *("-i", ROOT / "inventories/gcp", ROOT / "playbooks/preflight.yml", *SETTINGS),
        *("-e", json.dumps(settings)),
        merged=True,
    )
    assert run.returncode == 2, run.stdout
    assert said in " ".join(run.stdout.split())


def test_an_example_address_is_refused_at_once() -> None:
    run = ansible_playbook(
        *("-i", ROOT / "inventories/byo", ROOT / "playbooks/site.yml"), merged=True
    )
    assert run.returncode == 2
    assert "llm-server: ansible_host is still an example's address" in " ".join(run.stdout.split())
