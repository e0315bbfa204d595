# SPDX-License-Identifier: Apache-2.0
"""From the facts of a host's GPUs to what is wrong with them, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import kernel_log, nvidia_xid

_REBOOT = "reboot the host"
# So begin names of a GPU's instances.
_INSTANCE = "MIG-"
_MOVE = (
    "stop and start the instance, so that it moves to other hardware (a reboot alone keeps the "
    "hardware); if it comes back, report it to Google"
)
_REMEDIES = {nvidia_xid.RESET: _REBOOT, nvidia_xid.ELSEWHERE: _MOVE}
# Up to 620 MiB were seen (an A100), which drivers from 510 on tell apart.
DRIVERS_OWN_MIB = 1024
# NVIDIA's guide to dynamic page retirement: there is room for 64, and from 60 on it has the board
# replaced.
MOST_RETIRED_PAGES = 60
# What it means that no GPU answers, by gpu_info's status.
STATUSES = {
    "no_gpu": (
        "No NVIDIA GPU is on the PCI bus. Choose a machine type with one, or attach an "
        "accelerator. If the model is meant to run on the CPU, say so with llm_device=cpu."
    ),
    "no_driver": (
        "There is an NVIDIA GPU and no driver: nvidia-smi is not installed. Boot an image that "
        "brings the driver (families of the project deeplearning-platform-release ending in "
        "nvidia-580), or have it installed with gpu_host_driver_install=true."
    ),
    "driver_not_running": (
        "There is an NVIDIA GPU whose driver is installed and not running. Look at 'dmesg | grep "
        "-i nvidia': often the kernel was updated and the module not built for it (reboot into the "
        "kernel it was built for, or reinstall the driver), or Secure Boot refused an unsigned "
        "module."
    ),
    "nouveau": (
        "There is an NVIDIA GPU that the kernel gave to nouveau, which keeps NVIDIA's driver out. "
        "Blacklist nouveau (/etc/modprobe.d), rebuild the initramfs and reboot, or boot an image "
        "that brings NVIDIA's driver."
    ),
    "driver_mismatch": (
        "The kernel has loaded a driver of another version than the NVIDIA libraries, as after an "
        "update of the driver. Reboot the host."
    ),
    "gpu_lost": (
        "A GPU no longer answers ('fallen off the bus'). Stop and start the instance, so that it "
        "moves to other hardware; a reboot alone keeps the hardware."
    ),
    "hung": (
        "NVIDIA's driver hangs: nvidia-smi gives no answer. Look at 'dmesg | grep -i -e xid -e "
        "nvrm', and reboot the host, since what hangs in the driver can't be ended. If it comes "
        "back, stop and start the instance, so that it moves to other hardware."
    ),
    "no_library": (
        "NVIDIA's library (libnvidia-ml) is missing: a driver that is half installed, or half "
        "removed. "
        "Reinstall it (gpu_host_driver_install=true), or boot an image that brings the driver "
        "(families ending in nvidia-580)."
    ),
    "no_right": "nvidia-smi lacks the right to ask. Run as root (become).",
    "no_access": (
        "NVIDIA's driver refuses: access to the GPU's devices was lost, as after a change of a "
        "container's or service's cgroup. Restart the container or service; if it stays so on the "
        "host "
        "itself, reboot the host."
    ),
    "no_power": (
        "A GPU lacks its power cables. Stop and start the instance, so that it moves to other "
        "hardware."
    ),
    "interrupts": (
        "The kernel found a fault of a GPU's interrupts. Reboot the host; if it comes back, stop "
        "and "
        "start the instance, so that it moves to other hardware."
    ),
    "unreadable": "nvidia-smi failed in a way that is not known here.",
}


@dataclass(frozen=True)
class Needs:
    """What GPUs are wanted for; what is empty is not asked.

    Attributes:
        build: name of the build of vLLM, for the message.
        driver: the oldest driver that it runs with.
        capability: the least compute capability.
        count: how many GPUs.
        brought: how many the machine type brings; 0 where it is not known.
        visible: those that vLLM gets to see, as CUDA_VISIBLE_DEVICES has it; empty for all.
    """

    build: str = ""
    driver: str = ""
    capability: str = ""
    count: int = 0
    brought: int = 0
    visible: str = ""


# Where no GPU answers for one of these, the kernel's log may say why.
_EXPLAINED = frozenset({"driver_not_running", "gpu_lost", "no_library", "no_access", "unreadable"})
# A log in full is no message.
_SHOWN_OUTPUT = 300


def of_status(status: str, output: str, log: str = "") -> str:
    """What is wrong where no GPU answers.

    Args:
        output: what nvidia-smi said.
        log: the kernel's.
    """
    causes = kernel_log.causes(log) if status in _EXPLAINED else []
    said = f"{causes[0].text}." if causes else STATUSES[status]
    lines = kernel_log.last_lines(log) if status in _EXPLAINED else []
    told = f" The kernel's log says: {' | '.join(lines)}" if lines else ""
    answered = f" nvidia-smi says: {output[:_SHOWN_OUTPUT]}" if output else ""
    return said + answered + told


def visible(gpus: Sequence[Mapping[str, Any]], asked: str) -> list[Mapping[str, Any]]:
    """The GPUs that a value of CUDA_VISIBLE_DEVICES leaves; all where it does not tell.

    Numbers go by speed, unless CUDA_DEVICE_ORDER says otherwise: of several kinds they tell
    nothing.
    """
    names = _names(asked)
    if not names or (_numbered(names) and len({gpu["name"] for gpu in gpus}) > 1):
        return list(gpus)
    return [gpu for at, gpu in enumerate(gpus) if any(_is_named(gpu, at, name) for name in names)]


def _names(asked: str) -> list[str]:
    return [name.strip() for name in asked.split(",") if name.strip()]


def _chooses_instance(asked: str) -> bool:
    """Whether CUDA_VISIBLE_DEVICES names an instance (MIG) of a GPU that is split."""
    return any(name.startswith(_INSTANCE) for name in _names(asked))


def _numbered(names: Sequence[str]) -> bool:
    return all(name.isdigit() for name in names)


def _is_named(gpu: Mapping[str, Any], at: int, name: str) -> bool:
    """By its number, its UUID or as much of that as tells it apart, or an instance (MIG) of it."""
    if name.startswith(_INSTANCE):
        # An instance's own UUID tells nothing of its GPU. Drivers before 470 name that one instead.
        of = name.removeprefix(_INSTANCE).partition("/")[0]
        return bool(gpu["mig_devices"]) and (not of.startswith("GPU-") or of == gpu["uuid"])
    return name == str(at) or (not name.isdigit() and str(gpu["uuid"]).startswith(name))


def not_there(gpus: Sequence[Mapping[str, Any]], asked: str) -> list[str]:
    """That CUDA_VISIBLE_DEVICES names a GPU that the host lacks: CUDA hides those after it, too."""
    wrong = [
        name
        for name in _names(asked)
        if not any(_is_named(gpu, at, name) for at, gpu in enumerate(gpus))
    ]
    if not wrong:
        return []
    there = ", ".join(f"{gpu['uuid']} ({gpu['name']})" for gpu in gpus)
    return [
        f"CUDA_VISIBLE_DEVICES is {asked}, and the host has no GPU {', '.join(wrong)}. It has "
        f"{there}. Correct it in llm_server_environment."
    ]


def unmet(facts: Mapping[str, Any], needs: Needs) -> list[str]:
    """What of `needs` a host with GPUs that answer does not have; shapes as gpu_info's."""
    found = []
    if needs.driver and _numbers(facts["driver"]) < _numbers(needs.driver):
        branch = needs.driver.partition(".")[0]
        found.append(
            f"NVIDIA driver {facts['driver']} runs (CUDA {facts['cuda']}); the {needs.build} build "
            f"of vLLM needs {needs.driver} or newer. Boot an image family that ends in "
            f"nvidia-{branch}, update the driver on the host and reboot it, or choose a version of "
            "vLLM that takes this driver."
        )
    old = [
        f"{gpu['name']} {gpu['compute_capability'] or '?'}"
        for gpu in facts["gpus"]
        if _numbers(gpu["compute_capability"]) < _numbers(needs.capability)
    ]
    if old or len(facts["gpus"]) < needs.count:
        names = ", ".join(str(gpu["name"]) for gpu in facts["gpus"])
        fit = [
            str(gpu["uuid"])
            for gpu in facts["gpus"]
            if _numbers(gpu["compute_capability"]) >= _numbers(needs.capability)
        ]
        remedy = "Choose another machine type or accelerator."
        if fit and len(fit) >= needs.count:
            only = ",".join(fit)
            remedy = f"Hide it: llm_server_environment: {{CUDA_VISIBLE_DEVICES: {only}}}."
        subject = f"The {needs.build} build of vLLM" if needs.build else "vLLM"
        least = f" with compute capability {needs.capability} or higher" if needs.capability else ""
        found.append(
            f"There are {len(facts['gpus'])} GPU(s): {names}. {subject} needs {needs.count}{least}"
            f"{' (too old or unknown: ' + ', '.join(old) + ')' if old else ''}. {remedy}"
        )
    return found


