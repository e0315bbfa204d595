# SPDX-License-Identifier: Apache-2.0
"""Facts of several kinds of GPU, with drivers of several branches; see the fixtures' README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import kernel_gpu, nvidia_smi

FIXTURES = Path(__file__).parents[2] / "fixtures" / "nvidia_smi"
NO_REPAIR = {"channel": False, "tpc": False, "unrepairable": False}
UNKNOWN_REPAIR = {"channel": None, "tpc": None, "unrepairable": None}
NO_PAGES = {"single_bit": None, "double_bit": None, "pending": None}
NO_FABRIC = {"state": None, "status": None}


def gpus(path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = nvidia_smi.parse_log((FIXTURES / path).read_text())["gpus"]
    return found


def test_two_h100_on_one_nvswitch() -> None:
    first, second = gpus("h100x2/held.xml")
    assert first["memory_mib"] == {"total": 81559, "reserved": 480, "used": 4, "free": 81076}
    assert (first["processes"], second["memory_mib"]["used"]) == ([], 3599)
    assert second["processes"] == [{"pid": 626, "name": "python3", "used_mib": 3590}]
    assert second["fabric"] == {"state": "Completed", "status": "Success"}
    assert second["repair"] == NO_REPAIR
    assert second["retired_pages"] == NO_PAGES
    links = kernel_gpu.topology((FIXTURES / "h100x2/topo.txt").read_text())
    assert links == {"GPU0": {"GPU1": "NV18"}, "GPU1": {"GPU0": "NV18"}}
    capabilities = nvidia_smi.parse_capabilities((FIXTURES / "h100x2/capabilities.csv").read_text())
    assert capabilities == {first["uuid"]: "9.0", second["uuid"]: "9.0"}


def test_an_h200_while_vllm_served() -> None:
    (gpu,) = gpus("h200/loaded.xml")
    assert (gpu["name"], gpu["architecture"]) == ("NVIDIA H200", "Hopper")
    assert gpu["memory_mib"] == {"total": 143771, "reserved": 616, "used": 130235, "free": 12922}
    assert gpu["processes"] == [{"pid": 1113, "name": "VLLM::EngineCore", "used_mib": 130226}]
    # A moment before it drew all that it may.
    assert gpu["throttled_by"] == ["sw_power_cap"]
    assert (gpu["power_w"]["draw"], gpu["power_w"]["limit"]) == (484.86, 700)
    assert gpu["row_remap"] == {"corrected": 0, "uncorrected": 0, "pending": False, "failed": False}
    assert (gpu["repair"], gpu["retired_pages"]) == (NO_REPAIR, NO_PAGES)
    assert (gpu["ecc"], gpu["broken_fields"]) == (True, [])
    # Alone in its machine it is on no NVSwitch.
    assert gpu["fabric"] == NO_FABRIC
    (idle,) = gpus("h200/idle.xml")
    assert (idle["memory_mib"]["used"], idle["processes"], idle["throttled_by"]) == (0, [], [])
    assert kernel_gpu.topology((FIXTURES / "h200/topo.txt").read_text()) == {"GPU0": {}}
    capabilities = nvidia_smi.parse_capabilities((FIXTURES / "h200/capabilities.csv").read_text())
    assert capabilities == {gpu["uuid"]: "9.0"}
    assert nvidia_smi.parse_nvcc((FIXTURES / "h200/nvcc.txt").read_text()) == "13.0"
    version = (FIXTURES / "h200/proc_driver_version.txt").read_text()
    assert kernel_gpu.module_version(version) == "580.159.04"


def test_the_xid_of_an_h200() -> None:
    """A program of its own wrote to an address that it did not have."""
    (error,) = kernel_gpu.xid_errors((FIXTURES / "h200/kernel_log.txt").read_text())
    assert (error["pci_bus_id"], error["code"], error["count"]) == ("0000:00:06", 31, 1)
    assert error["last"].startswith("pid=4463, name=python3, channel 0x0000000a")


def test_two_h200_with_tensor_parallel() -> None:
    first, second = gpus("h200x2/loaded.xml")
    names = [one["processes"][0]["name"] for one in (first, second)]
    assert names == ["VLLM::Worker_TP0", "VLLM::Worker_TP1"]
    assert second["fabric"] == {"state": "Completed", "status": "Success"}
    links = kernel_gpu.topology((FIXTURES / "h200x2/topo.txt").read_text())
    assert links == {"GPU0": {"GPU1": "NV18"}, "GPU1": {"GPU0": "NV18"}}
    capabilities = nvidia_smi.parse_capabilities((FIXTURES / "h200x2/capabilities.csv").read_text())
    assert capabilities == {first["uuid"]: "9.0", second["uuid"]: "9.0"}


def test_two_l4_of_driver_555() -> None:
    first, second = gpus("l4x2/held.xml")
    assert (first["name"], first["architecture"]) == ("NVIDIA L4", "Ada Lovelace")
    assert (first["pci_bus_id"], second["pci_bus_id"]) == ("00000000:01:00.0", "00000000:C1:00.0")
    assert first["memory_mib"]["total"] == 23034
    assert [one["used_mib"] for one in first["processes"]] == [389, 1054]
    assert second["processes"] == []
    assert (first["ecc"], first["mig"], first["persistence_mode"]) == (True, None, False)
    assert first["power_w"] == {
        "draw": 27.22,
        "limit": 72.0,
        "default_limit": 72.0,
        "max_limit": 72.0,
    }
    assert first["temperature_c"] == {"gpu": 45, "memory": None}
    assert (first["fabric"], first["repair"]) == (NO_FABRIC, UNKNOWN_REPAIR)


def test_an_a100_of_driver_535() -> None:
    (gpu,) = gpus("a100/idle.xml")
    assert (gpu["name"], gpu["memory_mib"]["total"]) == ("NVIDIA A100-SXM4-40GB", 40960)
    assert (gpu["mig"], gpu["mig_devices"]) == (False, 0)
    assert gpu["row_remap"] == {"corrected": 0, "uncorrected": 0, "pending": False, "failed": False}
    assert gpu["ecc_errors"] == {"corrected": 0, "uncorrected": 0}
    assert (gpu["power_w"]["draw"], gpu["power_w"]["limit"]) == (52.12, 400.0)
    assert gpu["clocks_mhz"] == {"sm": 210, "memory": 1215, "max_sm": 1410, "max_memory": 1215}


def test_a_t4_of_driver_530_retires_pages_and_remaps_no_rows() -> None:
    (gpu,) = gpus("t4/held.xml")
    assert (gpu["name"], gpu["architecture"]) == ("Tesla T4", "Turing")
    assert gpu["retired_pages"] == {"single_bit": 0, "double_bit": 0, "pending": False}
    assert set(gpu["row_remap"].values()) == {None}
    assert gpu["power_w"] == {
        "draw": 14.04,
        "limit": 70.0,
        "default_limit": 70.0,
        "max_limit": 70.0,
    }
    assert gpu["throttled_by"] == []
    assert gpu["processes"][0]["name"] == "nvidia-cuda-mps-server"


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*/*.xml")), ids=lambda one: one.parent.name)
def test_every_gpu_has_what_the_roles_rely_on(path: Path) -> None:
    for number, gpu in enumerate(gpus(str(path)), 1):
        assert gpu["uuid"] == f"GPU-00000000-0000-0000-0000-00000000000{number}"
        assert gpu["memory_mib"]["total"] > gpu["memory_mib"]["free"] > 0
        assert gpu["power_w"]["draw"] and gpu["power_w"]["limit"]
        assert gpu["ecc_errors"] == {"corrected": 0, "uncorrected": 0}
