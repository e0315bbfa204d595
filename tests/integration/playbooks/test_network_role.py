# SPDX-License-Identifier: Apache-2.0
"""The deployment's own network, its rules and what is refused, through the roles and playbooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.emulator_fixture import Api, Emulator
from tests.support.site_fixture import MAKE, NAME, Site


@pytest.fixture
def site(emulator: Emulator, api: Api, tmp_path: Path) -> Iterator[Site]:
    yield Site(emulator, api, tmp_path)


def rules(site: Site) -> dict[str, Any]:
    """Our rules: source ranges and ports by name."""
    cloud, _ = site.state()
    return {
        one["name"]: (one["sourceRanges"], one["allowed"][0]["ports"])
        for one in cloud["firewalls"]
        if one["name"].startswith(NAME)
    }


def names(site: Site, collection: str) -> list[str]:
    cloud, _ = site.state()
    return sorted(one["name"] for one in cloud[collection])


def test_own_network_and_dashboard_there_and_gone(site: Site) -> None:
    site.variables |= {
        "gce_network_create": True,
        "gce_network_regions": ["us-central1", "europe-west4"],
        "gce_network_dashboard_port": 3000,
        "gce_network_dashboard_source_ranges": ["192.0.2.0/24"],
    }
    # In check mode there is no network yet that the instance could be planned in.
    make = site.folder / "make.yml"
    make.write_text(yaml.safe_dump(MAKE))
    predicted = site.play(str(make), "--check")
    assert predicted.returncode == 0, predicted.stdout
    assert "The real run needs it" in " ".join(predicted.stdout.split())
    assert names(site, "networks") == ["default"]
    site.make()
    cloud, _ = site.state()
    ours = {
        one["region"].rsplit("/", 1)[1]: one for one in cloud["subnetworks"] if one["name"] == NAME
    }
    assert {region: one["ipCidrRange"] for region, one in ours.items()} == {
        "us-central1": "10.96.0.0/20",
        "europe-west4": "10.96.16.0/20",
    }
    assert cloud["instances"][0]["networkInterfaces"][0]["network"].endswith(f"/networks/{NAME}")
    assert rules(site)[f"{NAME}-dashboard"] == (["192.0.2.0/24"], ["3000"])

    site.variables["gce_network_dashboard_port"] = 0
    rules_only = site.folder / "rules.yml"
    rules_only.write_text(yaml.safe_dump([{**MAKE[0], "roles": [MAKE[0]["roles"][0]]}]))
    assert "changed=1" in site.play(str(rules_only)).stdout
    assert set(rules(site)) == {f"{NAME}-api", f"{NAME}-ssh"}
    # Behind a gateway the server's own port is closed; 80 is for the authority that signs.
    api = rules(site)[f"{NAME}-api"]
    site.variables["gateway_enabled"] = True
    assert "changed=1" in site.play(str(rules_only)).stdout
    assert rules(site)[f"{NAME}-api"] == (api[0], ["443"])
    assert rules(site)[f"{NAME}-acme"] == (["0.0.0.0/0"], ["80"])
    site.variables["gateway_tls"] = "internal"
    assert "changed=1" in site.play(str(rules_only)).stdout
    assert f"{NAME}-acme" not in rules(site)
    # Whoever deletes the line instead of saying false leaves no port open.
    site.variables["gateway_tls"] = "acme"
    assert "changed=1" in site.play(str(rules_only)).stdout
    del site.variables["gateway_enabled"]
    assert "changed=1" in site.play(str(rules_only)).stdout
    assert rules(site) == {f"{NAME}-api": api, f"{NAME}-ssh": rules(site)[f"{NAME}-ssh"]}
    # A rule of somebody else's holds the network: it stays, and that is said.
    foreign = {
        "name": "foreign",
        "network": f"global/networks/{NAME}",
        "allowed": [{"IPProtocol": "icmp"}],
    }
    site.api.must("POST", "global/firewalls", {**foreign, "sourceRanges": ["10.0.0.0/8"]})
    said = site.ok("destroy", "-e", f"confirm={NAME}")
    assert "global/firewalls/foreign" in said
    assert NAME in names(site, "networks")
    assert NAME not in names(site, "subnetworks")


WORLD = ["0.0.0.0/1", "128.0.0.0/1"]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"gce_network_api_source_ranges": WORLD}, "gce_network_allow_world: true"),
    (
        {
            "gce_network_api_source_ranges": WORLD,
            "gce_network_allow_world": True,
            "llm_server_api_key_required": False,
            "llm_api_key": "",
        },
        "the API key is off",
    ),
    (
        # Keys that are there are not asked for either.
        {
            "gce_network_api_source_ranges": WORLD,
            "gce_network_allow_world": True,
            "llm_server_api_key_required": False,
        },
        "the API key is off",
    ),
    ({"gce_network_api_source_ranges": ["203.0.113.7/24"]}, "write 203.0.113.0/24"),
    ({"gce_network_create": True, "gce_network_name": "default"}, "gce_network_create is on"),
]


@pytest.mark.parametrize(("settings", "words"), REFUSED)
def test_refused_before_anything_is_touched(
    site: Site, settings: dict[str, Any], words: str
) -> None:
    site.variables |= settings
    before = site.state()
    done = site.play("playbooks/site.yml", "--tags", "preflight")
    assert done.returncode == 2
    assert words in " ".join(done.stdout.split())
    assert "Look for the instance" not in done.stdout
    assert site.state() == before


def hidden_in(site: Site, place: str) -> None:
    """Everybody may come in, and only the servers' own variables say that no key is needed."""
    site.variables |= {"gce_network_api_source_ranges": ["0.0.0.0/0"]}
    site.variables["gce_network_allow_world"] = True
    file = site.folder / place
    file.parent.mkdir()
    file.write_text("llm_server_api_key_required: false\n")


