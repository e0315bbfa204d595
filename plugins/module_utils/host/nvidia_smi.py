# SPDX-License-Identifier: Apache-2.0
"""Reads what NVIDIA's tools print; no command is run here."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from .nvidia_gpu import ABSENT, gpu_facts, text

_LOG = "<nvidia_smi_log"
_PHRASES = {
    "couldn't find libnvidia-ml": "no_library",
    "NVML Shared Library": "no_library",
    "Insufficient Permissions": "no_right",
    "Unknown Error": "no_access",
    "No supported GPUs were found": "driver_not_running",
}
# What NVIDIA documents of nvidia-smi's exit status ("Return Value"), beside 0 and those with a
# text.
_EXIT_CODES = {
    4: "no_right",
    6: "driver_not_running",
    8: "no_power",
    9: "driver_not_running",
    10: "interrupts",
    12: "no_library",
    15: "gpu_lost",
}
# Of these the log is whole, and what is wrong is a warning.
WARNINGS = {14: "its infoROM is corrupted: ask for other hardware where errors follow"}


def status_of(code: int, output: str, nvidia_on_pci: bool) -> str:
    """Name what a run of nvidia-smi says about the host.

    Args:
        code: exit status; 127 stands for a program that is not there, 124 for one that gave no
            answer in time.
        output: stdout and stderr.
        nvidia_on_pci: whether the kernel sees a PCI device made by NVIDIA.

    Returns:
        `ok`, `no_gpu`, `no_driver`, `driver_not_running`, `driver_mismatch`, `gpu_lost`, `hung`,
        `no_library`, `no_right`, `no_access`, `no_power`, `interrupts` or `unreadable`.
    """
    if code == 124:
        return "hung"
    if code == 127:
        return "no_driver" if nvidia_on_pci else "no_gpu"
    if "Driver/library version mismatch" in output:
        return "driver_mismatch"
    if "No devices were found" in output:
        return "driver_not_running" if nvidia_on_pci else "no_gpu"
    if "couldn't communicate with the NVIDIA driver" in output or "Driver Not Loaded" in output:
        return "driver_not_running" if nvidia_on_pci else "no_gpu"
    if "GPU is lost" in output or "fallen off the bus" in output:
        return "gpu_lost"
    if "Unable to determine the device handle" in output:
        return "gpu_lost" if "Not Found" not in output else "driver_not_running"
    if code == 0:
        return "ok"
    for phrase, status in _PHRASES.items():
        if phrase in output:
            return status
    if _LOG in output and "</nvidia_smi_log>" in output:
        # It ended with a warning (a corrupted infoROM, 14), and told all the same.
        return "ok"
    found = _EXIT_CODES.get(code, "unreadable")
    return "no_gpu" if found == "driver_not_running" and not nvidia_on_pci else found


def parse_log(printed: str) -> dict[str, Any]:
    """Read `nvidia-smi -q -x`.

    Returns:
        driver, cuda (of the driver) and gpus, each as in `nvidia_gpu.gpu_facts`.

    Raises:
        ValueError: it is no log of nvidia-smi.
    """
    try:
        # The file comes from the host's own root-owned tool, and expat expands nothing from it.
        root = ET.fromstring(printed)  # noqa: S314
    except ET.ParseError as error:
        raise ValueError(f"nvidia-smi -q -x printed no XML: {error}") from error
    if root.tag != "nvidia_smi_log":
        raise ValueError(f"nvidia-smi -q -x printed a document of {root.tag!r}")
    return {
        "driver": text(root, "driver_version"),
        "cuda": text(root, "cuda_version"),
        "gpus": [gpu_facts(element) for element in root.findall("gpu")],
    }


def parse_capabilities(printed: str) -> dict[str, str]:
    """Read `--query-gpu=uuid,compute_cap --format=csv,noheader`; returns uuid -> `MAJOR.MINOR`."""
    rows = [[field.strip() for field in line.split(",")] for line in printed.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[1] not in ABSENT}


def parse_nvcc(printed: str) -> str | None:
    """The CUDA toolkit's version in what `nvcc --version` prints; None where there is none."""
    match = re.search(r"release (\d+\.\d+)", printed)
    return match[1] if match else None


def merge(log: Mapping[str, Any], capabilities: Mapping[str, str]) -> dict[str, Any]:
    """Put compute capabilities, which the XML lacks, into a log's GPUs."""
    gpus = [{**gpu, "compute_capability": capabilities.get(gpu["uuid"])} for gpu in log["gpus"]]
    return {**log, "gpus": gpus}
