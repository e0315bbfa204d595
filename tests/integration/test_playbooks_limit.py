# SPDX-License-Identifier: Apache-2.0
"""--limit that leaves out the hosts a playbook works from: refused, and nothing is skipped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.integration.playbook_runs import ROOT, ansible_playbook

SETTINGS = ["-e", "gce_project=demo-project", "-e", "gce_zone=us-central1-a", "-e", "llm_model=x"]
SERVERS = {"hosts": {"llm-server": {"ansible_host": "192.0.2.10"}}}


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
