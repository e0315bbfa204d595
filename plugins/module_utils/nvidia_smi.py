# SPDX-License-Identifier: Apache-2.0
"""Reads what NVIDIA's tools print; no command is run here."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

# A fact a GPU doesn't have is told in words of these kinds.
_ABSENT = ("N/A", "[N/A]", "[Not Supported]", "Not Supported", "None", "")
_MIB = re.compile(r"^(\d+) MiB$")


def status_of(code: int, output: str, nvidia_on_pci: bool) -> str:
    """Name what a run of nvidia-smi says about the host.

    Args:
        code: exit status; 127 stands for a program that is not there.
        output: stdout and stderr.
        nvidia_on_pci: whether the kernel sees a PCI device made by NVIDIA.

    Returns:
        `ok`, `no_gpu`, `no_driver`, `driver_not_running`, `driver_mismatch`, `gpu_lost` or
        `unreadable`.
    """
    if code == 127:
        return "no_driver" if nvidia_on_pci else "no_gpu"
    if "Driver/library version mismatch" in output:
        return "driver_mismatch"
    if "No devices were found" in output:
        return "driver_not_running" if nvidia_on_pci else "no_gpu"
    if "couldn't communicate with the NVIDIA driver" in output or "Driver Not Loaded" in output:
        return "driver_not_running" if nvidia_on_pci else "no_gpu"
    if "GPU is lost" in output or "Unable to determine the device handle" in output:
        return "gpu_lost"
    return "ok" if code == 0 else "unreadable"


def parse_log(text: str) -> dict[str, Any]:
    """Read `nvidia-smi -q -x`.

    Returns:
        driver, cuda (of the driver) and gpus; each GPU with uuid, name, architecture, memory_mib
        {total, reserved, used, free}, ecc, mig, persistence_mode (booleans, None where the GPU has
        no such mode), remap_pending and processes [{pid, name, used_mib}].

    Raises:
        ValueError: it is no log of nvidia-smi.
    """
    try:
        # The file comes from the host's own root-owned tool, and expat expands nothing from it.
        root = ET.fromstring(text)  # noqa: S314
    except ET.ParseError as error:
        raise ValueError(f"nvidia-smi -q -x printed no XML: {error}") from error
    if root.tag != "nvidia_smi_log":
        raise ValueError(f"nvidia-smi -q -x printed a document of {root.tag!r}")
    return {
        "driver": _text(root, "driver_version"),
        "cuda": _text(root, "cuda_version"),
        "gpus": [_gpu(element) for element in root.findall("gpu")],
    }


def _gpu(element: ET.Element) -> dict[str, Any]:
    return {
        "uuid": _text(element, "uuid"),
        "name": _text(element, "product_name"),
        "architecture": _text(element, "product_architecture"),
        "memory_mib": {
            key: _mib(element, f"fb_memory_usage/{key}")
            for key in ("total", "reserved", "used", "free")
        },
        "ecc": _enabled(element, "ecc_mode/current_ecc"),
        "mig": _enabled(element, "mig_mode/current_mig"),
        "persistence_mode": _enabled(element, "persistence_mode"),
        "remap_pending": _text(element, "remapped_rows/remapped_row_pending") == "Yes",
        "processes": [
            {
                "pid": int(_text(process, "pid") or 0),
                "name": _text(process, "process_name"),
                "used_mib": _mib(process, "used_memory"),
            }
            for process in element.findall("processes/process_info")
        ],
    }


def _text(element: ET.Element, path: str) -> str | None:
    text = (element.findtext(path) or "").strip()
    return None if text in _ABSENT else text


def _mib(element: ET.Element, path: str) -> int | None:
    match = _MIB.match(_text(element, path) or "")
    return int(match[1]) if match else None


def _enabled(element: ET.Element, path: str) -> bool | None:
    text = _text(element, path)
    return None if text is None else text == "Enabled"


def parse_capabilities(text: str) -> dict[str, str]:
    """Read `--query-gpu=uuid,compute_cap --format=csv,noheader`; returns uuid -> `MAJOR.MINOR`."""
    rows = [[field.strip() for field in line.split(",")] for line in text.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[1] not in _ABSENT}


def parse_nvcc(text: str) -> str | None:
    """The CUDA toolkit's version in what `nvcc --version` prints; None where there is none."""
    match = re.search(r"release (\d+\.\d+)", text)
    return match[1] if match else None


def merge(log: Mapping[str, Any], capabilities: Mapping[str, str]) -> dict[str, Any]:
    """Put compute capabilities, which the XML lacks, into a log's GPUs."""
    gpus = [{**gpu, "compute_capability": capabilities.get(gpu["uuid"])} for gpu in log["gpus"]]
    return {**log, "gpus": gpus}
