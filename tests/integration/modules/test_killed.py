# SPDX-License-Identifier: Apache-2.0
"""Runs killed at a request, before and after it was carried out: the next run ends the same.

`make test-full` kills at every request, `make test` at one of `EVERY`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import exhaustive
from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Emulator, Json, access_token
from tests.support.module_processes import ModuleProcesses, module_processes

Step = tuple[str, Json]
Lane = tuple[str, int]  # before or after a request is carried out; which half of the requests
LANES: list[Lane] = [("before", 0), ("before", 1), ("after", 0), ("after", 1)]
NAME, ADDRESS, RULE = "llm", "llm-ip", "llm-api"
UNCHANGED = ("scheduling", "serviceAccounts", "shieldedInstanceConfig", "reservationAffinity")
_numbers = itertools.count(1)
# Each lane has every second of these.
EVERY = 1 if exhaustive.FULL else 4


def instance(**changes: Any) -> Step:
    return "gce_instance", m.machine(NAME, address=ADDRESS, **changes)


RESERVED: Step = ("gce_address", {"name": ADDRESS, "region": m.REGION})
OPENED: Step = (
    "gce_firewall",
    {
        "name": RULE,
        "source_ranges": ["203.0.113.7"],
        "allowed": [{"protocol": "tcp", "ports": ["8000"]}],
    },
)
MADE = [RESERVED, OPENED, instance()]
# With no address of its own, because each step before takes as long as one that is killed.
ALONE: Step = ("gce_instance", m.machine(NAME))


def other(**changes: Any) -> list[Step]:
    return [("gce_instance", m.machine(NAME, **changes))]


SSD = {**m.machine(NAME)["boot_disk"], "type": "pd-ssd"}
# What the later runs don't name.
OF_OTHERS: Json = {
    "labels": {"owner": "tests", "team": "search"},
    "metadata": {
        "enable-guest-attributes": "TRUE",
        "hf-token": "of-others",
        "ssh-keys": "a:b\nc:d",
    },
    "tags": ["llm-server", "theirs"],
    "service_account": {
        "email": "llm@other-project.iam.gserviceaccount.com",
        "scopes": ["storage"],
    },
    "shielded": {"vtpm": False},
    "scheduling": {"max_run_duration": 86400, "automatic_restart": False},
}
SCHEDULED: Step = (
    "gce_instance_schedule",
    {
        **{"name": "nights", "region": m.REGION, "stop": "0 20 * * *", "time_zone": "UTC"},
        **{"zone": m.ZONE, "instance": NAME},
    },
)
# One goes with the instance, one doesn't.
DISKS = [{"name": "scratch", "size_gb": 20, "auto_delete": True}, {"name": "data", "size_gb": 10}]
RICH = [RESERVED, instance(**OF_OTHERS, disks=DISKS), SCHEDULED]
STOPPED: Step = ("gce_instance", {"name": NAME, "zone": m.ZONE, "state": "stopped"})
HERE, NEAR = {"zone": m.ZONE}, {"zone": "us-central1-b"}
MOVE: Step = (
    "gce_instance",
    m.machine(NAME, zone=None, placements=[HERE, NEAR], allow_recreate=True),
)
# What is there before, what is asked for.
SCENARIOS: dict[str, tuple[list[Step], list[Step]]] = {
    "create": ([], MADE),
    "stop": ([ALONE], [("gce_instance", {"name": NAME, "zone": m.ZONE, "state": "stopped"})]),
    "change": ([ALONE], other(machine_type="g2-standard-12", allow_stop=True)),
    "recreate": (RICH, other(boot_disk=SSD, allow_recreate=True)),
    "recreate stopped": (
        [*RICH, STOPPED],
        other(boot_disk=SSD, allow_recreate=True, state="stopped"),
    ),
    "move": ([RESERVED, instance(**OF_OTHERS), SCHEDULED, STOPPED], [MOVE]),
    "destroy": (
        MADE,
        [
            ("gce_instance", {"name": NAME, "zone": m.ZONE, "state": "absent"}),
            ("gce_address", {"name": ADDRESS, "region": m.REGION, "state": "absent"}),
            ("gce_firewall", {"name": RULE, "state": "absent"}),
        ],
    ),
}
# In the first of two places there is no room any more.
FULL = {
    "zone": m.ZONE,
    "operation": ["start", "insert"],
    "operation_error": {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "none left"},
}
FAULTS: dict[str, list[Json]] = {"move": [FULL]}


def without_ips(text: str, addresses: list[Json]) -> str:
    """Which address it is matters, not which IP a project got for it."""
    for one in addresses:
        text = text.replace(one["address"], f"IP of {one['name']}")
    return text


@dataclass
class Place:
    """One emulator, and modules that run against a new project in it."""

    emulator: Emulator
    modules: ModuleProcesses
    token: str

    def new_project(self) -> str:
        project = f"killed-project-{next(_numbers)}"
        self.emulator.admin("DELETE", "faults")
        self.emulator.admin("PUT", f"projects/{project}")
        return project

    def fail(self, *rules: Json) -> None:
        self.emulator.admin("PUT", "faults", {"rules": list(rules)})

    def options(self, project: str, step: Step) -> Json:
        return {
            "project": project,
            "endpoint": self.emulator.endpoint,
            "access_token": self.token,
            **step[1],
        }

    def reach(self, project: str, steps: list[Step]) -> list[bool]:
        """All steps, as a play runs them; what each changed."""
        changed = []
        for step in steps:
            result = self.modules.run(step[0], self.options(project, step))
            assert not result.get("failed"), result["msg"]
            changed.append(result["changed"])
        return changed

    def reach_until_held(self, project: str, steps: list[Step]) -> bool:
        """The same, killed as soon as the emulator holds a request; False where it held none."""
        for step in steps:
            running = self.modules.start(step[0], self.options(project, step))
            while not self.held():
                if not Path(f"/proc/{running.pid}").exists():
                    result = running.result()
                    assert result is not None
                    assert not result.get("failed"), result["msg"]
                    break
                time.sleep(0.02)
            else:
                running.kill()
                return True
        return False

    def held(self) -> bool:
        return bool(self.emulator.admin("GET", "requests")["held"])

    def state(self, project: str) -> Json:
        """Everything that exists, without what differs by the hour."""
        found = self.emulator.admin("GET", "state")["projects"][project]
        return {
            "instances": [
                {
                    "name": one["name"],
                    "zone": one["zone"].rsplit("/", 1)[1],
                    "status": one["status"],
                    "machine": one["machineType"].rsplit("/", 1)[1],
                    "labels": one.get("labels"),
                    "tags": one["tags"].get("items"),
                    "metadata": sorted(
                        (item["key"], without_ips(item["value"], found["addresses"]))
                        for item in one["metadata"]["items"]
                    ),
                    **{part: one.get(part) for part in UNCHANGED},
                    "follows": [
                        policy.rsplit("/", 1)[1] for policy in one.get("resourcePolicies", [])
                    ],
                    "disks": [
                        (disk["source"].rsplit("/", 1)[1], disk["deviceName"], disk["autoDelete"])
                        for disk in one["disks"]
                    ],
                    "reserved": [
                        address["name"]
                        for address in found["addresses"]
                        for interface in one["networkInterfaces"]
                        for access in interface["accessConfigs"]
                        if access.get("natIP") == address["address"]
                    ],
                }
                for one in found["instances"]
            ],
            "disks": [
                (one["name"], one["type"].rsplit("/", 1)[1], one["sizeGb"], bool(one.get("users")))
                for one in found["disks"]
            ],
            "addresses": [(one["name"], one["status"]) for one in found["addresses"]],
            "firewalls": sorted(one["name"] for one in found["firewalls"]),
            "unfinished": [one for one in found["operations"] if one["status"] != "DONE"],
        }


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Lane, Place]]:
    """One for each lane, because a rule that holds a request is one emulator's."""
    folder = tmp_path_factory.mktemp("killed")
    found = {}
    with module_processes(folder) as modules:
        for lane in LANES:
            # Operations take their time, so that the next run meets some that are under way.
            state = folder / f"{lane[0]}-{lane[1]}"
            emulator = Emulator(state, options=("--operation-delay", "0.1"))
            emulator.start()
            found[lane] = Place(emulator, modules, access_token(emulator))
        yield found
        for place in found.values():
            place.emulator.stop()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_next_run_ends_the_same(places: dict[Lane, Place], scenario: str) -> None:
    before, steps = SCENARIOS[scenario]
    reference = places[LANES[0]]
    project = reference.new_project()
    reference.reach(project, before)
    reference.fail(*FAULTS.get(scenario, []))
    reference.emulator.admin("DELETE", "requests")
    assert any(reference.reach(project, steps))
    whole = reference.emulator.admin("GET", f"requests?project={project}")["count"]
    wanted = reference.state(project)
    assert whole > 2

    begin = exhaustive.offset(scenario, EVERY)

    def kill_everywhere(lane: Lane) -> set[int]:
        """At every second request that is meant; which those were."""
        place, (moment, half) = places[lane], lane
        first, step = begin + half * EVERY, 2 * EVERY
        for number in range(first, 1000, step):
            project = place.new_project()
            place.reach(project, before)
            rule = {"project": project, "hold": moment, "skip": number, "count": 1}
            place.emulator.admin("DELETE", "requests")
            place.fail(rule, *FAULTS.get(scenario, []))
            if not place.reach_until_held(project, steps):
                return set(range(first, number, step))
            place.reach(project, steps)
            where = f"killed {moment} request {number + 1} of {scenario} was carried out"
            assert place.state(project) == wanted, where
            assert not any(place.reach(project, steps)), where
        raise AssertionError("there was no end to it")

    with ThreadPoolExecutor(len(LANES)) as pool:
        killed = dict(zip(LANES, pool.map(kill_everywhere, LANES), strict=True))
    for moment in ("before", "after"):
        assert killed[moment, 0] | killed[moment, 1] == set(range(begin, whole, EVERY))
