# SPDX-License-Identifier: Apache-2.0
"""What is said of GPUs that answer and are not well, made from a recorded H100."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import gpu_health, nvidia_smi

RECORDED = Path(__file__).parents[2] / "fixtures" / "nvidia_smi" / "h100"


def judged(changes: dict[str, str], unit: str | None, xids: list[dict[str, Any]]) -> list[str]:
    text = (RECORDED / "loaded.xml").read_text()
    for was, becomes in changes.items():
        assert was in text, was
        text = text.replace(was, becomes, 1)
    gpus = nvidia_smi.parse_log(text)["gpus"]
    for gpu in gpus:
        for process in gpu["processes"]:
            process["unit"] = unit
    return gpu_health.problems(gpus, xids, ["llm-server.service"], 1024)


def test_a_gpu_that_serves_our_model_is_well() -> None:
    assert judged({}, "llm-server.service", []) == []


CASES = {
    "no spare rows": (
        {"remapped_row_failure>No<": "remapped_row_failure>Yes<"},
        "no spare rows of memory left: stop and start the instance",
    ),
    "rows replaced": (
        {"remapped_row_pending>No<": "remapped_row_pending>Yes<"},
        "count after a reset: reboot the host",
    ),
    "uncorrected errors": (
        {"<dram_uncorrectable>0<": "<dram_uncorrectable>2<"},
        "had 2 errors in its memory that could not be corrected",
    ),
    "driver asks for a reset": (
        {"recovery_action>None<": "recovery_action>Reset<"},
        "asks for the recovery 'Reset'",
    ),
    "ECC half switched": (
        {"<pending_ecc>Enabled": "<pending_ecc>Disabled"},
        "was told to switch ECC off: reboot the host",
    ),
    "MIG half switched": (
        {"<pending_mig>Disabled": "<pending_mig>Enabled"},
        "was told to switch MIG on: reboot the host",
    ),
    "MIG without instances": (
        {
            "<pending_mig>Disabled": "<pending_mig>Enabled",
            "<current_mig>Disabled": "<current_mig>Enabled",
        },
        "in MIG mode and has no MIG instance",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_ailment_one_sentence(name: str) -> None:
    changes, said = CASES[name]
    (sentence,) = judged(changes, "llm-server.service", [])
    assert said in sentence
    assert "GPU 00000000:00:06.0 (NVIDIA H100 80GB HBM3)" in sentence


@pytest.mark.parametrize("unit", [None, "jupyter.service"])
def test_memory_that_others_hold(unit: str | None) -> None:
    (sentence,) = judged({}, unit, [])
    assert "76730 MiB of its memory are held by others" in sentence
    assert "VLLM::EngineCore (pid 910" in sentence


@pytest.mark.parametrize(
    ("code", "said"),
    [(79, "fell off the bus"), (48, "could not be corrected"), (119, "stopped answering")],
)
def test_fatal_errors_in_the_kernels_log(code: int, said: str) -> None:
    xid = {"pci_bus_id": "0000:00:06", "code": code, "count": 2, "last": ""}
    (sentence,) = judged({}, "llm-server.service", [xid])
    assert f"Xid {code} (2 times)" in sentence
    assert said in sentence


@pytest.mark.parametrize("code", [13, 31, 43, 45, 63, 94])
def test_faults_of_programs_are_no_ailment(code: int) -> None:
    xid = {"pci_bus_id": "0000:00:06", "code": code, "count": 1, "last": ""}
    assert judged({}, "llm-server.service", [xid]) == []
