# SPDX-License-Identifier: Apache-2.0
"""Which build of vLLM runs with which driver on which GPU: data, and what it rules out. Pure.

Read on 2026-11-24. What torch and CUDA a release brings: `uv pip compile` of `vllm==VERSION` for
x86_64 (0.32.0: this collection's locks).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import gpu_table, machine_choice


@dataclass(frozen=True)
class Toolkit:
    """A CUDA that vLLM and torch are built with.

    Attributes:
        driver: the oldest branch of NVIDIA's driver that runs it.
        least, most: compute capabilities that torch's build of it has code for.
    """

    cuda: str
    driver: int
    least: float
    most: float


@dataclass(frozen=True)
class Release:
    """One build of one release of vLLM.

    Attributes:
        torch: its version.
        python: the oldest that it takes.
        least: the compute capability that vLLM asks for; 0 on a CPU.
    """

    version: str
    build: str
    torch: str
    python: str
    least: float


# Drivers: NVIDIA, CUDA Compatibility, Minor Version Compatibility, table 1 (13.x: 580, 12.x: 525,
# where a few features ask for more). Capabilities: pytorch/pytorch#157517 for 12.x (12.8 lists 7.0
# in some releases; all have 7.5) and NVIDIA's release notes for 13.0, which dropped what is older.
TOOLKITS = {
    "cu126": Toolkit("12.6", 525, 5.0, 9.0),
    "cu128": Toolkit("12.8", 525, 7.5, 12.0),
    "cu129": Toolkit("12.9", 525, 7.5, 12.0),
    "cu130": Toolkit("13.0", 580, 7.5, 12.0),
}
# Compute capability and Python: vLLM's installation guide of v0.14.0, v0.21.0 and v0.26.0; that
# 0.32.0 takes no Python 3.10 is in its package's metadata.
RELEASES = {
    (one.version, one.build): one
    for one in (
        Release("0.14.0", "cu128", "2.9.1", "3.10", 7.0),
        Release("0.21.0", "cu130", "2.11.0", "3.10", 7.5),
        Release("0.25.1", "cu130", "2.11.0", "3.10", 7.5),
        Release("0.32.0", "cu130", "2.13.0", "3.11", 7.5),
        Release("0.32.0", "cpu", "2.13.0+cpu", "3.11", 0.0),
    )
}


def image_driver(image: str) -> int | None:
    """The driver's branch that the name of an image or its family tells; None where none does."""
    found = re.search(r"-nvidia-(\d{3})(?:-|$)", image)
    return int(found[1]) if found else None


def problems(version: str, build: str, *, gpu: str = "", driver: int | None = None) -> list[str]:
    """Why a build can't run there, each with what to change; empty where it can, or nothing tells.

    Args:
        gpu: accelerator type.
        driver: its branch.
    """
    release, toolkit = RELEASES.get((version, build)), TOOLKITS.get(build)
    known = gpu_table.find(gpu)
    if build == "cpu" or toolkit is None:
        return []
    name = f"vLLM {version} for CUDA {toolkit.cuda} ({build})"
    found = []
    if driver is not None and driver < toolkit.driver:
        found.append(
            f"{name} needs NVIDIA driver {toolkit.driver} or newer, and the image brings {driver}: "
            f"choose an image whose family ends in nvidia-{toolkit.driver} or a higher number"
        )
    if known is not None:
        least = max(toolkit.least, release.least if release else 0.0)
        if not least <= known.capability <= toolkit.most:
            found.append(
                f"{name} has code for compute capabilities {least} to {toolkit.most}, and "
                f"{known.name} has {known.capability}: choose another GPU{_others(known)}"
            )
    return found


def _others(gpu: gpu_table.Gpu) -> str:
    fitting = [
        f"{one.version} {one.build}"
        for one in RELEASES.values()
        if one.build in TOOLKITS
        and max(one.least, TOOLKITS[one.build].least) <= gpu.capability <= TOOLKITS[one.build].most
    ]
    return f", or one of these builds: {', '.join(fitting)}" if fitting else ""


def of_place(place: Mapping[str, Any], version: str, build: str, image: str) -> list[str]:
    """The same for a placement (`machine_type`, `accelerators`) that boots an image."""
    found = machine_choice.gpus_of(
        str(place.get("machine_type", "")), list(place.get("accelerators") or [])
    )
    gpu = found[0] if found else ""
    return problems(version, build, gpu=gpu, driver=image_driver(image))