def _numbers(version: str | None) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version or "")]


def problems(
    gpus: Sequence[Mapping[str, Any]],
    xid_errors: Sequence[Mapping[str, Any]],
    own_units: Sequence[str],
    foreign_memory_mib: int,
    asked: str = "",
) -> list[str]:
    """What keeps a model from being served on these GPUs.

    Args:
        gpus: as `nvidia_gpu.gpu_facts` gives them, with each process's `unit`.
        xid_errors: as `kernel_gpu.xid_errors` gives them.
        own_units: systemd services that may hold a GPU's memory.
        foreign_memory_mib: how much others may hold of one GPU together.
        asked: value of CUDA_VISIBLE_DEVICES.

    Returns:
        One sentence each, with the remedy; empty where all is well.
    """
    found = [
        sentence for gpu in gpus for sentence in _of_one(gpu, own_units, foreign_memory_mib, asked)
    ]
    for error in xid_errors:
        what = nvidia_xid.meaning(error["code"], error["last"], architecture_of(gpus))
        if what.action in _REMEDIES:
            found.append(
                f"GPU {error['pci_bus_id']}: the kernel's log has Xid {error['code']} "
                f"({error['count']} times), {what.text}: {_REMEDIES[what.action]}."
            )
    return found


def architecture_of(gpus: Sequence[Mapping[str, Any]]) -> str:
    """The architecture of a host's GPUs; empty where they have several, or none is known."""
    names = {str(gpu["architecture"] or "") for gpu in gpus}
    return names.pop() if len(names) == 1 else ""


