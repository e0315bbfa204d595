# SPDX-License-Identifier: Apache-2.0
"""What site.yml and start.yml end with, also where they fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.site_fixture import NAME, Site

SITE = ("--tags", "preflight,provision")


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs write their outcome."""
    target = tmp_path / "run.json"
    monkeypatch.setenv("GCE_VLLM_SUMMARY_FILE", str(target))
    return target


def test_a_run_ends_with_the_endpoint(site: Site, summary: Path) -> None:
    site.reach_locally()
    site.servers[NAME]["gcp_labels"] = {"gce-vllm-name": NAME}
    said = site.play("playbooks/site.yml", *SITE)
    assert said.returncode == 0, said.stdout
    end = said.stdout.split("ENDPOINT")[1]
    [instance] = site.stored("instances")
    address = instance["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    url = f"http://{address}:{site.variables['llm_api_port']}"
    assert f"Endpoint   {url}\n" in end
    assert f"API key    in the file {site.variables['llm_api_key_file']}\n" in end
    assert f"curl -s {url}/v1/chat/completions" in end
    assert "USD an hour" in end
    assert "playbooks/stop.yml" in end
    told = json.loads(summary.read_text())["deployments"][NAME]
    assert told["endpoint"] == url
    assert told["try_it"].startswith(f"curl -s {url}/")


def test_a_failed_run_ends_with_what_costs(made: Site) -> None:
    made.variables["gce_instance_machine_type"] = "g2-standard-8"
    run = made.play("playbooks/site.yml", *SITE)
    assert run.returncode == 2
    end = run.stdout.split("WHAT EXISTS AND COSTS NOW")[1]
    assert f"{NAME} is RUNNING in us-central1-a, g2-standard-4, at " in end
    assert "USD an hour" in end
    assert "playbooks/destroy.yml" in end
    assert "Next       Fix what the error names, then run the same command." in end
    assert "Endpoint" not in end


def test_a_run_that_fails_before_anything_exists_says_so(site: Site) -> None:
    site.quota("us-central1", "NVIDIA_L4_GPUS", 0)
    run = site.play("playbooks/site.yml", *SITE)
    assert run.returncode == 2
    assert site.stored("instances") == []
    assert "RUNNING" not in run.stdout
