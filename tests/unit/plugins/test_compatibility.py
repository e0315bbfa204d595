# SPDX-License-Identifier: Apache-2.0
"""The compatibility contract: what it rules out, and that locks and roles agree with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import gpus
from ansible_collections.llmops.gce_vllm.plugins.module_utils.venv.lock import parse_lock
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import (
    architectures,
    compatibility,
    contract_table,
    quantization_methods,
)

ROLES = Path(__file__).parents[3] / "roles"
LOCKS = sorted((ROLES / "vllm_venv/files/locks").glob("vllm-*.txt"))
L4 = {"machine_type": "g2-standard-4", "accelerators": []}
T4 = {"machine_type": "n1-standard-8", "accelerators": [{"type": "nvidia-tesla-t4", "count": 1}]}
V100 = {"machine_type": "n1-standard-8", "accelerators": [{"type": "nvidia-tesla-v100"}]}
B200 = {"machine_type": "a4-highgpu-8g", "accelerators": []}


def role(name: str, file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLES / name / file / "main.yml").read_text())
    return found


def leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in leaves(one)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in leaves(one)]
    return [str(value)]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_what_is_locked_is_in_the_table(lock: Path) -> None:
    match = re.fullmatch(r"vllm-([\d.]+)-(\w+)-py(\d)(\d+)\.txt", lock.name)
    assert match is not None
    version, build, major, minor = match.groups()
    release = compatibility.RELEASES[version, build]
    pins = parse_lock(lock.read_text())
    assert pins["torch"].version == release.torch
    assert int(minor) >= int(release.python.split(".")[1]) and major == "3"
    if build != "cpu":
        cuda = compatibility.TOOLKITS[build].cuda
        assert pins["nvidia-cuda-runtime"].version.startswith(f"{cuda}.")


def test_the_roles_have_no_copy_of_the_table() -> None:
    table = contract_table.RELEASES
    copied = {str(one.driver) for one in contract_table.TOOLKITS.values()}
    copied |= {str(one.least) for one in table} | {name for one in table for name in one.machines}
    copied |= {dtype for one in table for _least, dtype in one.dtypes}
    for name in ("defaults", "vars"):
        assert not copied & set(leaves(role("gpu_host", name)))
    builds = role("vllm_venv", "vars")["__vllm_venv_builds"]
    for build, known in builds.items():
        assert compatibility.RELEASES[known["version"], build].locked
    asked = role("preflight", "defaults")["preflight_vllm_version"]
    assert f"'{builds['cu130']['version']}'" in asked


def test_the_plan_knows_each_locked_release() -> None:
    for lock in LOCKS:
        release = lock.name.split("-")[1]
        assert release in architectures.ARCHITECTURES
        assert release in quantization_methods.METHODS


def test_every_release_has_a_toolkit_and_every_gpu_an_answer() -> None:
    for version, build in compatibility.RELEASES:
        assert build == "cpu" or build in compatibility.TOOLKITS
        for gpu in gpus.GPUS:
            assert compatibility.problems(version, build, gpu=gpu, driver=580) == []


@pytest.mark.parametrize(
    ("image", "python"),
    [
        ("common-cu129-ubuntu-2204-nvidia-580", "3.10"),
        ("common-cu129-ubuntu-2404-nvidia-580", "3.12"),
        ("pytorch-2-9-cu129-ubuntu-2404-nvidia-580-v20261101", "3.12"),
        ("ubuntu-2404-lts-amd64", "3.12"),
        ("ubuntu-accelerator-2204-amd64-with-nvidia-580", "3.10"),
        ("debian-12", "3.11"),
        ("debian-12-bookworm-v20261101", "3.11"),
        ("my-own-image", ""),
        ("debian-120", ""),
    ],
)
def test_the_python_that_an_image_brings(image: str, python: str) -> None:
    assert compatibility.image_python(image) == python


@pytest.mark.parametrize(
    ("image", "wanted", "said", "noted"),
    [
        ("common-cu129-ubuntu-2404-nvidia-580", "/usr/bin/python3", "", ""),
        ("common-cu129-ubuntu-2404-nvidia-580", "auto", "", ""),
        ("common-cu129-ubuntu-2204-nvidia-580", "auto", "", "there is 3.10: uv will fetch 3.12 fr"),
        (
            "common-cu129-ubuntu-2204-nvidia-580",
            "/usr/bin/python3",
            "is made for Python 3.12, and there is 3.10, which vllm_venv_python=/usr/bin/python3 "
            "names: set vllm_venv_python=auto, so that uv fetches 3.12, or choose an image that",
            "",
        ),
        # Whose version nobody here knows.
        ("common-cu129-ubuntu-2204-nvidia-580", "/opt/python3.12/bin/python3", "", ""),
        ("my-own-image", "/usr/bin/python3", "", ""),
    ],
)
def test_an_images_python_is_compared_with_the_locks(
    image: str, wanted: str, said: str, noted: str
) -> None:
    found = compatibility.of_place(L4, "0.32.0", "cu130", image, wanted)
    notes = compatibility.of_place(L4, "0.32.0", "cu130", image, wanted, notes=True)
    assert (bool(found), bool(notes)) == (bool(said), bool(noted))
    assert said in "; ".join(found)
    assert noted in "; ".join(notes)


def test_an_old_driver_is_told_the_version_that_takes_it() -> None:
    image = "common-cu128-ubuntu-2204-nvidia-570"
    (said,) = compatibility.of_place(L4, "0.32.0", "cu130", image)
    assert "or one of these builds: 0.32.0 cu129 (no lock of it is here, its wheels are" in said


@pytest.mark.parametrize(
    ("place", "build", "image", "said"),
    [
        (L4, "cu130", "common-cu129-ubuntu-2404-nvidia-580", ""),
        (T4, "cu130", "common-cu129-ubuntu-2404-nvidia-580", ""),
        (L4, "cu130", "common-cu129-ubuntu-2404-nvidia-590-v20261101", ""),
        (L4, "cu130", "ubuntu-2404-lts", ""),
        (V100, "cu130", "ubuntu-2404-lts", "nvidia-tesla-v100 has 7.0: choose another GPU"),
        (L4, "cpu", "common-cu128-ubuntu-2204-nvidia-570", ""),
        (L4, "cu130", "common-cu128-ubuntu-2204-nvidia-570", "needs NVIDIA driver 580 or newer"),
        (L4, "cu130", "common-cu128-ubuntu-2204-nvidia-570", "the image brings 570: choose an"),
        (L4, "cu129", "common-cu128-ubuntu-2204-nvidia-570", ""),
        (L4, "cu129", "x-nvidia-520", "needs NVIDIA driver 525"),
        (B200, "cu126", "x-nvidia-580", "nvidia-b200 has 10.0: choose another GPU, or one of"),
        (B200, "cu130", "x-nvidia-580", ""),
    ],
)
def test_what_it_rules_out(place: dict[str, Any], build: str, image: str, said: str) -> None:
    found = compatibility.of_place(place, "0.32.0", build, image)
    assert said in "; ".join(found)
    assert bool(found) == bool(said)
