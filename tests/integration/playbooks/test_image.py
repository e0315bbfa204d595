# SPDX-License-Identifier: Apache-2.0
"""Image families that Google takes away under a deployment that runs, through the playbooks."""

from __future__ import annotations

import pytest

from tests.support.exhaustive import only_in_full
from tests.support.modules_fixtures import FAMILY, IMAGES, ZONE, Json
from tests.support.site_fixture import NAME, Site

SITE = ("site", "--tags", "preflight,provision")
INSTANCE = f"zones/{ZONE}/instances/{NAME}"
OTHER = "common-cu129-ubuntu-2204-nvidia-580"
NEWEST = "v20260918"


@pytest.fixture
def running(made: Site) -> Site:
    """An instance of the family that the inventory names, reached without a machine behind it."""
    made.reach_locally()
    return made


def image_of(site: Site) -> Json:
    """What the instance is, and what its image is said to be."""
    [one] = site.stored("instances")
    items = {item["key"]: item["value"] for item in one["metadata"]["items"]}
    return {"id": one["id"], "image": items["gce-vllm-image"]}


def drift_of(site: Site) -> Json:
    """What differs of a stopped instance, whose host nobody expects to look at, beside that."""
    servers, site.servers = site.servers, {}
    site.api.must("POST", f"{INSTANCE}/stop")
    found = site.drift()
    site.api.must("POST", f"{INSTANCE}/start")
    site.servers = servers
    assert (found["status"], found["errors"]) == ("drift", [])
    assert {one["object"] for one in found["differences"]} == {f"instance {NAME}"}
    [only] = [one for one in found["differences"] if one["field"] != "status"]
    assert len(found["differences"]) == 2
    return only


def test_vanished_family_does_not_stop_what_runs(running: Site) -> None:
    before = image_of(running)
    running.emulator.admin("PUT", f"images/{IMAGES}/{FAMILY}", {"state": "GONE"})
    said = running.ok(*SITE, changed=0)
    assert f"has no image family {FAMILY}" in said
    assert OTHER in said, "successors are named"
    assert f"image {before['image'].split('/')[1]}" in said
    assert image_of(running) == before
    only = drift_of(running)
    assert only["field"] == "boot_disk.image_family"
    assert only["is"] == f"{IMAGES}/{FAMILY} (gone)"
    assert only["should_be"].startswith(f"{IMAGES}/")

    # A new instance could not be made: that stops the run before anything is touched.
    running.ok("destroy", "-e", f"confirm={NAME}")
    refused = running.play("playbooks/site.yml", *SITE[1:])
    assert refused.returncode == 2
    assert f"has no image family {FAMILY}" in " ".join(refused.stdout.split())
    assert running.stored("instances") == []


@only_in_full
def test_another_family_in_the_settings_waits_for_leave(running: Site) -> None:
    before = image_of(running)
    running.emulator.admin("PUT", f"images/{IMAGES}/{FAMILY}", {"state": "GONE"})
    running.variables["gce_instance_image_family"] = OTHER
    said = running.ok(*SITE, changed=0)
    assert f"newest: {IMAGES}/{OTHER}-{NEWEST}" in said
    assert "gce_instance_image_update and gce_instance_allow_recreate together" in said
    assert image_of(running) == before
    running.variables["gce_instance_ignore_newer_image"] = True
    assert OTHER not in running.ok(*SITE, changed=0).split("Converge the instance")[1]
    del running.variables["gce_instance_ignore_newer_image"]

    only = drift_of(running)
    assert (only["field"], only["is"]) == ("boot_disk.image", before["image"])
    assert only["should_be"] == f"{IMAGES}/{OTHER}-{NEWEST}"
    running.variables |= {"gce_instance_image_update": True, "gce_instance_allow_recreate": True}
    running.ok(*SITE, changed=2)
    after = image_of(running)
    assert after["image"] == f"{IMAGES}/{OTHER}-{NEWEST}"
    assert after["id"] != before["id"]
    running.ok(*SITE, changed=0)


@only_in_full
def test_a_pattern_that_no_longer_fits_waits_for_leave_too(running: Site) -> None:
    before = image_of(running)
    running.variables["gce_instance_image_pattern"] = f"{OTHER}-*"
    said = running.ok(*SITE, changed=0)
    assert f"newest: {IMAGES}/{OTHER}-{NEWEST}" in said
    running.variables["gce_instance_image_pattern"] = "no-such-image-*"
    assert "matches no-such-image-*" in running.ok(*SITE, changed=0)
    assert image_of(running) == before
    only = drift_of(running)
    assert only["field"] == "boot_disk.image_pattern"
    assert only["is"] == f"{IMAGES}/no-such-image-* (gone)"
