# SPDX-License-Identifier: Apache-2.0
"""An AI zone, whose last part is more than a letter, through the roles."""

from __future__ import annotations

from pathlib import Path

from tests.support.emulator_fixture import Api, Emulator
from tests.support.site_fixture import NAME, Site

ZONE = "us-central1-ai1a"


def test_everything_is_in_its_region(emulator: Emulator, api: Api, tmp_path: Path) -> None:
    site = Site(emulator, api, tmp_path)
    site.variables |= {
        "gce_zone": ZONE,
        "gce_instance_machine_type": "e2-standard-4",
        "gce_instance_static_address": True,
        "gce_instance_schedule": {"start": "0 0 * * *", "stop": "59 23 * * *"},
        "gce_instance_start_outside_schedule": True,
    }
    said = site.ok("site", "--tags", "preflight")
    assert ZONE in said
    site.make()
    (made,) = site.stored("instances")
    assert made["zone"].endswith(f"/{ZONE}")
    (policy,) = made["resourcePolicies"]
    assert policy.endswith(f"/regions/us-central1/resourcePolicies/{NAME}-schedule")
    (address,) = site.stored("addresses")
    assert address["region"].endswith("/us-central1")