def missing(gpus: Sequence[Mapping[str, Any]], log: str, brought: int) -> list[str]:
    """That fewer GPUs answer than there are, by the kernel's log or by the machine type.

    Args:
        brought: how many the machine type brings; 0 where that is not known.
    """
    lost = [one for one in kernel_log.causes(log) if one.lost]
    if brought and len(gpus) < brought:
        why = f"{lost[0].text}." if lost else f"To have all, {_MOVE}."
        return [f"Only {len(gpus)} of the machine type's {brought} GPUs answer. {why}"]
    gone = next((one for one in lost if one.name == "fallen off the bus"), None)
    # With an Xid 79 it is told already.
    if gone is None or "): 79," in log:
        return []
    return [f"{gone.text}. The kernel's log says: {' | '.join(kernel_log.last_lines(log))}"]


def _of_one(
    gpu: Mapping[str, Any], own_units: Sequence[str], foreign_mib: int, asked: str
) -> list[str]:
    name = f"GPU {gpu['pci_bus_id'] or gpu['uuid']} ({gpu['name']})"
    found = [
        *_memory_cells(gpu),
        *_repairs(gpu),
        *_fabric(gpu),
        *_modes(gpu, chosen=_chooses_instance(asked)),
        *_unread(gpu),
        *_held(gpu, own_units, foreign_mib),
    ]
    return [f"{name}{'' if sentence.startswith(':') else ' '}{sentence}." for sentence in found]


def _memory_cells(gpu: Mapping[str, Any]) -> list[str]:
    found = []
    if gpu["row_remap"]["failed"]:
        found.append(f"has no spare rows of memory left: {_MOVE}")
    elif gpu["row_remap"]["pending"]:
        found.append(f"has replaced rows of memory that count after a reset: {_REBOOT}")
    retired = gpu["retired_pages"]
    pages = (retired["single_bit"] or 0) + (retired["double_bit"] or 0)
    if pages >= MOST_RETIRED_PAGES:
        found.append(f"had to give up {pages} pages of its memory, nearly all it may: {_MOVE}")
    elif retired["pending"]:
        found.append(f"has pages of memory that it gives up after a reset: {_REBOOT}")
    if gpu["ecc_errors"]["uncorrected"]:
        found.append(
            f"had {gpu['ecc_errors']['uncorrected']} errors in its memory that could not be "
            f"corrected: {_REBOOT}; where they come back, {_MOVE}"
        )
    if gpu["sram_threshold_exceeded"]:
        found.append(f"had more errors in its SRAM than NVIDIA lets pass: {_MOVE}")
    return found


