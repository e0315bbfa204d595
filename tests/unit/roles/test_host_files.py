# SPDX-License-Identifier: Apache-2.0
"""What the roles gpu_host and data_disk write on a host keeps GPU and disk as they are needed."""

from __future__ import annotations

import fnmatch
import shlex

import pytest
from gpu_check.__main__ import arguments

from tests.support.role_values import directives, files, values

CHOICE = {"build": "cu130", "driver": "580.95.05", "capability": "7.5"}


@pytest.fixture(scope="module")
def written() -> list[str]:
    names = ["keep-packages.conf", "gpu-check.service"]
    given = {"__gpu_host_choice": CHOICE, "gpu_host_unit": "llm-server.service"}
    return files("gpu_host", names, **given, gpu_host_boot_timeout=100)


@pytest.mark.parametrize(
    "package",
    [
        "linux-image-6.8.0-1015-gcp",
        "linux-headers-6.1.0-18-cloud-amd64",
        "linux-modules-nvidia-580-server-gcp",
        "nvidia-driver-580-server",
        "libnvidia-compute-580",
        "libcuda1",
        "cuda-drivers-580",
    ],
)
def test_unattended_upgrades_leave_kernel_and_driver(written: list[str], package: str) -> None:
    quoted = [line.strip().rstrip(";") for line in written[0].splitlines() if '"' in line]
    beginnings = [one.strip('"') for one in quoted]
    assert any(fnmatch.fnmatch(package, f"{one}*") for one in beginnings if one), beginnings


def test_gpus_are_verified_before_they_are_used(written: list[str]) -> None:
    unit = directives(written[1])
    assert unit["Before"] == ["llm-server.service"]
    assert "After" in unit and "llm-server.service" not in unit["After"][0]
    # It answers once, and has to go on counting as done.
    assert (unit["Type"], unit["RemainAfterExit"]) == (["oneshot"], ["yes"])
    assert int(unit["TimeoutStartSec"][0]) > 100


def test_gpus_that_vllm_sees_are_one_word_of_the_command() -> None:
    given = {"__gpu_host_choice": CHOICE, "gpu_host_visible": "0, 1"}
    [text] = files("gpu_host", ["gpu-check.service"], **given)
    [command] = directives(text.replace("\\\n", " "))["ExecStart"]
    words = shlex.split(command)
    args = arguments(words[words.index("gpu_check") + 1 :])
    assert args.visible == "0,1"
    assert args.foreign_memory_mib == 1024


def test_a_host_boots_without_its_data_disk() -> None:
    [options] = values("data_disk", ["data_disk_options"])
    assert "nofail" in options
    # What lies on it is data: none of it is to be a way to become root.
    assert {"nodev", "nosuid"} <= set(options)
