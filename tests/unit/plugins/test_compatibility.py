# SPDX-License-Identifier: Apache-2.0
"""The compatibility contract: what it rules out, and that locks and roles agree with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils import compatibility, gpu_table
from ansible_collections.llmops.gce_vllm.plugins.module_utils.locked_venv import parse_lock

ROLES = Path(__file__).parents[3] / "roles"
LOCKS = sorted((ROLES / "vllm_venv/files/locks").glob("vllm-*.txt"))
L4 = {"machine_type": "g2-standard-4", "accelerators": []}
T4 = {"machine_type": "n1-standard-8", "accelerators": [{"type": "nvidia-tesla-t4", "count": 1}]}
V100 = {"machine_type": "n1-standard-8", "accelerators": [{"type": "nvidia-tesla-v100"}]}
B200 = {"machine_type": "a4-highgpu-8g", "accelerators": []}


def role(name: str, file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLES / name / file / "main.yml").read_text())
    return found


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


def test_the_roles_ask_for_what_the_table_says() -> None:
    for build, asked in role("gpu_host", "vars")["__gpu_host_builds"].items():
        toolkit = compatibility.TOOLKITS[build]
        assert int(asked["driver"]) == toolkit.driver
        assert float(asked["compute_capability"]) == toolkit.least
    version = role("vllm_venv", "defaults")["vllm_venv_version"]
    assert any(release[0] == version for release in compatibility.RELEASES)
    assert f"'{version}'" in role("preflight", "defaults")["preflight_vllm_version"]


def test_every_release_has_a_toolkit_and_every_gpu_an_answer() -> None:
    for version, build in compatibility.RELEASES:
        assert build == "cpu" or build in compatibility.TOOLKITS
        for gpu in gpu_table.GPUS:
            assert compatibility.problems(version, build, gpu=gpu, driver=580) == []


@pytest.mark.parametrize(
    ("place", "build", "image", "said"),
    [
        (L4, "cu130", "common-cu129-ubuntu-2404-nvidia-580", ""),
        (T4, "cu130", "common-cu129-ubuntu-2404-nvidia-580", ""),
        (L4, "cu130", "common-cu129-ubuntu-2404-nvidia-590-v20261101", ""),
        (L4, "cu130", "ubuntu-2404-lts", ""),
        (V100, "cu130", "ubuntu-2404-lts", ""),
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
