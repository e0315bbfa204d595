# SPDX-License-Identifier: Apache-2.0
"""Asks a host for its GPUs: which commands and files, in which order. The host is handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from . import gpu_findings, gpu_health, kernel_gpu, kernel_log, nvidia_smi

NVIDIA_VENDOR = "0x10de"
NOTHING = gpu_health.Needs()


class Host(Protocol):
    """What is asked."""

    def run(self, *command: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr; 127 for a missing program, 124 for one that hangs."""

    def read(self, path: str) -> str:
        """Text of a file, empty where it is missing."""

    def pci_vendors(self) -> Sequence[str]:
        """The vendor of each device on the PCI bus, as `0x10de`."""

    def machine(self) -> str:
        """Kind of processor."""


def _kernel_log(host: Host) -> str:
    """The kernel's log since the boot, empty where it can't be read."""
    for command in (("journalctl", "-k", "-b", "-o", "cat", "--no-pager"), ("dmesg",)):
        code, out, _err = host.run(*command)
        if code == 0 and out.strip():
            return out
    return ""


def _status(host: Host, code: int, output: str, nouveau: bool) -> str:
    status = nvidia_smi.status_of(code, output, NVIDIA_VENDOR in host.pci_vendors())
    return "nouveau" if nouveau and status in ("no_driver", "driver_not_running") else status


def collect(
    host: Host,
    *,
    program: str = "nvidia-smi",
    own_units: Sequence[str] = (),
    foreign_memory_mib: int = 1024,
    needs: gpu_health.Needs = NOTHING,
) -> dict[str, Any]:
    """All facts of a host's GPUs, and what is wrong with them.

    Args:
        program: nvidia-smi.
        own_units: systemd services that may hold a GPU's memory.
        foreign_memory_mib: how much others may hold of one GPU together.
        needs: what the GPUs are wanted for.

    Returns:
        As gpu_info documents it.
    """
    facts = _empty(host)
    log = _kernel_log(host)
    facts |= {
        "xid_errors": kernel_gpu.xid_errors(log),
        "kernel_causes": [one.name for one in kernel_log.causes(log)],
        "kernel_lines": kernel_log.last_lines(log),
    }
    code, out, err = host.run(program, "-q", "-x")
    status = _status(host, code, out + err, facts["nouveau"])
    if status != "ok":
        output = "" if code == 127 else (out + err).strip()[-2000:]
        return _judged({**facts, "status": status, "output": output}, log)
    warning = nvidia_smi.WARNINGS.get(code, "")
    code, capabilities, err = host.run(
        program, "--query-gpu=uuid,compute_cap", "--format=csv,noheader"
    )
    if code == 124:
        return _judged({**facts, "status": "hung", "output": err}, log)
    try:
        facts |= nvidia_smi.merge(
            nvidia_smi.parse_log(out), nvidia_smi.parse_capabilities(capabilities)
        )
    except ValueError as error:
        return _judged({**facts, "status": "unreadable", "output": str(error)}, log)
    for gpu in facts["gpus"]:
        for process in gpu["processes"]:
            process["unit"] = kernel_gpu.systemd_unit(host.read(f"/proc/{process['pid']}/cgroup"))
    code, out, _err = host.run(program, "topo", "-m")
    facts["topology"] = kernel_gpu.topology(out) if code == 0 else {}
    _code, out, _err = host.run("nvcc", "--version")
    facts["cuda_toolkit"] = nvidia_smi.parse_nvcc(out)
    facts["status"] = "ok" if facts["gpus"] else "no_gpu"
    facts["nvidia_smi_warnings"] = [f"A GPU warns that {warning}."] if warning else []
    return _judged(facts, log, own_units, foreign_memory_mib, needs)


def _empty(host: Host) -> dict[str, Any]:
    return {
        "machine": host.machine(),
        "driver": None,
        "cuda": None,
        "cuda_toolkit": None,
        "gpus": [],
        "output": "",
        "kernel_module": kernel_gpu.module_version(host.read("/proc/driver/nvidia/version")),
        "nouveau": kernel_gpu.nouveau_loaded(host.read("/proc/modules")),
        "topology": {},
        "nvidia_smi_warnings": [],
        "visible": [],
    }


def _judged(
    facts: Mapping[str, Any],
    log: str,
    own_units: Sequence[str] = (),
    foreign_memory_mib: int = 0,
    needs: gpu_health.Needs = NOTHING,
) -> dict[str, Any]:
    if facts["status"] != "ok":
        told = gpu_health.of_status(facts["status"], facts["output"], log)
        return {**facts, "problems": [told], "findings": gpu_findings.of_host(facts)}
    gpus, used = facts["gpus"], gpu_health.visible(facts["gpus"], needs.visible)
    facts = {**facts, "visible": [gpu["uuid"] for gpu in used]}
    xids = kernel_gpu.without(facts["xid_errors"], [gpu for gpu in gpus if gpu not in used])
    found = gpu_health.problems(used, xids, own_units, foreign_memory_mib, needs.visible)
    found += gpu_health.missing(gpus, log, needs.brought)
    found += gpu_health.not_there(gpus, needs.visible) or gpu_health.unmet(
        {**facts, "gpus": used}, needs
    )
    return {**facts, "problems": found, "findings": gpu_findings.of_host(facts)}
