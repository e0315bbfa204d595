# SPDX-License-Identifier: Apache-2.0
"""A Spot instance is taken away: it is said what was lost, and the next run brings it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Api, Emulator, instance_body
from tests.support.site_fixture import MAKE, NAME, Site

WHERE: dict[str, Any] = {"zones": [m.ZONE], "name": NAME}


def spot(action: str) -> dict[str, Any]:
    scheduling = {
        "provisioningModel": "SPOT",
        "instanceTerminationAction": action,
        "onHostMaintenance": "TERMINATE",
        "automaticRestart": False,
    }
    return instance_body(NAME, scheduling=scheduling)


def take_away(cloud: m.Cloud, api: Api) -> None:
    where = {"project": cloud.emulator.project, "zone": m.ZONE, "instance": NAME}
    api.wait(cloud.admin("POST", "preempt", where))


@pytest.mark.parametrize(("action", "lost"), [("STOP", "in memory"), ("DELETE", "boot disk")])
def test_what_was_lost_is_told_until_someone_acts(
    emulator: Emulator, api: Api, action: str, lost: str
) -> None:
    cloud = m.Cloud(emulator)
    api.must("POST", f"zones/{m.ZONE}/instances", spot(action))
    assert cloud.ok("gce_preemption_info", **WHERE)["preemption"] is None
    take_away(cloud, api)
    found = cloud.ok("gce_preemption_info", **WHERE)["preemption"]
    assert lost in found["lost"]
    assert found["at"] in found["line"]
    assert found["zone"] == m.ZONE
    api.must("POST", f"zones/{m.ZONE}/instances", instance_body(f"{NAME}-2"))
    listed = cloud.ok("gce_preemption_info", **WHERE)["preemption"]
    assert listed == found, "what is done to another is none of its history"
    if action == "DELETE":
        api.must("POST", f"zones/{m.ZONE}/instances", spot(action))
    api.must("POST", f"zones/{m.ZONE}/instances/{NAME}/stop")
    assert cloud.ok("gce_preemption_info", **WHERE)["preemption"] is None


def test_the_next_run_says_it_and_brings_the_instance_back(
    emulator: Emulator, api: Api, tmp_path: Path
) -> None:
    site = Site(emulator, api, tmp_path)
    site.variables["gce_instance_provisioning_model"] = "SPOT"
    play = tmp_path / "only.yml"
    play.write_text(yaml.safe_dump([{**MAKE[0], "roles": [MAKE[0]["roles"][1]]}]))
    assert site.play(str(play)).returncode == 0
    take_away(m.Cloud(emulator), api)
    done = site.play(str(play))
    assert done.returncode == 0, done.stdout
    said = " ".join(done.stdout.split())
    assert f"Google took the Spot instance {NAME} in {m.ZONE} away at" in said
    assert "requests in flight" in said
    assert api.get(f"zones/{m.ZONE}/instances/{NAME}")["status"] == "RUNNING"
