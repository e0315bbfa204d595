# SPDX-License-Identifier: Apache-2.0
"""The locks of vLLM: usable behind any mirror, and what the roles say of them is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.venv.lock import parse_lock

ROLES = Path(__file__).parents[3] / "roles"
LOCKS = ROLES / "vllm_venv" / "files" / "locks"
NAMES = sorted(path.name for path in LOCKS.glob("vllm-*.txt"))


@pytest.mark.parametrize("name", [*NAMES, "uv.txt"])
def test_lock_is_whole_and_names_no_address(name: str) -> None:
    text = (LOCKS / name).read_text()
    assert parse_lock(text)
    assert not re.search(r"://|^--|file:", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_lock_is_the_release_and_build_of_its_name(name: str) -> None:
    match = re.fullmatch(r"vllm-([\d.]+)-(\w+)-py(\d)(\d+)\.txt", name)
    assert match is not None
    version, build, major, minor = match.groups()
    builds = yaml.safe_load((ROLES / "vllm_venv" / "vars" / "main.yml").read_text())
    known = builds["__vllm_venv_builds"][build]
    pins = parse_lock((LOCKS / name).read_text())
    assert pins[known["distribution"]].version == version
    assert known["python"] == f"{major}.{minor}"
    assert ("+cpu" in pins["torch"].version) == (build == "cpu")


def test_each_build_has_a_lock() -> None:
    builds = yaml.safe_load((ROLES / "vllm_venv" / "vars" / "main.yml").read_text())
    for build, known in builds["__vllm_venv_builds"].items():
        python = known["python"].replace(".", "")
        assert f"vllm-{known['version']}-{build}-py{python}.txt" in NAMES


def test_cpu_lock_has_no_cuda_in_it() -> None:
    (name,) = [name for name in NAMES if "-cpu-" in name]
    pins = parse_lock((LOCKS / name).read_text())
    assert not [pin for pin in pins if pin.startswith("nvidia-")]
    assert not {"torchvision", "torchaudio", "torchcodec"} & set(pins)


def test_uv_is_the_release_that_the_role_looks_for() -> None:
    constants = yaml.safe_load((ROLES / "vllm_venv" / "vars" / "main.yml").read_text())
    assert (
        parse_lock((LOCKS / "uv.txt").read_text())["uv"].version
        == (constants["__vllm_venv_uv_version"])
    )


def test_gpu_host_knows_every_gpu_build() -> None:
    specs = yaml.safe_load((ROLES / "gpu_host" / "meta" / "argument_specs.yml").read_text())
    choices = specs["argument_specs"]["main"]["options"]["gpu_host_build"]["choices"]
    builds = yaml.safe_load((ROLES / "vllm_venv" / "vars" / "main.yml").read_text())
    assert set(choices) == {"auto", *builds["__vllm_venv_builds"]}
