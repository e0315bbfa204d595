# SPDX-License-Identifier: Apache-2.0
"""What a host's GPUs ask for, as facts: go on, reset, recreate elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import gpu_health, nvidia_xid
from .nvidia_xid import ELSEWHERE, GO_ON, RESET

# Where no GPU answers; what is not here a person has to fix (a driver, a right).
_OF_STATUS = {"gpu_lost": ELSEWHERE, "hung": RESET, "driver_mismatch": RESET, "no_power": ELSEWHERE,
              "interrupts": RESET}  # fmt: skip
# Clocks that are held down to save power or because nothing runs are no finding.
_THROTTLES = {
    "hw_slowdown": "its hardware slows it down",
    "hw_thermal_slowdown": "it is too hot",
    "sw_thermal_slowdown": "it is too hot",
    "hw_power_brake_slowdown": "the machine's power is short",
}

# What is to be done, for people.
_WORDS = {
    RESET: "reset (reboot the host)",
    ELSEWHERE: "recreate elsewhere (stop.yml, then start.yml: it moves to other hardware)",
}


# Words of the problem (`gpu_health`) that a finding is besides, where they differ from its own.
# A problem that is not recognized by them is only told twice.
_SAME = {
    "remap failure": "no spare rows of memory left",
    "remap": "has replaced rows of memory",
    "ecc": "could not be corrected",
    "recovery": "the driver asks for the recovery",
}


def untold(problems: Iterable[str], findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The problems that no finding tells."""
    return [text for text in problems if not any(_tells(one, text) for one in findings)]


def _tells(finding: Mapping[str, Any], problem: str) -> bool:
    if finding["kind"] == "status":
        return True  # Where no GPU answers, that is the one problem.
    if finding["action"] == GO_ON or not problem.startswith(f"GPU {finding['gpu']}"):
        return False
    same = _SAME.get(finding["kind"])
    return finding["text"] in problem or (same is not None and same in problem)


def line(finding: Mapping[str, Any]) -> str:
    """A finding for people."""
    where = f"GPU {finding['gpu']}: " if finding["gpu"] else ""
    action = str(finding["action"])
    return f"{where}{finding['text']}: {_WORDS.get(action, action)}"


def of_host(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each finding: `gpu` (bus or UUID, empty for the host), `kind`, `text` and `action`."""
    if facts["status"] in _OF_STATUS:
        action = _OF_STATUS[facts["status"]]
        found = [_finding("", "status", facts["status"], action)]
    else:
        found = [*_kinds(facts), *(one for gpu in facts["gpus"] for one in _of_one(gpu))]
    architecture = gpu_health.architecture_of(facts["gpus"])
    for error in facts["xid_errors"]:
        what = nvidia_xid.meaning(error["code"], error["last"], architecture)
        text = f"Xid {error['code']} ({error['count']} times), {what.text}"
        found.append(_finding(error["pci_bus_id"], "xid", text, what.action))
    return found


def _kinds(facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    used = [gpu for gpu in facts["gpus"] if gpu["uuid"] in facts["visible"]]
    names = list(dict.fromkeys(str(gpu["name"]) for gpu in used))
    if len(names) > 1:
        text = f"{len(names)} kinds of GPU ({', '.join(names)}): a model that is split over them "
        yield _finding("", "kinds", f"{text}has the memory and speed of the weakest", GO_ON)


def _of_one(gpu: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    name = str(gpu["pci_bus_id"] or gpu["uuid"])
    rows, errors = gpu["row_remap"], gpu["ecc_errors"]
    if rows["failed"]:
        yield _finding(name, "remap failure", "no spare rows of memory are left", ELSEWHERE)
    elif rows["pending"]:
        yield _finding(name, "remap", "replaced rows of memory count after a reset", RESET)
    if gpu["sram_threshold_exceeded"]:
        yield _finding(name, "ecc", "more errors in its SRAM than NVIDIA lets pass", ELSEWHERE)
    if errors["uncorrected"]:
        yield _finding(name, "ecc", f"{errors['uncorrected']} errors not corrected", RESET)
    elif errors["corrected"]:
        yield _finding(name, "ecc", f"{errors['corrected']} errors corrected", GO_ON)
    if gpu["repair"]["unrepairable"]:
        yield _finding(name, "repair", "memory that can't be repaired", ELSEWHERE)
    if gpu["broken_fields"]:
        yield _finding(name, "unread", ", ".join(gpu["broken_fields"][:3]), RESET)
    if gpu["recovery_action"]:
        yield _finding(name, "recovery", str(gpu["recovery_action"]), RESET)
    for reason in gpu["throttled_by"]:
        if reason in _THROTTLES:
            yield _finding(name, "throttling", _THROTTLES[reason], GO_ON)


def _finding(gpu: str, kind: str, text: str, action: str) -> dict[str, Any]:
    return {"gpu": gpu, "kind": kind, "text": text, "action": action}
