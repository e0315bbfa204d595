# SPDX-License-Identifier: Apache-2.0
"""Where there is no room: placements, as an operator sets them, through site.yml and start.yml."""

from __future__ import annotations

import json

import pytest

from tests.support.emulator_fixture import instance_body
from tests.support.exhaustive import only_in_full
from tests.support.modules_fixtures import Json
from tests.support.site_fixture import NAME, Site

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


def addresses(site: Site) -> list[Json]:
    """What is reserved in the project."""
    cloud, _ = site.state()
    found: list[Json] = cloud["addresses"]
    return found


def address_of(site: Site) -> str:
    """External address of the one instance."""
    [one] = instances(site)
    return str(one["networkInterfaces"][0]["accessConfigs"][0]["natIP"])


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


@only_in_full
def test_without_quota_for_spot_the_standard_one_stands_in(placed: Site) -> None:
    placed.variables["gce_instance_placements"] = [
        {"zone": ZONES[0], "provisioning_model": "SPOT"},
    ]
    # As in a new project: a Spot instance then counts as a standard one.
    placed.quota("us-central1", "PREEMPTIBLE_NVIDIA_L4_GPUS", 0)
    placed.quota("us-central1", "NVIDIA_L4_GPUS", 1)
    said = placed.ok(*SITE)
    assert "NVIDIA_L4_GPUS 0 of 1 in place of PREEMPTIBLE_NVIDIA_L4_GPUS" in said
    assert "Not enough quota" not in said
    [one] = instances(placed)
    assert (one["status"], one["scheduling"]["provisioningModel"]) == ("RUNNING", "SPOT")
    assert "NVIDIA_L4_GPUS 1 of 1 in place of" in placed.ok(*SITE, changed=0)
    # What it took is gone for the next.
    placed.variables["gce_name"] = "another"
    refused = placed.play("playbooks/site.yml", *SITE[1:])
    assert refused.returncode == 2
    assert "NVIDIA_L4_GPUS us-central1 1 0 1 1 SHORT" in " ".join(refused.stdout.split())


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


@pytest.fixture
def short(placed: Site) -> Site:
    """A project without GPUs in the regions of all placements."""
    for region in ("us-central1", "us-east1"):
        placed.quota(region, "NVIDIA_L4_GPUS", 0)
    return placed


def preflight(site: Site) -> str:
    """What a preflight says that has to stop the run, with nothing made."""
    done = site.play("playbooks/site.yml", "--tags", "preflight,provision")
    assert done.returncode == 2, done.stdout
    assert instances(site) == []
    return " ".join(done.stdout.split())


def asked(site: Site) -> list[Json]:
    """The requests for quota that Google has."""
    url = f"{site.emulator.url}/v1/projects/{site.emulator.project}/locations/global"
    found: list[Json] = site.api.session.get(f"{url}/quotaPreferences", timeout=120).json()[
        "quotaPreferences"
    ]
    return found


def test_no_quota_in_any_placement_stops_with_a_table(short: Site) -> None:
    said = preflight(short)
    for zone in ZONES:
        assert f"Not enough quota for {zone} g2-standard-4 STANDARD" in said
    for region in ("us-central1", "us-east1"):
        assert f"NVIDIA_L4_GPUS {region} 1 0 0 0 SHORT" in said
    assert "ask for a limit of 1 at https://console.cloud.google.com" in said
    assert "preflight_quota_request: true" in said
    assert asked(short) == []


def test_quota_request_is_granted_and_the_run_goes_on(short: Site) -> None:
    short.variables["preflight_quota_request"] = True
    assert "preflight_quota_request_email is ''" in preflight(short)
    assert asked(short) == []

    short.variables["preflight_quota_request_email"] = "ops@example.com"
    said = short.ok(*SITE)
    assert "NVIDIA_L4_GPUS (us-central1): a limit of 1 was granted" in said
    assert where(short) == ZONES[0]
    [request] = asked(short)
    assert "vLLM" in request["justification"]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("pending", ["is asked for, and Google has not decided yet", "Run again then"]),
        ("denied", ["a limit of 1 was denied", "another machine type or region"]),
    ],
)
def test_quota_request_that_is_not_granted(short: Site, outcome: str, words: list[str]) -> None:
    short.emulator.admin("PUT", "quota-requests", {"outcome": outcome})
    short.variables |= {
        "preflight_quota_request": True,
        "preflight_quota_request_email": "ops@example.com",
        "preflight_quota_request_wait": 0,
    }
    said = preflight(short)
    for text in words:
        assert text in said
    assert len(asked(short)) == 1


