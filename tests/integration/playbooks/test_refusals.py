# SPDX-License-Identifier: Apache-2.0
"""What the playbooks refuse, each in one sentence, before anybody is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.playbook_runs import ROOT, ansible_playbook

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
        if file.name in ("guard.yml", "servers.yml") or file.stem.startswith("phase_"):
            continue
        assert begins in ("guard.yml", "preflight.yml"), file.name


@pytest.mark.parametrize("file", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda p: p.stem)
def test_no_playbook_does_a_part_twice(file: Path) -> None:
    """Each part costs its tasks again, and its plays stand in the list of tags once more."""

    def parts(of: Path) -> Iterator[Path]:
        for play in yaml.safe_load(of.read_text(encoding="utf-8")):
            if imported := play.get("ansible.builtin.import_playbook"):
                part = (of.parent / imported).resolve()
                yield part
                yield from parts(part)

    found = list(parts(file))
    assert len(found) == len(set(found)), [path.name for path in found]
    # Ansible's playbook_dir is the imported file's folder, and group_vars are looked for beside it.
    assert {path.parent for path in found} <= {file.parent}


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
        (
            {
                "llm_api_port": "http",
                "gce_name": "LLM_Server",
                "gce_zone": "us-central1",
                "gce_network_api_source_ranges": "203.0.113.5/32",
                "vllm_venv_version": "0.99.0",
                "gce_instance_schedule": {"start": "0 8 * * 8-9", "stop": "0 19 * * *"},
            },
            [
                "llm_api_port is http. Give a port from 1 to 65535",
                "gce_name is 'LLM_Server' (10 characters), from which",
                "gce_zone is 'us-central1', which is not the name of a zone",
                "is the text '203.0.113.5/32', not a list. Next: write ['203.0.113.5/32'].",
                "There is no lock for vLLM 0.99.0",
                "gce_instance_schedule: ",
            ],
        ),
        (
            {
                "llm_api_port": 22,
                "gce_network_dashboard_port": 22,
                "gce_name": "a" * 54,
                "gce_instance_placements": [{"zone": "us-central1-ai1a"}, {"zone": "us-central1"}],
                "llm_server_vllm_args": {"max_modellen": 1024},
            },
            [
                "llm_api_port is 22.",
                "gce_network_dashboard_port is 22.",
                f"{'a' * 54}-dashboard",
                "Give up to 53 lower-case letters",
                "has the zone 'us-central1', which is not",
                "'max_modellen', which vLLM 0.32.0 does not know. Did you mean max_model_len",
            ],
        ),
        (
            {
                "gce_zon": "a",
                "llm_model_disk": {"name": "weights", "size": 200},
                "llm_server_profile": "fast",
                "gce_instance_iap": "yess",
            },
            [
                "There is no variable 'gce_zon'. Did you mean gce_zone",
                "llm_model_disk.size. Supported parameters include:",
                "must be one of: '' (none), latency",
                "Give true or false.",
            ],
        ),
    ],
)
def test_preflight_tells_all_faults_at_once(settings: dict[str, object], said: list[str]) -> None:
    run = ansible_playbook(
        *("-i", ROOT / "inventories/gcp", ROOT / "playbooks/preflight.yml", *SETTINGS),
        *("-e", json.dumps(settings)),
        environment={"ANSIBLE_STDOUT_CALLBACK": "llmops.gce_vllm.brief"},
        merged=True,
    )
    assert run.returncode == 2, run.stdout
    found = " ".join(run.stdout.split())
    assert [found.count(one) for one in said] == [1] * len(said), run.stdout


def test_an_example_address_is_refused_at_once() -> None:
    run = ansible_playbook(
        *("-i", ROOT / "inventories/byo", ROOT / "playbooks/site.yml"), merged=True
    )
    assert run.returncode == 2
    assert "llm-server: ansible_host is still an example's address" in " ".join(run.stdout.split())


def test_a_plan_needs_no_inventory_of_its_own(tmp_path: Path) -> None:
    """`-i localhost,` names this machine without saying how it is reached."""
    (tmp_path / "config.json").write_text("{}")
    run = ansible_playbook(
        *("-i", "localhost,", ROOT / "playbooks/plan.yml", "-e", f"llm_model={tmp_path}"),
        environment={"ANSIBLE_SSH_EXECUTABLE": "/no/ssh"},
        merged=True,
    )
    assert "/no/ssh" not in run.stdout
    assert "UNREACHABLE" not in run.stdout
    assert "num_hidden_layers" in run.stdout
