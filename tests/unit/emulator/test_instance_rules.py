# SPDX-License-Identifier: Apache-2.0
"""GPUs against machine types, and scheduling."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.errors import ApiError
from emulator.rules.disks import performance
from emulator.rules.instances import accelerators, machine_type, reservation_affinity, scheduling
from emulator.world import catalog
from emulator.world import catalog_data as data
from emulator.world.references import last

ZONE = "us-central1-a"


def _accelerators(name: str, *wanted: tuple[str, int], zone: str = ZONE) -> list[tuple[str, int]]:
    asked = [
        {"acceleratorType": f"zones/{zone}/acceleratorTypes/{kind}", "acceleratorCount": count}
        for kind, count in wanted
    ]
    found = accelerators(asked, name, "p", zone)
    return [(last(item["acceleratorType"]), item["acceleratorCount"]) for item in found]


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("e2-small", [], []),
        ("g2-standard-4", [], [("nvidia-l4", 1)]),
        ("g2-standard-24", [("nvidia-l4", 2)], [("nvidia-l4", 2)]),
        ("n1-standard-8", [("nvidia-tesla-t4", 1)], [("nvidia-tesla-t4", 1)]),
        ("n1-standard-96", [("nvidia-tesla-t4", 4)], [("nvidia-tesla-t4", 4)]),
        ("n1-standard-8", [("nvidia-tesla-t4", 0)], []),
    ],
)
def test_accelerators(
    name: str, wanted: list[tuple[str, int]], expected: list[tuple[str, int]]
) -> None:
    assert _accelerators(name, *wanted) == expected


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        ("g2-standard-4", [("nvidia-l4", 2)], "comes with 1 x nvidia-l4"),
        ("g2-standard-4", [("nvidia-tesla-t4", 1)], "comes with 1 x nvidia-l4"),
        ("e2-small", [("nvidia-tesla-t4", 1)], "can't be attached to the machine type e2-small"),
        ("n1-standard-8", [("nvidia-l4", 1)], "can't be attached"),
        ("n1-standard-8", [("nvidia-tesla-t4", 3)], "one of 1, 2, 4"),
        ("n1-standard-64", [("nvidia-tesla-t4", 2)], "at most 48 vCPUs"),
        ("n1-standard-8", [("nvidia-tesla-p4", 1)], "has no such type; it has nvidia-l4"),
    ],
)
def test_accelerators_that_do_not_fit(name: str, wanted: list[tuple[str, int]], words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        _accelerators(name, *wanted)
    assert caught.value.status == 400


GPU = [{"acceleratorType": "nvidia-l4", "acceleratorCount": 1}]


@pytest.mark.parametrize(
    ("given", "gpus", "expected"),
    [
        ({}, [], {"provisioningModel": "STANDARD", "onHostMaintenance": "MIGRATE",
                  "automaticRestart": True, "preemptible": False}),
        ({"onHostMaintenance": "TERMINATE"}, GPU,
         {"provisioningModel": "STANDARD", "onHostMaintenance": "TERMINATE",
          "automaticRestart": True, "preemptible": False}),
        ({"provisioningModel": "SPOT"}, GPU,
         {"provisioningModel": "SPOT", "onHostMaintenance": "TERMINATE",
          "automaticRestart": False, "preemptible": True, "instanceTerminationAction": "STOP"}),
        ({"preemptible": True, "instanceTerminationAction": "DELETE"}, GPU,
         {"provisioningModel": "SPOT", "onHostMaintenance": "TERMINATE",
          "automaticRestart": False, "preemptible": True, "instanceTerminationAction": "DELETE"}),
        ({"maxRunDuration": {"seconds": "60"}}, [],
         {"provisioningModel": "STANDARD", "onHostMaintenance": "TERMINATE",
          "automaticRestart": True, "preemptible": False, "maxRunDuration": {"seconds": "60"},
          "instanceTerminationAction": "STOP"}),
    ],
)  # fmt: skip
def test_scheduling(given: dict[str, Any], gpus: list[Any], expected: dict[str, Any]) -> None:
    assert scheduling(given, "g2-standard-4", gpus) == expected


@pytest.mark.parametrize(
    ("given", "name", "words"),
    [
        ({}, "g2-standard-4", "onHostMaintenance to TERMINATE"),
        ({"onHostMaintenance": "MIGRATE"}, "g2-standard-4", "onHostMaintenance to TERMINATE"),
        ({"provisioningModel": "SPOT", "onHostMaintenance": "MIGRATE"}, "e2-small", "TERMINATE"),
        ({"provisioningModel": "SPOT", "automaticRestart": True}, "g2-standard-4", "With SPOT"),
        ({"provisioningModel": "FLEX_START"}, "g2-standard-4", "maxRunDuration"),
        ({"provisioningModel": "FLEX_START", "maxRunDuration": {"seconds": "599"}},
         "g2-standard-4", "from 600 to 604800"),
        ({"provisioningModel": "FLEX_START", "maxRunDuration": {"seconds": "600"}},
         "g2-standard-4", "instanceTerminationAction"),
        ({"maxRunDuration": {"seconds": "29"}}, "e2-small", "from 30 to 10368000"),
        ({"onHostMaintenance": "TERMINATE", "instanceTerminationAction": "STOP"},
         "g2-standard-4", "Only for Spot"),
        ({"onHostMaintenance": "TERMINATE"}, "a3-highgpu-1g", "only comes as SPOT or FLEX_START"),
    ],
)  # fmt: skip
def test_scheduling_that_does_not_go_together(given: dict[str, Any], name: str, words: str) -> None:
    gpus = GPU if data.MACHINES[name].gpus else []
    with pytest.raises(ApiError, match=words):
        scheduling(given, name, gpus)


@pytest.mark.parametrize(
    "text",
    [
        "g2-standard-4",
        f"zones/{ZONE}/machineTypes/g2-standard-4",
        f"projects/p/zones/{ZONE}/machineTypes/g2-standard-4",
        f"https://www.googleapis.com/compute/v1/projects/p/zones/{ZONE}/machineTypes/g2-standard-4",
        f"http://127.0.0.1:1/compute/v1/projects/p/zones/{ZONE}/machineTypes/g2-standard-4",
    ],
)
def test_machine_type_in_every_spelling(text: str) -> None:
    assert machine_type(text, "p", ZONE, "f") == "g2-standard-4"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("g2-standard-5", "does not exist in zone"),
        ("a4-highgpu-8g", "does not exist in zone"),
        ("zones/us-east1-b/machineTypes/g2-standard-4", "must be in the zone"),
        ("diskTypes/pd-ssd", "does not name one of machineTypes"),
    ],
)
def test_machine_type_that_is_not_there(text: str, words: str) -> None:
    with pytest.raises(ApiError, match=words):
        machine_type(text, "p", ZONE, "f")


def test_every_bundle_is_somewhere() -> None:
    for name, machine in data.MACHINES.items():
        assert catalog.zones_with(name), name
        if machine.gpus:
            assert machine.gpus[1] <= data.ACCELERATORS[machine.gpus[0]].most


@pytest.mark.parametrize(
    ("machine", "kind"),
    [
        # AttachedDiskInitializeParams.diskType in the discovery document.
        ("a3-highgpu-8g", "hyperdisk-balanced"),
        ("a3-ultragpu-8g", "hyperdisk-balanced"),
        ("a4-highgpu-8g", "hyperdisk-balanced"),
        ("g4-standard-48", "hyperdisk-balanced"),
        ("g2-standard-4", "pd-balanced"),
        ("n1-standard-8", "pd-standard"),
    ],
)
def test_the_disk_that_a_machine_boots_from_where_none_is_named(machine: str, kind: str) -> None:
    assert data.boot_disk_types(machine)[0] == kind


def test_every_region_has_a_subnetwork() -> None:
    assert set(catalog.REGIONS) == set(data.SUBNET_RANGES)


def test_a_family_is_its_newest_image() -> None:
    image = catalog.family("deeplearning-platform-release", "common-cu129-ubuntu-2404-nvidia-580")
    assert image is not None
    assert image["name"].endswith("-v20260918")
    gone = "pytorch-2-7-cu128-ubuntu-2204-nvidia-570"
    assert catalog.family("deeplearning-platform-release", gone) is None


@pytest.mark.parametrize(
    ("given", "model", "expected"),
    [
        (None, "STANDARD", "ANY_RESERVATION"),
        (None, "FLEX_START", "NO_RESERVATION"),
        ({"consumeReservationType": "NO_RESERVATION"}, "SPOT", "NO_RESERVATION"),
    ],
)
def test_reservation_affinity(given: dict[str, Any] | None, model: str, expected: str) -> None:
    assert reservation_affinity(given, model) == {"consumeReservationType": expected}


SPECIFIC = {
    "consumeReservationType": "SPECIFIC_RESERVATION",
    "key": "compute.googleapis.com/reservation-name",
    "values": ["mine"],
}


@pytest.mark.parametrize(
    ("given", "model"),
    [
        (SPECIFIC, "SPOT"),
        (SPECIFIC, "FLEX_START"),
        ({**SPECIFIC, "values": []}, "STANDARD"),
        ({**SPECIFIC, "key": "name"}, "STANDARD"),
        ({"consumeReservationType": "ANY_RESERVATION", "values": ["mine"]}, "STANDARD"),
    ],
)
def test_reservations_that_do_not_go_together(given: dict[str, Any], model: str) -> None:
    with pytest.raises(ApiError):
        reservation_affinity(given, model)


@pytest.mark.parametrize(
    ("kind", "size", "given", "expected"),
    [
        ("pd-ssd", 100, {}, {}),
        ("hyperdisk-balanced", 100, {},
         {"provisionedIops": "3000", "provisionedThroughput": "140"}),
        ("hyperdisk-balanced", 100, {"provisionedIops": "50000"},
         {"provisionedIops": "50000", "provisionedThroughput": "195"}),
    ],
)  # fmt: skip
def test_performance(kind: str, size: int, given: Any, expected: dict[str, str]) -> None:
    assert performance(kind, size, given, "f") == expected


@pytest.mark.parametrize(
    ("kind", "size", "given"),
    [
        ("pd-ssd", 100, {"provisionedIops": "3000"}),
        ("hyperdisk-balanced", 10, {"provisionedIops": "6000"}),
        ("hyperdisk-balanced", 100, {"provisionedIops": "2999"}),
        ("hyperdisk-balanced", 100, {"provisionedThroughput": "751"}),
        ("hyperdisk-balanced", 100, {"provisionedThroughput": "139"}),
    ],
)
def test_performance_out_of_range(kind: str, size: int, given: Any) -> None:
    with pytest.raises(ApiError):
        performance(kind, size, given, "f")
