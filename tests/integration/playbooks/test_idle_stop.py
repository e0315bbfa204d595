# SPDX-License-Identifier: Apache-2.0
"""An instance that switched itself off when idle: who leaves it stopped, and who starts it."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.support.emulator_fixture import ZONE
from tests.support.playbook_runs import ansible_playbook
from tests.support.site_fixture import DRIFT_KEYS, MAKE, NAME, Site

INSTANCE = f"zones/{ZONE}/instances/{NAME}"
SAID = "stopped: idle since about"


def power_off(site: Site) -> None:
    where = {"project": site.emulator.project, "zone": ZONE, "instance": NAME}
    site.api.wait(site.emulator.admin("POST", "power-off", where))
    assert site.api.get(INSTANCE)["status"] == "TERMINATED"


def test_drift_timer_and_status_know_an_idle_stop_and_people_end_it(made: Site) -> None:
    # Where only the hosts see it, and there is none while the instance is down.
    settings = made.folder / "group_vars"
    settings.mkdir()
    (settings / "llm_servers.yml").write_text("llm_server_idle_stop_minutes: 30\n")
    power_off(made)

    target = made.folder / "drift.json"
    done = made.play("playbooks/drift.yml", "-e", f"drift_output={target}")
    assert done.returncode == 0, done.stdout
    report = json.loads(target.read_text())
    assert set(report) == DRIFT_KEYS
    assert (report["status"], report["differences"]) == ("clean", [])
    [rests] = report["at_rest"]
    assert SAID in rests
    assert SAID in done.stdout

    status = made.document("status")
    assert status["status"] == "TERMINATED"
    assert status["stopped"]["reason"] == "idle"
    assert status["stopped"]["since"] < status["stopped"]["at"]

    # As the timer that repairs runs it, and then as a person does.
    only = made.folder / "only.yml"
    only.write_text(yaml.safe_dump([{**MAKE[0], "roles": [MAKE[0]["roles"][1]]}]))
    timer = made.play(str(only), "-e", "gce_instance_start_when_idle=false")
    assert timer.returncode == 0, timer.stdout
    assert SAID in timer.stdout
    assert " changed=0 " in timer.stdout
    assert made.api.get(INSTANCE)["status"] == "TERMINATED"
    person = made.play(str(only))
    assert person.returncode == 0, person.stdout
    assert made.api.get(INSTANCE)["status"] == "RUNNING"

    # The record is of that stop: one by others is told as before.
    made.api.must("POST", f"{INSTANCE}/stop")
    assert made.document("status")["stopped"] is None
    again = made.play(str(only), "-e", "gce_instance_start_when_idle=false")
    assert again.returncode == 0, again.stdout
    assert made.api.get(INSTANCE)["status"] == "RUNNING"


def test_a_machine_that_nobody_could_start_again_is_not_switched_off(tmp_path: Path) -> None:
    def looks(**variables: object) -> dict[str, object]:
        return {
            "name": "Look at the settings",
            "ansible.builtin.include_role": {
                "name": "llmops.gce_vllm.llm_server",
                "tasks_from": "preflight",
            },
            "vars": {
                "llm_server_model_name": "m",
                "llm_server_api_keys": ["an-api-key-of-this-test"],
                "llm_server_idle_stop_minutes": 30,
                **variables,
            },
        }

    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            looks(llm_server_idle_stop_own_machine=True),
            looks(gcp_labels={}),
            looks(llm_server_idle_stop_minutes=0),
            {"name": "None was refused", "ansible.builtin.debug": {"msg": "all three pass"}},
            looks(),
        ],
    }
    book = tmp_path / "looks.yml"
    book.write_text(yaml.safe_dump([play]))
    done = ansible_playbook("-i", "localhost,", "-c", "local", book)
    said = " ".join(done.stdout.split())
    assert done.returncode == 2, said
    passed, refused = said.split("all three pass")
    assert "no instance of Compute Engine" not in passed
    assert "no instance of Compute Engine, so start.yml could not start it" in refused
    assert "llm_server_idle_stop_own_machine: true" in refused