def _repairs(gpu: Mapping[str, Any]) -> list[str]:
    found = []
    if gpu["repair"]["unrepairable"]:
        found.append(f"has memory that can't be repaired: {_MOVE}")
    if gpu["repair"]["channel"]:
        found.append(f"repairs a channel of its memory at the next reset: {_REBOOT}")
    if gpu["repair"]["tpc"]:
        found.append(f"repairs its processors (TPC) at the next reset: {_REBOOT}")
    if gpu["recovery_action"]:
        found.append(f": the driver asks for the recovery '{gpu['recovery_action']}': {_REBOOT}")
    return found


def _fabric(gpu: Mapping[str, Any]) -> list[str]:
    """On machines with NVSwitch CUDA does not start on a GPU that has not joined it."""
    state, status = gpu["fabric"]["state"], gpu["fabric"]["status"]
    if state in (None, "Not Supported") or (state == "Completed" and status in (None, "Success")):
        return []
    return [
        f"has not joined the NVSwitch fabric (state {state}, status {status or 'unknown'}): start "
        "NVIDIA's Fabric Manager, of the driver's own version ('systemctl enable --now "
        f"nvidia-fabricmanager'; 'journalctl -u nvidia-fabricmanager' says more), or {_REBOOT}"
    ]


def _modes(gpu: Mapping[str, Any], *, chosen: bool) -> list[str]:
    """Of its modes; `chosen` is one of its instances already, so that it is meant to be split."""
    found = []
    for mode in ("ecc", "mig"):
        if gpu[f"{mode}_pending"] not in (None, gpu[mode]):
            pending = "on" if gpu[f"{mode}_pending"] else "off"
            found.append(f"was told to switch {mode.upper()} {pending}: {_REBOOT}")
    if gpu["mig"] and gpu["mig_devices"] and not chosen:
        sizes = ", ".join(f"{one} MiB" for one in gpu["mig_memory_mib"] if one) or "unknown size"
        found.append(
            f"is split into {gpu['mig_devices']} MIG instances ({sizes}), of which vLLM gets one "
            f"alone: switch the mode off (nvidia-smi -mig 0) and {_REBOOT}, or set "
            "CUDA_VISIBLE_DEVICES to one that is large enough"
        )
    if gpu["mig"] and not gpu["mig_devices"]:
        found.append(
            f"is in MIG mode and has no MIG instance, so nothing can run on it: switch the "
            f"mode off (nvidia-smi -mig 0) and {_REBOOT}, or make an instance"
        )
    return found


def _unread(gpu: Mapping[str, Any]) -> list[str]:
    """Words where numbers belong: the driver has lost hold of the GPU."""
    if not gpu["broken_fields"]:
        return []
    return [f"does not tell its state ({', '.join(gpu['broken_fields'][:3])}): {_REBOOT}; if it "
            f"comes back, {_MOVE}"]  # fmt: skip


def _held(gpu: Mapping[str, Any], own_units: Sequence[str], foreign_mib: int) -> list[str]:
    """Memory that processes of others hold, or nobody who can be seen."""
    strangers = [each for each in gpu["processes"] if each["unit"] not in own_units]
    own = [each for each in gpu["processes"] if each["unit"] in own_units]
    known = sum(each["used_mib"] or 0 for each in gpu["processes"])
    hidden = max(0, (gpu["memory_mib"]["used"] or 0) - known)
    if gpu["memory_mib"]["reserved"] is None:
        # Drivers before 510 count what they keep for themselves as used.
        hidden = max(0, hidden - DRIVERS_OWN_MIB)
    held = sum(each["used_mib"] or 0 for each in strangers)
    if any(each["used_mib"] is None for each in strangers):
        held += hidden
    if held > foreign_mib:
        who = ", ".join(
            f"{_short(each['name'])} (pid {each['pid']}, {each['unit'] or 'no service'}, "
            f"{'?' if each['used_mib'] is None else each['used_mib']} MiB)"
            for each in strangers
        )
        return [f": {held} MiB of its memory are held by others, {who}: end them"]
    if hidden > foreign_mib and not any(each["used_mib"] is None for each in own):
        return [
            f": {hidden} MiB of its memory are in use, and no process that can be seen here holds "
            "them: end what runs in a container ('fuser -v /dev/nvidia*' names it); where nothing "
            f"does, a program that broke left them behind: {_REBOOT}"
        ]
    return []


def _short(name: str | None) -> str:
    """A process's program; what follows may be anything that it was called with."""
    words = (name or "?").split()
    return (words[0] if words else "?")[-80:]
