# SPDX-License-Identifier: Apache-2.0
"""What the kernel knows of GPUs: module version, nouveau, Xid errors, owners of processes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import nvidia_xid

_MODULE_VERSION = re.compile(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", re.MULTILINE)
# A GPU in MIG mode names the instance after the bus: `(PCI:0000:3b:00 GPU-I:01 GPU-CI:02)`.
_XID = re.compile(
    r"NVRM: Xid \(PCI:(?P<bus>[0-9A-Fa-f:.]+)(?P<instance>[^)]*)\): (?P<code>\d+),?\s*(?P<text>.*)"
)
_UNIT = re.compile(r"/([^/]+\.service)(?:/|$)", re.MULTILINE)


def module_version(proc_text: str) -> str | None:
    """Version of the loaded kernel module, from `/proc/driver/nvidia/version`."""
    match = _MODULE_VERSION.search(proc_text)
    return match[1] if match else None


def nouveau_loaded(proc_modules: str) -> bool:
    """Whether `/proc/modules` names nouveau, which holds the GPU and keeps NVIDIA's driver out."""
    return any(line.startswith("nouveau ") for line in proc_modules.splitlines())


def xid_errors(kernel_log: str) -> list[dict[str, Any]]:
    """Errors that the driver wrote into the kernel log, each kind once per GPU.

    Returns:
        [{pci_bus_id, code, count, last}], in the order of their first appearance. `last` is the
        text of the last one, and of NVLink 5 of the last that is fatal.
    """
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for match in _XID.finditer(kernel_log):
        key = (match["bus"], int(match["code"]))
        entry = found.setdefault(key, {"pci_bus_id": key[0], "code": key[1], "count": 0})
        entry["count"] += 1
        told = " ".join((match["instance"].strip(), match["text"].strip())).strip()[:200]
        kept = "last" in entry and nvidia_xid.is_harmless(key[1], told)
        if not kept or nvidia_xid.is_harmless(key[1], entry["last"]):
            entry["last"] = told
    return list(found.values())


def without(
    errors: Iterable[Mapping[str, Any]], gpus: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Errors that are not of these GPUs, whose place nvidia-smi writes longer: 00000000:3B:00.0."""
    places = [str(gpu["pci_bus_id"]).lower().removeprefix("0000") for gpu in gpus]
    return [
        error
        for error in errors
        if not any(place.startswith(str(error["pci_bus_id"]).lower()) for place in places)
    ]


def systemd_unit(proc_cgroup: str) -> str | None:
    """The service that a process belongs to, from `/proc/PID/cgroup`."""
    match = _UNIT.search(proc_cgroup)
    return match[1] if match else None


def topology(text: str) -> dict[str, dict[str, str]]:
    """Read `nvidia-smi topo -m`.

    Returns:
        GPU -> other GPU -> link: `NV18` is 18 NVLinks, `PIX` to `SYS` PCIe near to far.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    rows = [line.split("\t") for line in plain.split("Legend:")[0].splitlines() if line.strip()]
    if not rows:
        return {}
    names = [cell.strip() for cell in rows[0]]
    links: dict[str, dict[str, str]] = {}
    for row in rows[1:]:
        cells = [cell.strip() for cell in row]
        if not cells[0].startswith("GPU"):
            continue
        links[cells[0]] = {
            name: cell
            for name, cell in zip(names[1:], cells[1:], strict=False)
            if re.fullmatch(r"GPU\d+", name) and name != cells[0]
        }
    return links
