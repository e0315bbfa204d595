# SPDX-License-Identifier: Apache-2.0
"""Where there is no room: placements, as an operator sets them, through site.yml and start.yml."""

from __future__ import annotations

import pytest

from tests.integration.emulator_fixture import instance_body
from tests.integration.modules_fixtures import Json
from tests.integration.site_fixture import NAME, Site

ZONES = ["us-central1-a", "us-central1-b", "us-east1-c"]
SITE = ("site", "--tags", "preflight,provision")


@pytest.fixture
def placed(site: Site) -> Site:
    """Three placements with an L4, in two regions; nothing made yet."""
    del site.variables["gce_zone"]
    site.variables["gce_instance_placements"] = [{"zone": zone} for zone in ZONES]
    site.reach_locally()
    return site


def out(site: Site, *zones: str) -> None:
    """Let Google have no machine left in these zones."""
    for zone in zones:
        site.emulator.admin("PUT", "stockouts", {"zone": zone})


def instances(site: Site) -> list[Json]:
    """What there is of instances in the project."""
    cloud, _ = site.state()
    found: list[Json] = cloud["instances"]
    return found


def where(site: Site) -> str:
    """Zone of the one instance."""
    [one] = instances(site)
    return str(one["zone"]).rsplit("/", 1)[1]


def test_stockout_in_two_zones_then_success_in_the_third(placed: Site) -> None:
    out(placed, *ZONES[:2])
    said = placed.ok(*SITE)
    assert where(placed) == ZONES[2]
    lines = [
        f"1. {ZONES[0]} g2-standard-4 STANDARD (ZONE_RESOURCE_POOL_EXHAUSTED)",
        f"2. {ZONES[1]} g2-standard-4 STANDARD (ZONE_RESOURCE_POOL_EXHAUSTED)",
        f"3. {ZONES[2]} g2-standard-4 STANDARD: created",
    ]
    for line in lines:
        assert line in said
        assert line in said.split("PLACEMENT")[1], "the summary at the end has it too"

    again = placed.ok(*SITE, changed=0)
    assert "PLACEMENT" not in again
    placed.servers = {}
    found = placed.drift()
    assert found["differences"] == []
    [only] = found["errors"]
    assert "llm_servers" in only["message"], "a record has no host, and nothing else is wrong"
    status = placed.document("status")
    assert (status["zone"], status["status"]) == (ZONES[2], "RUNNING")


def test_no_quota_left_for_spot_lands_standard(placed: Site) -> None:
    placed.variables["gce_instance_placements"] = [
        {"zone": ZONES[0], "provisioning_model": "SPOT"},
        {"zone": ZONES[0], "provisioning_model": "STANDARD"},
    ]
    # Not 0: a Spot instance then counts as a standard one.
    placed.quota("us-central1", "PREEMPTIBLE_NVIDIA_L4_GPUS", 1)
    spot = instance_body("another", scheduling={"provisioningModel": "SPOT"})
    placed.api.must("POST", f"zones/{ZONES[0]}/instances", spot)
    said = placed.ok(*SITE)
    [one] = [one for one in instances(placed) if one["name"] == NAME]
    assert one["scheduling"]["provisioningModel"] == "STANDARD"
    assert "SPOT (QUOTA_EXCEEDED)" in said
    assert f"Not enough quota for {ZONES[0]} g2-standard-4 SPOT" in said, "as the preflight said"


def test_every_zone_out_lists_all_attempts_and_leaves_nothing(placed: Site) -> None:
    out(placed, *ZONES)
    done = placed.play("playbooks/site.yml", "--tags", "preflight,provision")
    said = " ".join(done.stdout.split())
    assert done.returncode == 2
    assert "No placement has room" in said
    summary = said.split("PLACEMENT")[1]
    for zone in ZONES:
        assert f"{zone} g2-standard-4 STANDARD (ZONE_RESOURCE_POOL_EXHAUSTED)" in summary
    cloud, _ = placed.state()
    assert cloud["instances"] == cloud["disks"] == cloud["addresses"] == []
