# SPDX-License-Identifier: Apache-2.0
"""A fifth of all requests fails: everything still converges, and nothing is made twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Emulator, Json
from tests.support.module_processes import ModuleProcesses, module_processes

INSTANCES, AT_ONCE, SEED = 50, 12, 20
EFFECTS: list[Json] = [
    {"status": 429, "retry_after": 0},
    {"status": 503},
    {"connection": "drop_before"},
    {"connection": "drop_after"},
]


@pytest.fixture
def modules(tmp_path: Path) -> Iterator[ModuleProcesses]:
    with module_processes(tmp_path) as processes:
        yield processes


def storm() -> Json:
    """Rules by which one request in five meets one of the effects, whichever it is."""
    # The first that fires decides, so each sees what those before it have let pass.
    left, share = 1.0, 0.2 / len(EFFECTS)
    rules = []
    for effect in EFFECTS:
        rules.append({**effect, "share": round(share / left, 6)})
        left -= share
    return {"rules": rules, "seed": SEED}


def test_fifty_creates_and_deletes(emulator: Emulator, modules: ModuleProcesses) -> None:
    cloud = m.Cloud(emulator)
    region = f"projects/{emulator.project}/regions/{m.REGION}"
    for metric in ("CPUS", "SSD_TOTAL_GB"):
        cloud.admin("PUT", f"{region}/quotas/{metric}", {"limit": 9999})
    names = [m.new_name("llm") for _ in range(INSTANCES)]
    machine = {"machine_type": "e2-standard-2", "external_ip": False}

    def run(options: Json) -> Json:
        return modules.run("gce_instance", {**cloud.options, **options})

    def all_of(states: list[Json]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for result in pool.map(run, states):
                assert not result.get("failed"), result["msg"]
                assert result["changed"] is True

    cloud.admin("DELETE", "requests")
    cloud.admin("PUT", "faults", storm())
    all_of([m.machine(name, **machine) for name in names])
    assert sorted(one["name"] for one in cloud.stored("instances")) == sorted(names)
    assert {one["status"] for one in cloud.stored("instances")} == {"RUNNING"}
    assert sorted(one["name"] for one in cloud.stored("disks")) == sorted(names)
    all_of([{"name": name, "zone": m.ZONE, "state": "absent"} for name in names])
    assert cloud.stored("instances") == cloud.stored("disks") == []

    rules = cloud.admin("GET", "faults")["rules"]
    assert all(rule["fired"] for rule in rules)
    met = sum(rule["fired"] for rule in rules) / rules[0]["matched"]
    assert 0.15 < met < 0.25, met
    kinds = Counter(
        (one["operationType"], one["targetLink"].rsplit("/", 1)[1])
        for one in cloud.stored("operations")
        if "/instances/" in one["targetLink"]
    )
    assert set(kinds.values()) == {1}
    assert len(kinds) == 2 * INSTANCES
