# SPDX-License-Identifier: Apache-2.0
"""An H100 machine on Spot, with its local SSDs, through site.yml, stop.yml and start.yml."""

from __future__ import annotations

from typing import Any

from tests.support.exhaustive import only_in_full
from tests.support.modules_fixtures import Json
from tests.support.site_fixture import NAME, Site

FIRST, SECOND = "us-central1-a", "us-central1-c"
SITE = ("site", "--tags", "preflight,provision")


def the_one(site: Site) -> Json:
    """The one instance that there is."""
    [found] = site.stored("instances")
    return found


def seen(site: Site) -> tuple[str, str, str, int]:
    """Zone, machine type and status of the one instance, and how many local SSDs it has."""
    one = the_one(site)
    local = [disk for disk in one["disks"] if disk["type"] == "SCRATCH"]
    zone, machine = (str(one[name]).rsplit("/", 1)[1] for name in ("zone", "machineType"))
    return zone, machine, str(one["status"]), len(local)


def take_away(site: Site) -> None:
    zone = seen(site)[0]
    where = {"project": site.emulator.project, "zone": zone, "instance": NAME}
    site.api.wait(site.emulator.admin("POST", "preempt", where))


def started(site: Site) -> Any:
    """start.yml; a record boots no host that could be waited for, which is said at its end."""
    site.servers = {}
    done = site.play("playbooks/start.yml")
    site.reach_locally()
    assert "no host in the group llm_servers" in " ".join(done.stdout.split()), done.stdout
    return done


@only_in_full
def test_h100_on_spot_from_the_first_run_to_another_zone(site: Site) -> None:
    del site.variables["gce_zone"]
    site.variables |= {
        "gce_instance_machine_type": "a3-highgpu-8g",
        "gce_instance_provisioning_model": "SPOT",
        "gce_instance_placements": [{"zone": FIRST}, {"zone": SECOND}],
        "gce_instance_boot_disk_type": "pd-balanced",
    }
    site.reach_locally()
    site.quota("us-central1", "PREEMPTIBLE_NVIDIA_H100_GPUS", 8)
    site.ok(*SITE)
    assert seen(site) == (FIRST, "a3-highgpu-8g", "RUNNING", 16)
    site.ok("stop", changed=1)
    assert seen(site) == (FIRST, "a3-highgpu-8g", "TERMINATED", 16)
    started(site)
    assert seen(site) == (FIRST, "a3-highgpu-8g", "RUNNING", 16)

    # Another size is another machine, as Google changes none with local SSDs.
    smaller = ("-e", "gce_instance_machine_type=a3-highgpu-4g")
    site.variables["gce_instance_allow_recreate"] = True
    site.ok(*SITE, *smaller)
    assert seen(site) == (FIRST, "a3-highgpu-4g", "RUNNING", 8)

    # Taken away, and its zone has none left: the next run has it where there is one.
    take_away(site)
    assert seen(site)[2] == "TERMINATED"
    stockout = {"zone": FIRST, "machine_type": "*", "details": True}
    site.emulator.admin("PUT", "stockouts", stockout)
    said = site.ok(*SITE)
    assert f"{FIRST} a3-highgpu-8g SPOT (ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS)" in said
    assert seen(site) == (SECOND, "a3-highgpu-8g", "RUNNING", 16)

    # Taken away again, and brought back by start.yml, whichever zone has room.
    take_away(site)
    site.emulator.admin("DELETE", "stockouts")
    site.emulator.admin("PUT", "stockouts", stockout | {"zone": SECOND})
    started(site)
    assert seen(site) == (FIRST, "a3-highgpu-8g", "RUNNING", 16)


def test_preflight_says_how_a_machine_is_sold(site: Site) -> None:
    site.variables |= {
        "gce_zone": "europe-west1-b",
        "gce_instance_machine_type": "a4-highgpu-8g",
        "gce_instance_boot_disk_type": "hyperdisk-balanced",
    }
    site.quota("europe-west1", "NVIDIA_B200", 8)
    done = site.play("playbooks/preflight.yml")
    assert done.returncode == 2
    said = " ".join(done.stdout.split())
    assert "Google sells a4-highgpu-8g as SPOT or FLEX_START or RESERVATION_BOUND" in said
    assert "gce_instance_provisioning_model" in said
    site.quota("europe-west1", "PREEMPTIBLE_NVIDIA_B200_GPUS", 8)
    site.ok("preflight", "-e", "gce_instance_provisioning_model=SPOT", changed=0)
    assert site.stored("instances") == []
