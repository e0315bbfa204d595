# SPDX-License-Identifier: Apache-2.0
"""The plan is a table at the end, with what is created, changed and kept."""

from __future__ import annotations

from tests.support.site_fixture import NAME, Site


def test_the_plan_says_what_comes_and_how_to_get_it(site: Site) -> None:
    port = site.variables["llm_api_port"]
    run = site.play("playbooks/site.yml", "--tags", "preflight")
    assert run.returncode == 0, run.stdout
    for line in (
        f"+ instance   {NAME} in us-central1-a: g2-standard-4, nvidia-l4 x1, STANDARD",
        "+ boot disk  100 GB pd-balanced, image",
        f"+ firewall   {NAME}-api: TCP {port} from 198.51.100.7/32",
        f"+ firewall   {NAME}-ssh: TCP 22 from 198.51.100.7/32",
        "= network    default",
        "  versions   vLLM 0.32.0",
        f"  project    {site.emulator.project}, as ",
        "  cost       about 0.726 USD an hour",
    ):
        assert line in run.stdout, line
    end = run.stdout.split("  cost       about")[1]
    assert "Create it with: ansible-playbook" in end
    assert "playbooks/site.yml" in end


def test_the_plan_of_what_is_there(made: Site) -> None:
    made.variables["gce_instance_boot_disk_size_gb"] = 120
    made.variables["gce_network_api_source_ranges"] = ["198.51.100.9/32"]
    run = made.play("playbooks/site.yml", "--tags", "preflight")
    assert run.returncode == 0, run.stdout
    said = " ".join(run.stdout.split())  # long lines are wrapped
    assert f"= instance {NAME} in us-central1-a" in said
    assert "~ boot disk 120 GB pd-balanced" in said
    assert f"~ firewall {NAME}-api: TCP {made.variables['llm_api_port']} from" in said
    assert "is from 198.51.100.7/32" in said
    assert f"= firewall {NAME}-ssh: TCP 22" in said
