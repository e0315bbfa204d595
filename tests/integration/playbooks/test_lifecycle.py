# SPDX-License-Identifier: Apache-2.0
"""status, cost, start, stop, destroy and drift, as people run them, on records of instances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.emulator_fixture import instance_body
from tests.support.exhaustive import only_in_full
from tests.support.modules_fixtures import ZONE, Json, free_port
from tests.support.site_fixture import NAME, Site

INSTANCE = f"zones/{ZONE}/instances/{NAME}"


def differing(report: Json) -> dict[tuple[str, str, str], tuple[Any, Any]]:
    """Differences by layer, object and field."""
    return {
        (one["layer"], one["object"], one["field"]): (one["is"], one["should_be"])
        for one in report["differences"]
    }


def test_status_of_nothing(site: Site) -> None:
    found = site.document("status")
    assert (found["exists"], found["status"], found["rules"]) == (False, "MISSING", [])
    assert found["cost"]["hourly"] == 0
    assert found["endpoint"] is None
    assert "There is no instance llm-server" in site.ok("status", "--check", changed=0)


def test_status_of_a_running_and_a_stopped_instance(made: Site) -> None:
    running = made.document("status")
    assert running["status"] == "RUNNING"
    assert running["machine_type"] == "g2-standard-4"
    assert running["gpus"] == [{"type": "nvidia-l4", "count": 1}]
    assert running["disks"][0]["size_gb"] == 100
    assert running["since"]
    external = running["addresses"]["external"]
    endpoint = running["endpoint"]
    assert endpoint["url"] == f"http://{external}:{made.variables['llm_api_port']}"
    assert endpoint["healthy"] is False
    # Nobody has that address; a proxy of the network that the tests run in may answer for it.
    assert endpoint["health"] == "no answer from here" or endpoint["health"].startswith("answered")
    rules = {rule["name"]: rule for rule in running["rules"]}
    assert rules["llm-server-api"]["source_ranges"] == ["198.51.100.7/32"]
    assert rules["llm-server-ssh"]["allowed"] == ["tcp 22"]
    assert "default-allow-ssh" in rules, "a rule of others that lets everybody in is shown too"
    assert running["cost"]["hourly"] == pytest.approx(0.7068 + 0.0137 + 0.005, abs=1e-3)
    assert running["cost"]["monthly"] == pytest.approx(running["cost"]["hourly"] * 730, abs=0.05)

    made.ok("stop", changed=1)
    stopped = made.document("status")
    assert stopped["status"] == "TERMINATED"
    assert stopped["endpoint"] is None
    assert stopped["cost"] == stopped["cost_while_stopped"] == running["cost_while_stopped"]
    assert stopped["cost"]["monthly"] == pytest.approx(10.0, abs=0.05), "100 GB of disk go on"
    assert [item["what"] for item in stopped["cost"]["items"]] == ["disk 100 GB pd-balanced"]


def test_stop_twice_start_twice(made: Site) -> None:
    assert "changed=1" in made.ok("stop", "--check")
    assert made.api.get(INSTANCE)["status"] == "RUNNING"
    first = made.ok("stop", changed=1)
    assert "It costs 0.014 USD an hour" in first
    assert made.ok("stop", changed=0).count("0.014 USD an hour") == 1

    assert made.document("status")["status"] == "TERMINATED"
    # What others changed is not this playbook's matter.
    now = made.api.get(INSTANCE)
    made.api.must(
        "POST",
        f"{INSTANCE}/setLabels",
        {"labels": {"team": "search"}, "labelFingerprint": now["labelFingerprint"]},
    )
    done = made.play("playbooks/start.yml")
    said = " ".join(done.stdout.split())
    # A record boots no host that could be waited for, and that is said, not passed over.
    assert done.returncode == 2
    assert "no host in the group llm_servers" in said
    after = made.api.get(INSTANCE)
    assert after["status"] == "RUNNING"
    assert after["labels"] == {"team": "search"}
    address = after["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    assert address in said
    assert "0.726 USD an hour" in said
    known = Path(made.variables["gce_vllm_state_dir"], "known_hosts").read_text(encoding="utf-8")
    assert address in known
    again = made.play("playbooks/start.yml")
    assert "changed=0" in again.stdout


def test_stop_leaves_alone_what_would_need_a_new_instance(made: Site) -> None:
    made.variables["gce_instance_image_family"] = "common-cu128-ubuntu-2204-nvidia-570"
    made.ok("stop", changed=1)


def test_nothing_to_start_or_stop(site: Site) -> None:
    done = site.play("playbooks/start.yml")
    assert done.returncode == 2
    assert "nothing to start" in done.stdout
    assert "playbooks/site.yml" in done.stdout
    assert "nothing to stop" in site.ok("stop", changed=0)
    # One of that name in another zone, which nothing says is ours.
    zone = ZONE.replace("-a", "-b")
    body = {**instance_body(NAME), "machineType": f"zones/{zone}/machineTypes/e2-small"}
    site.api.must("POST", f"zones/{zone}/instances", body)
    done = site.play("playbooks/stop.yml")
    assert done.returncode == 2
    assert "it lacks the label gce-vllm-name" in " ".join(done.stdout.split())
    assert site.api.get(f"zones/{zone}/instances/{NAME}")["status"] == "RUNNING"


def test_destroy_lists_then_deletes_once(made: Site) -> None:
    listed = made.ok("destroy", "--check")
    for what in ("instance llm-server (RUNNING)", "100 GB", "firewall rule llm-server-api"):
        assert what in listed
    refused = made.play("playbooks/destroy.yml")
    assert refused.returncode == 2
    assert "-e confirm=llm-server" in refused.stdout
    assert made.api.get(INSTANCE)["status"] == "RUNNING"

    done = made.ok("destroy", "-e", f"confirm={NAME}")
    assert "Nothing of llm-server is left that costs" in done
    cloud, _ = made.state()
    assert cloud["instances"] == cloud["disks"] == []
    again = made.ok("destroy", "-e", f"confirm={NAME}", changed=0)
    assert "nothing left to delete" in again


def test_destroy_says_which_disk_stays(made: Site) -> None:
    device = made.api.get(INSTANCE)["disks"][0]["deviceName"]
    made.api.must(
        "POST", f"{INSTANCE}/setDiskAutoDelete", None, autoDelete="false", deviceName=device
    )
    assert "goes on costing" in made.ok("destroy", "--check")
    done = made.ok("destroy", "-e", f"confirm={NAME}")
    assert f"These disks stay and go on costing: {NAME}" in done
    everything = ("-e", "destroy_disks=true")
    assert f"disk {NAME}" in made.ok("destroy", "--check", *everything)
    made.ok("destroy", "-e", f"confirm={NAME}", *everything, changed=1)
    assert made.stored("disks") == []


def test_destroy_lists_and_deletes_what_was_kept_elsewhere(site: Site) -> None:
    near = "us-central1-b"
    kept = {"name": f"{NAME}-data", "size_gb": 20, "auto_delete": True}
    site.variables |= {
        "gce_zone": near,
        "gce_instance_extra_disks": [kept],
        "gce_instance_allow_recreate": True,
    }
    site.make()
    stop = {"zone": near, "machine_type": "*"}
    site.emulator.admin("PUT", "stockouts", stop)
    site.variables["gce_instance_boot_disk_type"] = "pd-ssd"
    assert site.play(str(site.folder / "make.yml")).returncode == 2
    site.emulator.admin("DELETE", "stockouts")
    del site.variables["gce_instance_extra_disks"]
    site.variables |= {
        "gce_zone": ZONE,
        "gce_instance_placements": [{"zone": ZONE}, {"zone": near}],
    }
    loose = f"zones/{near}/disks"
    site.api.must("POST", loose, {"name": f"{NAME}-old", "sizeGb": "10"})
    listed = site.ok("destroy", "--check")
    assert f"disk {NAME}-data" in listed
    assert f"disk {NAME}-old" not in listed
    # One of another name, left when the instance that used it went.
    site.api.must("POST", loose, {"name": "weights", "sizeGb": "10"})
    site.variables["gce_instance_extra_disks"] = [{"name": "weights", "size_gb": 10}]
    done = site.ok("destroy", "-e", f"confirm={NAME}")
    assert f"These disks stay and go on costing: {NAME}-old, weights" in done
    assert [one["name"] for one in site.stored("disks")] == [f"{NAME}-old", "weights"]
    done = site.ok("destroy", "-e", f"confirm={NAME}", "-e", "destroy_disks=true")
    assert f"These disks stay and go on costing: {NAME}-old" in done
    assert [one["name"] for one in site.stored("disks")] == [f"{NAME}-old"]
    assert list(Path(site.variables["gce_vllm_state_dir"]).glob("recreate-*")) == []


def test_destroy_asks_for_the_name_at_a_terminal(made: Site) -> None:
    assert made.at_terminal("destroy", "another-name") == 2
    assert made.api.get(INSTANCE)["status"] == "RUNNING"
    assert made.at_terminal("destroy", NAME) == 0
    assert made.stored("instances") == []


def test_cost_of_the_plan(site: Site) -> None:
    found = site.document("cost")
    assert [part["kind"] for part in found["parts"]] == ["machine", "gpu", "disk", "address"]
    assert all(part["dated"] and part["source"] for part in found["parts"])
    assert found["total"]["on_demand"]["hourly"] == pytest.approx(0.7255, abs=1e-3)
    assert found["total"]["spot"]["hourly"] < found["total"]["commit_3y"]["hourly"] < 0.4
    assert found["total"]["stopped"]["monthly"] == 10.0
    assert "2025-03-06" in site.ok("cost", changed=0)


def test_preflight_says_the_price_with_its_date(site: Site) -> None:
    said = site.ok("preflight", changed=0)
    assert "cost about 0.726 USD an hour while it runs, 529" in said
    assert "list prices in USD of 2025-03-06" in said


def test_cost_of_each_placement(site: Site) -> None:
    site.variables["gce_instance_placements"] = [
        {"zone": "us-central1-a"},
        {"zone": "europe-west4-a", "machine_type": "a3-highgpu-8g", "provisioning_model": "SPOT"},
    ]
    found = site.document("cost")
    first, second = found["placements"]
    assert first["total"]["on_demand"]["hourly"] == pytest.approx(0.7255, abs=1e-3)
    assert second["title"] == "europe-west4-a, a3-highgpu-8g, SPOT:"
    assert second["parts"][0]["on_demand"] is None
    assert second["total"]["on_demand"]["hourly"] is None
    assert len(second["total"]["on_demand"]["unknown"]) == 2


def test_preflight_counts_the_disk_of_a_stopped_instance_once(made: Site) -> None:
    made.ok("stop")
    made.quota("us-central1", "SSD_TOTAL_GB", 100)
    said = made.ok("preflight", changed=0)
    assert "SSD_TOTAL_GB 100 of 100" in said
    made.quota("us-central1", "NVIDIA_L4_GPUS", 0)
    done = made.play("playbooks/preflight.yml")
    assert done.returncode == 2 and "NVIDIA_L4_GPUS" in done.stdout, "its GPU it has to get again"


@only_in_full
def test_preflight_counts_what_a_bigger_machine_needs_more(made: Site) -> None:
    made.quota("us-central1", "NVIDIA_L4_GPUS", 1)
    made.ok("preflight", changed=0)
    done = made.play("playbooks/preflight.yml", "-e", "gce_instance_machine_type=g2-standard-48")
    said = " ".join(done.stdout.split())
    assert done.returncode == 2
    assert "NVIDIA_L4_GPUS us-central1 3 0 1 1 SHORT" in said
    made.quota("us-central1", "NVIDIA_L4_GPUS", 4)
    made.ok("preflight", "-e", "gce_instance_machine_type=g2-standard-48", changed=0)


@only_in_full
def test_preflight_counts_further_disks(site: Site) -> None:
    site.quota("us-central1", "SSD_TOTAL_GB", 150)
    site.variables |= {
        "gce_instance_boot_disk_size_gb": 60,
        "gce_instance_extra_disks": [{"name": "weights", "size_gb": 500, "type": "pd-ssd"}],
    }
    done = site.play("playbooks/preflight.yml")
    assert done.returncode == 2
    assert "SSD_TOTAL_GB us-central1 560 150 0 150 SHORT" in " ".join(done.stdout.split())
    # One that is there has its share.
    disk = {"name": "weights", "sizeGb": "90", "type": f"zones/{ZONE}/diskTypes/pd-ssd"}
    site.api.must("POST", f"zones/{ZONE}/disks", disk)
    site.variables["gce_instance_extra_disks"][0]["size_gb"] = 90
    site.ok("preflight", changed=0)


def test_preflight_names_what_is_not_there(site: Site) -> None:
    for setting, wrong, words in (
        ("gce_instance_boot_disk_type", "pd-blanced", "Did you mean pd-balanced"),
        ("gce_network_name", "defualt", "There is no network defualt. Did you mean default"),
    ):
        done = site.play("playbooks/preflight.yml", "-e", f"{setting}={wrong}")
        assert done.returncode == 2
        assert words in " ".join(done.stdout.split())


def test_cost_names_what_the_table_lacks(site: Site) -> None:
    site.variables |= {"gce_zone": "europe-west4-a", "gce_instance_machine_type": "a3-highgpu-8g"}
    found = site.document("cost")
    (only,) = found["placements"]
    assert only["title"] == "europe-west4-a, a3-highgpu-8g, STANDARD:"
    assert found["parts"][0]["on_demand"] is None
    total = found["total"]["on_demand"]
    assert total["hourly"] is None
    assert len(total["unknown"]) == 2


def test_misspelt_output_is_refused(site: Site) -> None:
    done = site.play("playbooks/cost.yml", "-e", "cost_outptu=x.json")
    assert done.returncode == 2
    assert "Did you mean cost_output" in done.stdout


def test_drift_of_a_missing_instance(site: Site) -> None:
    found = site.drift()
    assert found["status"] == "drift", found["errors"]
    rows = differing(found)
    assert rows[("cloud", "instance llm-server", "instance")] == (None, NAME)
    assert ("cloud", "firewall rule llm-server-api", "firewall") in rows
    assert found["layers_checked"] == {"cloud": True, "host": False, "service": False}


def test_drift_of_a_stopped_instance_and_a_changed_rule(made: Site) -> None:
    made.ok("stop")
    opened = {"sourceRanges": ["192.0.2.0/24"], "sourceTags": ["theirs"]}
    made.api.must("PATCH", "global/firewalls/llm-server-api", opened)
    first = made.drift()
    assert first["status"] == "drift", first["errors"]
    assert differing(first) == {
        ("cloud", "instance llm-server", "status"): ("TERMINATED", "RUNNING"),
        ("cloud", "firewall rule llm-server-api", "source_ranges"): (
            ["192.0.2.0/24"],
            ["198.51.100.7/32"],
        ),
        ("cloud", "firewall rule llm-server-api", "source_tags"): (["theirs"], []),
    }
    second = made.drift("--check")
    assert second["differences"] == first["differences"]


def test_drift_that_a_run_may_not_put_right_is_drift(made: Site) -> None:
    made.variables["gce_instance_machine_type"] = "g2-standard-8"
    found = made.drift()
    assert found["status"] == "drift", found["errors"]
    row = differing(found)[("cloud", "instance llm-server", "machine_type")]
    assert row == ("g2-standard-4", "g2-standard-8")


def test_drift_without_a_host_to_look_at_is_an_error(made: Site) -> None:
    found = made.drift()
    assert (found["status"], found["differences"]) == ("error", [])
    assert "llm_servers" in found["errors"][0]["message"]


def test_drift_on_a_host_that_does_not_answer_is_an_error(made: Site) -> None:
    made.servers = {NAME: {"ansible_host": "127.0.0.1", "ansible_port": free_port()}}
    found = made.drift()
    assert found["status"] == "error"
    assert found["errors"][0]["host"] == NAME
    assert "refused" in found["errors"][0]["message"].lower()


@only_in_full
def test_drift_without_an_api_is_an_error(site: Site) -> None:
    site.variables["gce_endpoint"] = f"http://127.0.0.1:{free_port()}/compute/v1"
    found = site.drift()
    assert found["status"] == "error"
    assert "nothing answers" in found["errors"][0]["message"]
