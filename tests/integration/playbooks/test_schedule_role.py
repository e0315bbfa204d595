# SPDX-License-Identifier: Apache-2.0
"""Office hours and pinned images, as the playbooks show them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.emulator_fixture import ZONE, Api, Emulator
from tests.support.modules_fixtures import FAMILY, IMAGES, REGION
from tests.support.site_fixture import MAKE, NAME, Site

INSTANCE = f"zones/{ZONE}/instances/{NAME}"
POLICIES = f"regions/{REGION}/resourcePolicies"


@pytest.fixture
def site(emulator: Emulator, api: Api, tmp_path: Path) -> Iterator[Site]:
    yield Site(emulator, api, tmp_path)


def daily(hours_ago: int) -> str:
    """A cron expression that fired so many hours ago, in UTC."""
    then = dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours_ago)
    return f"{then.minute} {then.hour} * * *"


def pin(site: Site, image: str) -> None:
    """Write down that the boot disk was made from this image."""
    metadata = site.api.get(INSTANCE)["metadata"]
    items = [one for one in metadata["items"] if not one["key"].startswith("gce-vllm-image")]
    items.append({"key": "gce-vllm-image", "value": image})
    body = {"fingerprint": metadata["fingerprint"], "items": items}
    site.api.must("POST", f"{INSTANCE}/setMetadata", body)


def test_a_stop_by_the_schedule_is_no_drift_and_a_newer_image_is(site: Site) -> None:
    site.variables |= {
        "gce_instance_schedule": {"start": daily(4), "stop": daily(2)},
        "gce_instance_image_pattern": f"{FAMILY}-*",
    }
    site.make()
    assert site.api.get(POLICIES)["items"][0]["name"] == f"{NAME}-schedule"
    assert site.api.get(INSTANCE)["resourcePolicies"][0].endswith(f"/{NAME}-schedule")
    old = f"{IMAGES}/{FAMILY}-v20260212"
    pin(site, old)
    site.api.must("POST", f"{INSTANCE}/stop")

    found = site.drift()
    assert found["status"] == "drift", found["errors"]
    assert [(one["object"], one["field"], one["is"]) for one in found["differences"]] == [
        (f"instance {NAME}", "boot_disk.image", old)
    ]
    # The schedule's stop came last, so nothing is said of the instance being stopped; whoever runs
    # the roles without that care means to have it running.
    site.variables |= {"gce_instance_schedule": {}, "gce_instance_ignore_newer_image": True}
    only = site.folder / "only.yml"
    only.write_text(yaml.safe_dump([{**MAKE[0], "roles": [MAKE[0]["roles"][1]]}]))
    done = site.play(str(only))
    assert done.returncode == 0, done.stdout
    assert old not in done.stdout
    assert site.api.get(INSTANCE)["status"] == "RUNNING"
    assert "resourcePolicies" not in site.api.get(INSTANCE)
    assert site.api.get(POLICIES).get("items", []) == []
