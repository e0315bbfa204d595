# SPDX-License-Identifier: Apache-2.0
"""How many requests runs without a change send, and when the record of the boot disk counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Api

RECORD = "gce-vllm-boot-disk"


def small(name: str, **changes: Any) -> m.Json:
    """Options of a machine of which a project may have many: no GPU, no external address."""
    return m.machine(name, machine_type="e2-small", external_ip=False, **changes)


def without_change(cloud: m.Cloud, **options: Any) -> list[str]:
    """Requests of a run that finds all as it should be; tokens, which name no project, aside."""
    cloud.admin("DELETE", "requests")
    found = cloud.ok("gce_instance", **options)
    assert found["changed"] is False, found["changes"]
    return sent(cloud)


def sent(cloud: m.Cloud) -> list[str]:
    log = cloud.admin("GET", f"requests?project={cloud.emulator.project}")
    of_images = cloud.admin("GET", f"requests?project={m.IMAGES}")
    every = log["requests"] + of_images["requests"]
    return sorted(one["path"].split("/projects/")[1].split("/", 1)[1] for one in every)


def disk_path(name: str) -> str:
    return f"zones/{m.ZONE}/disks/{name}"


def test_one_instance(cloud: m.Cloud) -> None:
    """Two requests, one without the question for a newer image."""
    cloud.ok("gce_instance", **small("one"))
    instance = f"zones/{m.ZONE}/instances/one"
    family = f"global/images/family/{m.FAMILY}"
    assert without_change(cloud, **small("one")) == [family, instance]
    assert without_change(cloud, **small("one", report_newer_image=False)) == [instance]


def test_ten_instances(cloud: m.Cloud) -> None:
    """Only the first asks whether there is a newer image."""
    many = [small(f"many-{n}", report_newer_image=n == 0) for n in range(10)]
    for desired in many:
        cloud.ok("gce_instance", **desired)
    counts = [len(without_change(cloud, **desired)) for desired in many]
    assert counts[0] <= 3
    assert sum(counts) < 2 * len(many)
    assert sum(counts) == 11, counts


def test_without_the_record_the_disk_is_read_and_nothing_changes(cloud: m.Cloud) -> None:
    cloud.ok("gce_instance", **small("adopted"))
    cloud.ok("gce_instance", zone=m.ZONE, name="adopted", metadata={RECORD: None})
    assert disk_path("adopted") in without_change(cloud, **small("adopted"))
    [stored] = cloud.stored("instances")
    assert RECORD not in {one["key"] for one in stored["metadata"]["items"]}


@pytest.mark.parametrize("record", ["other:pd-balanced", "wrong:", "wrong", "wrong:pd-ssd"])
def test_a_record_that_says_other_is_not_believed(cloud: m.Cloud, record: str) -> None:
    """Whether of another disk or of another type: the disk itself decides."""
    cloud.ok("gce_instance", **small("wrong"))
    cloud.ok("gce_instance", zone=m.ZONE, name="wrong", metadata={RECORD: record})
    assert disk_path("wrong") in without_change(cloud, **small("wrong"))


def test_a_disk_that_grew_elsewhere_is_seen(cloud: m.Cloud, api: Api) -> None:
    cloud.ok("gce_instance", **small("grown"))
    api.must("POST", f"{disk_path('grown')}/resize", {"sizeGb": "150"})
    boot = small("grown")["boot_disk"]
    assert disk_path("grown") not in without_change(
        cloud, **small("grown", boot_disk={**boot, "size_gb": 150})
    )


def test_a_new_disk_has_a_new_record(cloud: m.Cloud) -> None:
    cloud.ok("gce_instance", **small("recreated"))
    desired = small("recreated", boot_disk={**small("recreated")["boot_disk"], "type": "pd-ssd"})
    made = cloud.ok("gce_instance", **desired, allow_recreate=True)
    records = {one["key"]: one["value"] for one in made["instance"]["metadata"]["items"]}
    assert records[RECORD] == "recreated:pd-ssd"
    assert disk_path("recreated") not in without_change(cloud, **desired)
