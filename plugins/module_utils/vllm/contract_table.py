# SPDX-License-Identifier: Apache-2.0
"""The compatibility contract: vLLM's builds, what each asks of a host, and what images bring.

Data only, for roles, filters and modules alike; `compatibility` and `build_choice` read it. It is
no YAML because modules that run on hosts import it. Read on 2026-11-24 and 25. What torch and CUDA
a release brings: `uv pip compile` of `vllm==VERSION` for x86_64 (0.32.0, 0.33.0: this collection's
locks).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..hardware.gpus import BFLOAT16_FROM

GPU_DTYPES = ((BFLOAT16_FROM, "bfloat16"), (0.0, "half"))
# On a CPU without bfloat16 in hardware vLLM's answers in that type were nonsense, in this right.
CPU_DTYPES = ((0.0, "float32"),)
X86 = ("x86_64",)
BOTH = ("x86_64", "aarch64")


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
        dtypes: number formats to use, each from a compute capability on, the best first.
        machines: kinds of processor that it is published for; of a locked one, those of the lock.
        locked: the Python that this collection's lock of it is made for; empty where it has none.
        beside: where its wheels are, if not on the public package index.
    """

    version: str
    build: str
    torch: str
    python: str
    least: float
    dtypes: tuple[tuple[float, str], ...] = GPU_DTYPES
    machines: tuple[str, ...] = BOTH
    locked: str = ""
    beside: str = ""


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
# 0.32.0 takes no Python 3.10 is in its package's metadata. Tried: that 0.32.0+cu129 is on no index
# which pip asks by itself, and that these releases have wheels for aarch64. The first that fits is
# taken: the newest come first, but for one that was not run on a GPU yet.
RELEASES = (
    Release("0.32.0", "cu130", "2.13.0", "3.11", 7.5, machines=X86, locked="3.12"),
    Release(
        "0.32.0",
        "cu129",
        "2.13.0",
        "3.11",
        7.5,
        machines=X86,
        beside="vLLM's own index wheels.vllm.ai",
    ),
    Release("0.32.0", "cpu", "2.13.0+cpu", "3.11", 0.0, CPU_DTYPES, machines=X86, locked="3.11"),
    Release("0.33.0", "cu130", "2.14.0", "3.11", 7.5, machines=X86, locked="3.12"),
    Release("0.25.1", "cu130", "2.11.0", "3.10", 7.5),
    Release("0.21.0", "cu130", "2.11.0", "3.10", 7.5),
    Release("0.14.0", "cu128", "2.9.1", "3.10", 7.0),
)
# What python3 is on the systems that images are made of, as parts of the images' names.
IMAGE_PYTHONS = {
    "debian-11": "3.9",
    "debian-12": "3.11",
    "debian-13": "3.13",
    "ubuntu-2004": "3.8",
    "ubuntu-2204": "3.10",
    "ubuntu-accelerator-2204": "3.10",
    "ubuntu-2404": "3.12",
    "ubuntu-accelerator-2404": "3.12",
}
# What people write for the Python that a host came with; any other path is one of their own.
HOSTS_PYTHON = ("python", "python3", "/usr/bin/python", "/usr/bin/python3")
# Where uv fetches a Python from where the host's will not do.
PYTHON_SOURCE = "https://github.com/astral-sh/python-build-standalone/releases"