def test_start_goes_to_another_zone_only_where_it_may_lose_the_disk(placed: Site) -> None:
    """With a static address, which moves to the region where the instance lands."""
    placed.variables["gce_instance_static_address"] = True
    placed.make()
    [kept] = addresses(placed)
    assert kept["users"] and address_of(placed) == kept["address"]
    placed.ok("stop", changed=1)
    out(placed, *ZONES[:2])

    placed.servers = {}  # what a start waits for is no record's to give
    refused = placed.play("playbooks/start.yml")
    said = " ".join(refused.stdout.split())
    assert refused.returncode == 2
    assert "It is still there, stopped" in said and "allow_recreate: true" in said
    for zone in ZONES:
        assert f"{zone} g2-standard-4 STANDARD" in said.split("PLACEMENT")[1]
    assert where(placed) == ZONES[0]

    # Where the list lacks its zone that one comes first all the same, and the others wait.
    rest = json.dumps({"gce_instance_placements": [{"zone": zone} for zone in ZONES[1:]]})
    refused = placed.play("playbooks/start.yml", "-e", rest)
    said = " ".join(refused.stdout.split())
    assert refused.returncode == 2
    assert f"{ZONES[0]} is in no entry of gce_instance_placements" in said
    assert "It is still there, stopped" in said and "allow_recreate: true" in said
    first, second = (said.split("PLACEMENT")[1].index(zone) for zone in ZONES[:2])
    assert first < second
    assert where(placed) == ZONES[0]

    theirs = {"name": f"{NAME}-ip", "description": "theirs"}
    placed.api.must("POST", "regions/europe-west4/addresses", theirs)
    placed.variables["gce_instance_allow_recreate"] = True
    done = placed.play("playbooks/start.yml")
    said = " ".join(done.stdout.split())
    assert "no host in the group llm_servers" in said
    assert f"was recreated in {ZONES[2]}" in said and "Its old boot disk is gone" in said
    assert where(placed) == ZONES[2]
    others, moved = sorted(addresses(placed), key=lambda one: str(one["region"]))
    assert moved["region"].endswith("/us-east1"), "the one in the old region was released"
    assert others["description"] == "theirs", "and nobody else's"
    assert moved["users"] and address_of(placed) == moved["address"]


@only_in_full
def test_static_address_survives_stop_start_and_a_new_instance(site: Site) -> None:
    site.reach_locally()
    site.variables["gce_instance_static_address"] = True
    site.ok(*SITE)
    [kept] = addresses(site)
    assert kept["address"] == address_of(site) and kept["status"] == "IN_USE"
    site.ok(*SITE, changed=0)
    assert site.document("status")["static_addresses"][0]["address"] == kept["address"]

    site.ok("stop", changed=1)
    stopped = site.document("status")
    assert stopped["cost"]["hourly"] > 100 * 0.1 / 730, "an address that waits costs too"
    site.servers = {}
    site.play("playbooks/start.yml")
    assert address_of(site) == kept["address"]

    site.variables |= {
        "gce_instance_boot_disk_type": "pd-ssd",
        "gce_instance_allow_recreate": True,
    }
    site.make()
    assert addresses(site)[0]["address"] == kept["address"] == address_of(site)

    listed = site.ok("destroy", "--check")
    assert f"static address {NAME}-ip ({kept['address']}, us-central1)" in listed
    site.ok("destroy", "-e", f"confirm={NAME}")
    cloud, _ = site.state()
    assert cloud["instances"] == cloud["disks"] == cloud["addresses"] == []
    site.ok("destroy", "-e", f"confirm={NAME}", changed=0)
