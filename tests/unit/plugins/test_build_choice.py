# SPDX-License-Identifier: Apache-2.0
"""The build for a host: drivers by GPUs by Pythons by processors, and what to change for none."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.filter.build_choice import FilterModule
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import contract_table
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm.build_choice import (
    Seen,
    choose,
    lock_name,
)

ROLES = Path(__file__).parents[3] / "roles"
LOCKS = ROLES / "vllm_venv" / "files" / "locks"
H100 = {"name": "NVIDIA H100 80GB HBM3", "compute_capability": "9.0"}
L4 = {"name": "NVIDIA L4", "compute_capability": "8.9"}
T4 = {"name": "Tesla T4", "compute_capability": "7.5"}
V100 = {"name": "Tesla V100-SXM2-16GB", "compute_capability": "7.0"}
B300 = {"name": "NVIDIA GB10", "compute_capability": "12.1"}
MUTE = {"name": "NVIDIA L4", "compute_capability": None}

DRIVERS = {"580.159.04": True, "595.10": True, "570.133.20": False, "550.54.15": False}
GPUS = {
    "H100": ([H100], True, "bfloat16"),
    "L4": ([L4, L4], True, "bfloat16"),
    "T4": ([T4], True, "half"),
    "L4 and T4": ([L4, T4], True, "half"),
    "V100": ([V100], False, ""),
    "too new": ([B300], False, ""),
    "mute": ([MUTE], False, ""),
}
# Python of the host, the setting vllm_venv_python, whether that will do, whether uv fetches one.
PYTHONS = [
    ("3.12", "auto", True, False),
    ("3.10", "auto", True, True),
    ("3.9", "auto", True, True),
    ("3.12", "/usr/bin/python3", True, False),
    ("3.10", "/usr/bin/python3", False, False),
    ("3.13", "/opt/python3.13/bin/python3", False, False),
]
MACHINES = {"x86_64": True, "aarch64": False}


@pytest.mark.parametrize(
    ("driver", "gpu", "python", "machine"), list(product(DRIVERS, GPUS, PYTHONS, MACHINES))
)
def test_every_host_gets_a_build_or_all_that_is_wrong(
    driver: str, gpu: str, python: tuple[str, str, bool, bool], machine: str
) -> None:
    found = choose(Seen(driver, GPUS[gpu][0], python[0], machine), python=python[1])
    said = "; ".join(found.reasons)
    assert ("NVIDIA driver" in said and "Change the driver" in said) is not DRIVERS[driver]
    assert ("compute capabilities 7.5 to 12.0" in said) is not GPUS[gpu][1]
    assert (f"there is {python[0]}, which vllm_venv_python=" in said) is not python[2]
    assert (f"processor is of the kind {machine}" in said) is not MACHINES[machine]
    fits = DRIVERS[driver] and GPUS[gpu][1] and python[2] and MACHINES[machine]
    assert (found.build, found.dtype) == (("cu130", GPUS[gpu][2]) if fits else ("", ""))
    assert bool(found.notes) is (fits and python[3])


def test_a_build_comes_with_its_lock_and_what_it_asks_for() -> None:
    found = choose(Seen("580.95.05", [L4], "3.12", "x86_64"))
    assert (LOCKS / found.lock).is_file()
    assert (found.version, found.build, found.python) == ("0.32.0", "cu130", "3.12")
    assert (found.driver, found.capability, found.dtype) == ("580", "7.5", "bfloat16")
    assert found.reasons == []


def test_an_old_driver_can_be_helped_in_three_ways() -> None:
    (said,) = choose(Seen("570.133.20", [L4], "3.12", "x86_64")).reasons
    assert "Change the driver (update it on the host, then reboot)" in said
    assert "the image (a family that ends in nvidia-580 or a higher number)" in said
    assert "the version: 0.32.0 cu129 (no lock of it is here, its wheels are on vLLM's own" in said


def test_an_old_gpu_is_told_the_version_that_still_has_code_for_it() -> None:
    (said,) = choose(Seen("580.95.05", [V100], "3.12", "x86_64")).reasons
    assert "Tesla V100-SXM2-16GB 7.0" in said and "another machine type or accelerator" in said
    # vLLM 0.14.0 takes 7.0, and the torch that it is built with does not.
    assert "version" not in said.split("accelerator")[1]


def test_a_python_that_uv_fetches_is_told_with_its_source() -> None:
    (note,) = choose(Seen("580.95.05", [L4], "3.10", "x86_64")).notes
    assert (
        "there is 3.10: uv will fetch 3.12 from https://github.com/astral-sh/python-build" in note
    )
    assert "ubuntu-2404" in note


def test_another_processor_is_told_what_is_published_for_it() -> None:
    (said,) = choose(Seen("580.95.05", [H100], "3.12", "aarch64")).reasons
    assert "Change the machine type, or the version: 0.25.1 cu130 (no lock of it is here)" in said


@pytest.mark.parametrize(
    ("python", "wanted", "build", "dtype"),
    [
        ("3.11", "/usr/bin/python3", "cpu", "float32"),
        ("3.12", "auto", "cpu", "float32"),
        ("3.12", "/usr/bin/python3", "", ""),
    ],
)
def test_a_cpu_gets_the_build_for_cpus_and_float32(
    python: str, wanted: str, build: str, dtype: str
) -> None:
    found = choose(Seen(python=python, machine="x86_64"), device="cpu", python=wanted)
    assert (found.build, found.dtype, found.driver) == (build, dtype, "")
    assert bool(found.reasons) is not bool(build)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"build": "cu129"}, "vLLM 0.32.0 cu129 (no lock of it is here, its wheels are on vLLM's"),
        ({"version": "0.32.0", "build": "cu129"}, "locked here for it: 0.32.0 cu130"),
        ({"build": "cu999"}, "vLLM cu999 can't be installed for the device cuda"),
        ({"build": "cpu"}, "for the device cuda: change the version, the build"),
    ],
)
def test_what_is_not_locked_is_refused_with_what_is(asked: dict[str, str], said: str) -> None:
    found = choose(Seen(machine="x86_64"), **asked)
    assert found.build == ""
    assert said in found.reasons[0]


@pytest.mark.parametrize(
    ("version", "python", "wanted", "build", "noted"),
    [
        ("0.25.1", "3.10", "/usr/bin/python3", "cu130", ""),
        ("0.25.1", "3.9", "auto", "cu130", "needs Python 3.10 or newer, and there is 3.9: uv will"),
        ("0.25.1", "3.9", "/usr/bin/python3", "", ""),
        ("9.9.9", "3.12", "auto", "cu130", "vLLM 9.9.9 is not in the compatibility contract"),
    ],
)
def test_a_version_of_the_users_own_lock_is_judged_by_its_row(
    version: str, python: str, wanted: str, build: str, noted: str
) -> None:
    found = choose(Seen("580.1", [L4], python, "x86_64"), version=version, python=wanted)
    assert found.build == build
    assert noted in "; ".join(found.notes)
    assert bool(found.notes) is bool(noted)
    assert bool(found.reasons) is not bool(build)


def test_what_is_not_known_is_not_judged() -> None:
    assert choose(Seen()).build == "cu130"
    assert FilterModule().filters()["build_choice"]({"driver": None})["build"] == "cu130"


def test_a_lock_for_cuda_12_would_be_taken_where_the_driver_is_old() -> None:
    table = [
        contract_table.Release("9.0", "cu130", "2", "3.11", 7.5, locked="3.12"),
        contract_table.Release("9.0", "cu129", "2", "3.11", 7.5, locked="3.12"),
    ]
    for driver, build in (("580.1", "cu130"), ("570.1", "cu129"), ("520.1", "")):
        assert choose(Seen(driver, [L4]), table=table).build == build
    (said,) = choose(Seen("580.1"), device="cpu", table=table).reasons
    assert "for the device cpu" in said


def builds() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLES / "vllm_venv/vars/main.yml").read_text())
    return dict(found["__vllm_venv_builds"])


def test_the_table_has_every_lock_and_no_other() -> None:
    known = {lock_name(one) for one in contract_table.RELEASES if one.locked}
    assert known == {path.name for path in LOCKS.glob("vllm-*.txt")}
    locked = {one.build: one.locked for one in contract_table.RELEASES if one.locked}
    assert locked == {build: one["python"] for build, one in builds().items()}