@pytest.mark.parametrize("place", ["group_vars/llm_servers.yml", f"host_vars/{NAME}.yml"])
def test_a_key_switched_off_for_servers_to_come_is_seen_before_the_first_run(
    site: Site, place: str
) -> None:
    hidden_in(site, place)
    assert site.servers == {}
    before = site.state()
    rules_only = site.folder / "rules.yml"
    rules_only.write_text(yaml.safe_dump([{**MAKE[0], "roles": [MAKE[0]["roles"][0]]}]))
    for playbook in (str(rules_only), "playbooks/provision.yml"):
        done = site.play(playbook)
        assert done.returncode == 2
        assert "the API key is off" in " ".join(done.stdout.split())
    assert site.state() == before


def test_a_misspelt_setting_of_servers_to_come_is_found_before_the_first_run(site: Site) -> None:
    file = site.folder / "group_vars" / "llm_servers.yml"
    file.parent.mkdir()
    file.write_text("llm_server_api_key_require: false\n")
    done = site.play("playbooks/preflight.yml")
    assert done.returncode == 2
    said = " ".join(done.stdout.split())
    assert "There is no variable 'llm_server_api_key_require'. Did you mean" in said


def test_the_server_does_not_start_for_everybody_without_a_key(site: Site) -> None:
    hidden_in(site, "group_vars/llm_servers.yml")
    site.reach_locally()
    playbook = site.folder / "server.yml"
    role = {"name": "llmops.gce_vllm.llm_server", "tasks_from": "preflight.yml"}
    task = {"name": "Look at the settings", "ansible.builtin.include_role": role}
    play = {"name": "Serve", "hosts": "llm_servers", "gather_facts": False, "tasks": [task]}
    playbook.write_text(yaml.safe_dump([play]))
    done = site.play(str(playbook))
    assert done.returncode == 2
    assert f"The API key is off for {NAME}" in " ".join(done.stdout.split())
    site.variables["gce_network_api_source_ranges"] = ["198.51.100.7/32"]
    assert site.play(str(playbook)).returncode == 0


def test_preflight_names_rules_of_others_that_let_everybody_in(site: Site) -> None:
    said = site.ok("preflight", changed=0)
    assert "default-allow-ssh, which is not ours, opens port 22 of all instances" in said
    assert f"firewall-rules delete default-allow-ssh --project {site.emulator.project}" in said
    site.variables["gce_network_create"] = True
    assert "is not ours" not in site.ok("preflight", changed=0)


def test_preflight_refuses_to_take_an_instance_out_of_its_network(made: Site) -> None:
    made.api.must("POST", "global/networks", {"name": "other", "autoCreateSubnetworks": True})
    made.variables["gce_network_name"] = "other"
    said = " ".join(made.play("playbooks/preflight.yml").stdout.split())
    assert f"{NAME} is in the network default, and the settings say other" in said
