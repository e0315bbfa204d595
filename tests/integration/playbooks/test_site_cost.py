# SPDX-License-Identifier: Apache-2.0
"""How many requests the cloud part of a site of several instances sends when nothing changes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Emulator
from tests.support.exhaustive import only_in_full
from tests.support.site_fixture import Site

SITE = ("site", "--tags", "preflight,provision")


def clouds(instances: int) -> m.Json:
    """A host for each instance."""
    return {f"cloud-{n}": {"gce_name": f"llm-{n}"} for n in range(instances)}


def sent(site: Site, instances: int) -> Counter[str]:
    """Requests of a run without a change, tokens aside: what was read, and how often."""
    site.clouds = clouds(instances)
    site.emulator.admin("DELETE", "requests")
    site.ok(*SITE, changed=0)
    log = site.emulator.admin("GET", "requests")["requests"]
    return Counter(f"{one['method']} {one['path']}" for one in log if "/compute/v1/" in one["path"])


@only_in_full
def test_a_further_instance_costs_one_request(site: Site) -> None:
    """All is read once for all of them, but the host keys that each published."""
    site.reach_locally()
    site.variables["gce_instance_machine_type"] = "e2-small"
    site.clouds = clouds(3)
    site.ok(*SITE)
    assert {one["name"] for one in site.stored("instances")} == {f"llm-{n}" for n in range(3)}
    two, three = sent(site, 2), sent(site, 3)
    [further] = (three - two).elements()
    assert further.endswith("/llm-2/getGuestAttributes")
    assert three.total() == two.total() + 1
    assert all(path.startswith("GET ") for path in three)


def small(name: str) -> m.Json:
    return m.machine(name, machine_type="e2-small", external_ip=False)


def test_what_differs_from_shared_reads_is_read_again(emulator: Emulator, tmp_path: Path) -> None:
    """An answer that is out of date makes no change, and hides none that is asked for."""
    cloud, reads = m.Cloud(emulator), {"shared_reads": str(tmp_path / "reads")}
    cloud.ok("gce_instance", **small("one"))
    assert not cloud.ok("gce_instance", **small("one"), **reads)["changed"]

    cloud.ok("gce_instance", zone=m.ZONE, name="one", labels={"owner": "another"})
    desired = small("one") | {"labels": {"owner": "another"}}
    cloud.admin("DELETE", "requests")
    found = cloud.ok("gce_instance", **desired, **reads)
    assert not found["changed"]
    log = cloud.admin("GET", f"requests?project={emulator.project}")["requests"]
    assert [one["path"].rsplit("/", 1)[1] for one in log] == ["one"]

    assert cloud.ok("gce_instance", True, **small("two"), **reads)["changed"]
    assert cloud.ok("gce_instance", **small("two"), **reads)["changed"]
    assert {one["name"] for one in cloud.stored("instances")} == {"one", "two"}
    assert cloud.ok("gce_firewall", state="absent", name="none", **reads)["changed"] is False


def test_shared_reads_hold_no_secret_and_are_nobody_elses(
    emulator: Emulator, tmp_path: Path
) -> None:
    cloud, folder = m.Cloud(emulator), tmp_path / "reads"
    secret = {"metadata": {"api-key": "a-value-for-few-eyes"}}
    cloud.ok("gce_instance", **(small("one") | secret))
    cloud.admin("DELETE", "requests")
    desired = {**(small("one") | secret), "report_newer_image": False, "shared_reads": str(folder)}
    for _ in range(2):
        assert not cloud.ok("gce_instance", **desired)["changed"]
    log = cloud.admin("GET", f"requests?project={emulator.project}")["requests"]
    # The second finds the secret left out of what is kept, and so reads the instance itself.
    assert [one["path"].rsplit("/", 1)[1] for one in log] == ["instances", "one"]
    assert folder.stat().st_mode & 0o077 == 0
    kept = [one.read_text(encoding="utf-8") for one in folder.iterdir()]
    assert any("projects" in one for one in kept)
    assert not any("a-value-for-few-eyes" in one for one in kept)


def test_without_the_folder_nothing_is_shared(emulator: Emulator, tmp_path: Path) -> None:
    cloud = m.Cloud(emulator)
    cloud.ok("gce_instance", **small("one"))
    away = str(tmp_path / "nowhere" / "reads")
    assert not cloud.ok("gce_instance", **small("one"), shared_reads=away)["changed"]
    assert not (tmp_path / "nowhere").exists()
