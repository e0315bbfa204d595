# SPDX-License-Identifier: Apache-2.0
"""From the facts of GPUs that answer to what is wrong with them, each with its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_REBOOT = "reboot the host"
_MOVE = (
    "stop and start the instance, so that it moves to other hardware (a reboot alone keeps the "
    "hardware); if it comes back, report it to Google"
)
# Of NVIDIA's list of Xid errors those that end work on a GPU until something is done. Others, such
# as 13, 31, 43 and 45, are faults of the program that ran.
FATAL_XIDS = {
    48: ("an error in its memory that could not be corrected", _REBOOT),
    64: ("a row of memory that could not be replaced", _MOVE),
    74: ("an error of NVLink", _REBOOT),
    79: ("a GPU that fell off the bus", _MOVE),
    95: ("an uncontained error in its memory", _REBOOT),
    119: ("firmware (GSP) that stopped answering", _REBOOT),
    120: ("an error of its firmware (GSP)", _REBOOT),
    140: ("an error in its memory that it did not recover from", _REBOOT),
    143: ("a GPU that could not be initialised", _MOVE),
}


def problems(
    gpus: Sequence[Mapping[str, Any]],
    xid_errors: Sequence[Mapping[str, Any]],
    own_units: Sequence[str],
    foreign_memory_mib: int,
) -> list[str]:
    """What keeps a model from being served on these GPUs.

    Args:
        gpus: as `nvidia_gpu.gpu_facts` gives them, with each process's `unit`.
        xid_errors: as `kernel_gpu.xid_errors` gives them.
        own_units: systemd services that may hold a GPU's memory.
        foreign_memory_mib: how much others may hold of one GPU together.

    Returns:
        One sentence each, with the remedy; empty where all is well.
    """
    found = [sentence for gpu in gpus for sentence in _of_one(gpu, own_units, foreign_memory_mib)]
    for error in xid_errors:
        if error["code"] in FATAL_XIDS:
            meaning, remedy = FATAL_XIDS[error["code"]]
            found.append(
                f"GPU {error['pci_bus_id']}: the kernel's log has Xid {error['code']} "
                f"({error['count']} times), {meaning}: {remedy}."
            )
    return found


def _of_one(gpu: Mapping[str, Any], own_units: Sequence[str], foreign_mib: int) -> list[str]:
    name = f"GPU {gpu['pci_bus_id'] or gpu['uuid']} ({gpu['name']})"
    found = []
    if gpu["row_remap"]["failed"]:
        found.append(f"{name} has no spare rows of memory left: {_MOVE}.")
    elif gpu["row_remap"]["pending"]:
        found.append(f"{name} has replaced rows of memory that count after a reset: {_REBOOT}.")
    if gpu["ecc_errors"]["uncorrected"]:
        found.append(
            f"{name} had {gpu['ecc_errors']['uncorrected']} errors in its memory that could not be "
            f"corrected: {_REBOOT}; where they come back, {_MOVE}."
        )
    if gpu["recovery_action"]:
        found.append(
            f"{name}: the driver asks for the recovery '{gpu['recovery_action']}': {_REBOOT}."
        )
    for mode in ("ecc", "mig"):
        if gpu[f"{mode}_pending"] not in (None, gpu[mode]):
            wish = "on" if gpu[f"{mode}_pending"] else "off"
            found.append(f"{name} was told to switch {mode.upper()} {wish}: {_REBOOT}.")
    if gpu["mig"] and not gpu["mig_devices"]:
        found.append(
            f"{name} is in MIG mode and has no MIG instance, so nothing can run on it: switch the "
            f"mode off (nvidia-smi -mig 0) and {_REBOOT}, or make an instance."
        )
    strangers = [each for each in gpu["processes"] if each["unit"] not in own_units]
    held = sum(each["used_mib"] or 0 for each in strangers)
    if held > foreign_mib:
        who = ", ".join(
            f"{each['name']} (pid {each['pid']}, {each['unit'] or 'no service'}, "
            f"{each['used_mib']} MiB)"
            for each in strangers
        )
        found.append(f"{name}: {held} MiB of its memory are held by others, {who}: end them.")
    return found
