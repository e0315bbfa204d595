# SPDX-License-Identifier: Apache-2.0
"""The parser of nvidia-smi, on recorded output of a real H100."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import nvidia_smi

RECORDED = Path(__file__).parents[2] / "fixtures" / "nvidia_smi" / "h100"


def recorded_capabilities(name: str) -> str:
    """The two fields that the module asks for, cut from a recorded wider query."""
    fields = (RECORDED / name).read_text().split(", ")
    return f"{fields[2]}, {fields[7]}\n"


def test_idle_h100() -> None:
    log = nvidia_smi.parse_log((RECORDED / "idle.xml").read_text())
    facts = nvidia_smi.merge(
        log, nvidia_smi.parse_capabilities(recorded_capabilities("idle_query.csv"))
    )
    assert (facts["driver"], facts["cuda"]) == ("580.159.04", "13.0")
    (gpu,) = facts["gpus"]
    assert gpu["name"] == "NVIDIA H100 80GB HBM3"
    assert gpu["compute_capability"] == "9.0"
    assert gpu["memory_mib"] == {"total": 81559, "reserved": 480, "used": 0, "free": 81079}
    assert (gpu["ecc"], gpu["mig"], gpu["persistence_mode"]) == (True, False, True)
    assert gpu["processes"] == []


def test_loaded_h100_names_who_holds_its_memory() -> None:
    (gpu,) = nvidia_smi.parse_log((RECORDED / "loaded.xml").read_text())["gpus"]
    assert gpu["processes"] == [{"pid": 910, "name": "VLLM::EngineCore", "used_mib": 76730}]
    assert gpu["memory_mib"]["free"] < 81079


def test_gpu_without_ecc_or_mig_has_no_such_mode() -> None:
    text = (RECORDED / "idle.xml").read_text()
    text = text.replace("<current_ecc>Enabled", "<current_ecc>N/A")
    text = text.replace("<current_mig>Disabled", "<current_mig>N/A")
    (gpu,) = nvidia_smi.parse_log(text)["gpus"]
    assert gpu["ecc"] is None
    assert gpu["mig"] is None


@pytest.mark.parametrize("text", ["", "no xml", "<other/>", "<nvidia_smi_log>"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="nvidia-smi -q -x printed"):
        nvidia_smi.parse_log(text)


@pytest.mark.parametrize(
    ("code", "output", "on_pci", "status"),
    [
        (0, "<xml/>", True, "ok"),
        (127, "", True, "no_driver"),
        (127, "", False, "no_gpu"),
        (18, "Failed to initialize NVML: Driver/library version mismatch", True, "driver_mismatch"),
        (9, "couldn't communicate with the NVIDIA driver", True, "driver_not_running"),
        (9, "couldn't communicate with the NVIDIA driver", False, "no_gpu"),
        (6, "No devices were found", False, "no_gpu"),
        (6, "No devices were found", True, "driver_not_running"),
        (15, "Unable to determine the device handle for GPU0: GPU is lost.", True, "gpu_lost"),
        (139, "Segmentation fault", True, "unreadable"),
    ],
)
def test_status(code: int, output: str, on_pci: bool, status: str) -> None:
    assert nvidia_smi.status_of(code, output, on_pci) == status


def test_toolkit_version() -> None:
    assert nvidia_smi.parse_nvcc((RECORDED / "nvcc.txt").read_text()) == "13.0"
    assert nvidia_smi.parse_nvcc("command not found") is None


def test_capability_that_a_gpu_lacks_is_left_out() -> None:
    assert nvidia_smi.parse_capabilities("GPU-1, 7.5\nGPU-2, [N/A]\n") == {"GPU-1": "7.5"}


def test_fixtures_hold_no_serial_number_of_a_real_board() -> None:
    for path in RECORDED.glob("*.xml"):
        text = path.read_text()
        assert "<serial>1650000000001</serial>" in text
        assert "<uuid>GPU-00000000-0000-0000-0000-000000000001</uuid>" in text
