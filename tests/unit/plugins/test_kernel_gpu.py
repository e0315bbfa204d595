# SPDX-License-Identifier: Apache-2.0
"""What the kernel knows of GPUs, read from its files and its log."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import kernel_gpu, nvidia_smi

RECORDED = Path(__file__).parents[2] / "fixtures" / "nvidia_smi" / "h100"

LOG = """\
Linux version 6.8.0-1015-gcp
NVRM: Xid (PCI:0000:00:04): 31, pid=911, name=python3, Ch 00000008, MMU Fault
NVRM: Xid (PCI:0000:00:04): 31, pid=912, name=python3, Ch 00000009, MMU Fault
NVRM: Xid (PCI:0000:00:04): 79, GPU has fallen off the bus.
"""


def test_version_of_a_recorded_kernel_module() -> None:
    text = (RECORDED / "proc_driver_version.txt").read_text()
    assert kernel_gpu.module_version(text) == "580.159.04"
    assert kernel_gpu.module_version("") is None


@pytest.mark.parametrize(
    ("modules", "loaded"),
    [
        ("nouveau 2396160 0 - Live 0x0\n", True),
        ("nvidia 9000000 2 nvidia_uvm, Live 0x0\n", False),
        ("drm 622592 1 nouveau, Live 0x0\n", False),
        ("", False),
    ],
)
def test_nouveau(modules: str, loaded: bool) -> None:
    assert kernel_gpu.nouveau_loaded(modules) is loaded


def test_xid_errors_are_counted_by_gpu_and_code() -> None:
    first, second = kernel_gpu.xid_errors(LOG)
    assert (first["code"], first["count"], first["pci_bus_id"]) == (31, 2, "0000:00:04")
    assert first["last"].startswith("pid=912")
    assert second == {
        "pci_bus_id": "0000:00:04",
        "code": 79,
        "count": 1,
        "last": "GPU has fallen off the bus.",
    }
    assert kernel_gpu.xid_errors("nothing of the kind") == []


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/llm-server.service\n", "llm-server.service"),
        (
            "4:memory:/system.slice/llm-server.service\n1:name=systemd:/system.slice/x.service\n",
            "llm-server.service",
        ),
        ("0::/user.slice/user-0.slice/session-1.scope\n", None),
        ("", None),
    ],
)
def test_who_a_process_belongs_to(cgroup: str, unit: str | None) -> None:
    assert kernel_gpu.systemd_unit(cgroup) == unit


def test_topology_of_one_recorded_gpu_has_no_links() -> None:
    assert kernel_gpu.topology((RECORDED / "topo.txt").read_text()) == {"GPU0": {}}


def test_topology_of_two_gpus() -> None:
    text = (
        "\tGPU0\tGPU1\tNIC0\tCPU Affinity\nGPU0\t X \tNV18\tSYS\t0-15\nGPU1\tNV18\t X \tSYS\t0-15\n"
    )
    assert kernel_gpu.topology(text) == {"GPU0": {"GPU1": "NV18"}, "GPU1": {"GPU0": "NV18"}}


def test_topology_of_nothing() -> None:
    assert kernel_gpu.topology("") == {}


def test_health_of_a_recorded_gpu() -> None:
    (gpu,) = nvidia_smi.parse_log((RECORDED / "loaded.xml").read_text())["gpus"]
    assert gpu["ecc_errors"] == {"corrected": 0, "uncorrected": 0}
    assert gpu["row_remap"] == {"corrected": 0, "uncorrected": 0, "pending": False, "failed": False}
    assert gpu["temperature_c"] == {"gpu": 41, "memory": 47}
    assert gpu["power_w"] == {
        "draw": 519.53,
        "limit": 700.0,
        "default_limit": 700.0,
        "max_limit": 700.0,
    }
    assert gpu["clocks_mhz"] == {"sm": 1980, "memory": 2619, "max_sm": 1980, "max_memory": 2619}
    assert gpu["throttled_by"] == []
    assert gpu["recovery_action"] is None


def counted(corrected: int, uncorrected: int) -> dict[str, int]:
    return {"corrected": corrected, "uncorrected": uncorrected}


@pytest.mark.parametrize(
    ("was", "becomes", "fact", "value"),
    [
        ("<dram_uncorrectable>0<", "<dram_uncorrectable>3<", "ecc_errors", counted(0, 3)),
        ("<sram_correctable>0<", "<sram_correctable>7<", "ecc_errors", counted(7, 0)),
        ("sw_power_cap>Not Active<", "sw_power_cap>Active<", "throttled_by", ["sw_power_cap"]),
        ("recovery_action>None<", "recovery_action>Reset<", "recovery_action", "Reset"),
        ("<pending_ecc>Enabled", "<pending_ecc>Disabled", "ecc_pending", False),
        ("<current_mig>Disabled", "<current_mig>Enabled", "mig", True),
    ],
)
def test_what_ails_a_gpu(was: str, becomes: str, fact: str, value: object) -> None:
    text = (RECORDED / "loaded.xml").read_text()
    assert was in text
    (gpu,) = nvidia_smi.parse_log(text.replace(was, becomes, 1))["gpus"]
    assert gpu[fact] == value
