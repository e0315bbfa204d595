# SPDX-License-Identifier: Apache-2.0
"""Picks the build of vLLM for a host by the contract, or says what would have to change. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import compatibility, contract_table
from .contract_table import TOOLKITS, Release

AUTO = "auto"


@dataclass(frozen=True)
class Seen:
    """What is known of a host; what is empty or None is not judged.

    Attributes:
        driver: its version, as `580.95.05`, or its branch.
        gpus: each with `name` and `compute_capability`.
        python: version of the Python that the setting names, or of the host's own, as `3.12`.
        machine: kind of processor, as `x86_64`.
    """

    driver: str = ""
    gpus: Sequence[Mapping[str, Any]] = ()
    python: str = ""
    machine: str = ""


@dataclass(frozen=True)
class Choice:
    """A build, or why there is none.

    Attributes:
        build: empty where none fits.
        lock: file name of its lock; empty where only one of the user's own can be meant.
        python: the Python that the lock is made for.
        driver: the oldest branch of the driver; empty on a CPU.
        capability: the least compute capability; empty on a CPU.
        dtype: the number format that the hardware is good for.
        reasons: why none fits, a sentence each, with everything that could be changed.
        notes: what is no problem and yet worth to know.
    """

    version: str = ""
    build: str = ""
    lock: str = ""
    python: str = ""
    driver: str = ""
    capability: str = ""
    dtype: str = ""
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def choose(
    seen: Seen,
    *,
    device: str = "cuda",
    version: str = "",
    build: str = AUTO,
    python: str = AUTO,
    table: Sequence[Release] = contract_table.RELEASES,
) -> Choice:
    """The first build of the table that can be installed and fits.

    Args:
        device: `cuda` or `cpu`; a host without a GPU never gets the CPU's build by itself.
        version: release of vLLM; empty for any.
        build: its build, or `auto`.
        python: the setting vllm_venv_python, a path or `auto`.
    """
    candidates, notes = _candidates(table, device, version)
    candidates = [one for one in candidates if build in (AUTO, one.build)]
    if not candidates:
        return Choice(version=version, reasons=[_nothing(table, device, version, build)])
    judged = [(one, _misfits(one, seen, python, table)) for one in candidates]
    release, reasons = min(judged, key=lambda each: len(each[1]))
    if reasons:
        return Choice(version=release.version, reasons=reasons)
    return _of(release, seen, python, notes)


def _candidates(
    table: Sequence[Release], device: str, version: str
) -> tuple[list[Release], list[str]]:
    """What may be chosen, and a note where the version is none of the table's.

    A version without a lock here can only come with a lock of the user's own.
    """
    ours = [one for one in table if (one.build == "cpu") == (device == "cpu")]
    locked = [one for one in ours if one.locked]
    of_version = [one for one in ours if one.version == version]
    if not of_version:
        unknown = f"vLLM {version} is not in the compatibility contract; what it asks of a host "
        note = f"{unknown}is taken to be the same as of {compatibility.other_versions(locked)}"
        return locked, [note] if version else []
    return [one for one in of_version if one.locked] or of_version, []


def _of(release: Release, seen: Seen, python: str, notes: Sequence[str]) -> Choice:
    toolkit = TOOLKITS.get(release.build)
    found = [_number(gpu.get("compute_capability")) for gpu in seen.gpus]
    lowest = min((one for one in found if one is not None), default=99.0)
    _wrong, note = compatibility.python_problems(
        release.version, release.build, seen.python, python
    )
    return Choice(
        version=release.version,
        build=release.build,
        lock=lock_name(release),
        python=release.locked or release.python,
        driver=str(toolkit.driver) if toolkit else "",
        capability=str(compatibility.capabilities(release)[0]) if toolkit else "",
        dtype=next(dtype for least, dtype in release.dtypes if lowest >= least),
        notes=[*notes, note] if note else list(notes),
    )


def lock_name(release: Release) -> str:
    """The file of its lock, in the role vllm_venv; empty where it has none."""
    python = release.locked.replace(".", "")
    return f"vllm-{release.version}-{release.build}-py{python}.txt" if python else ""


def _nothing(table: Sequence[Release], device: str, version: str, build: str) -> str:
    fitting = [one for one in table if one.locked and (one.build == "cpu") == (device == "cpu")]
    known = [one for one in table if one.build == build and version in ("", one.version)]
    asked = compatibility.other_versions(known) or " ".join(
        part for part in (version, "" if build == AUTO else build) if part
    )
    there = compatibility.other_versions(fitting) or "none"
    return (
        f"vLLM {asked} can't be installed for the device {device}: change the version, the build "
        f"(vllm_venv_build, gpu_host_build) or the device; locked here for it: {there}"
    )


def _misfits(release: Release, seen: Seen, python: str, table: Sequence[Release]) -> list[str]:
    found = [
        *_machine(release, seen.machine, table),
        *_driver(release, seen, table),
        *_capability(release, seen, table),
    ]
    wrong, _note = compatibility.python_problems(
        release.version, release.build, seen.python, python
    )
    return [*found, wrong] if wrong else found


def _machine(release: Release, machine: str, table: Sequence[Release]) -> list[str]:
    if not machine or machine in release.machines:
        return []
    others = [
        one
        for one in table
        if machine in one.machines and (one.build == "cpu") == (release.build == "cpu")
    ]
    version = f", or the version: {compatibility.other_versions(others)}" if others else ""
    return [
        f"the processor is of the kind {machine}, and {compatibility.named(release)} is locked for "
        f"{', '.join(release.machines)}; no driver and no image helps. Change the machine type"
        f"{version}"
    ]


def _driver(release: Release, seen: Seen, table: Sequence[Release]) -> list[str]:
    toolkit, branch = TOOLKITS.get(release.build), _branch(seen.driver)
    if toolkit is None or branch is None or branch >= toolkit.driver:
        return []
    others = _running(table, seen, branch)
    version = f", or the version: {compatibility.other_versions(others)}" if others else ""
    return [
        f"NVIDIA driver {seen.driver} runs, and {compatibility.named(release)} needs "
        f"{toolkit.driver} or newer. Change the driver (update it on the host, then reboot), the "
        f"image (a family that ends in nvidia-{toolkit.driver} or a higher number){version}"
    ]


def _capability(release: Release, seen: Seen, table: Sequence[Release]) -> list[str]:
    if release.build not in TOOLKITS:
        return []
    least, most = compatibility.capabilities(release)
    fit = [
        gpu for gpu in seen.gpus if least <= (_number(gpu.get("compute_capability")) or 0.0) <= most
    ]
    unfit = [
        f"{gpu.get('name') or 'GPU'} {gpu.get('compute_capability') or '?'}"
        for gpu in seen.gpus
        if gpu not in fit
    ]
    if not unfit:
        return []
    said = (
        f"{compatibility.named(release)} has code for compute capabilities {least} to {most}; too "
        f"old, too new or unknown: {', '.join(unfit)}. "
    )
    if fit and all(gpu.get("uuid") for gpu in fit):
        only = ",".join(str(gpu["uuid"]) for gpu in fit)
        return [f"{said}Hide it: llm_server_environment: {{CUDA_VISIBLE_DEVICES: {only}}}"]
    others = _running(table, seen, _branch(seen.driver))
    version = f", or the version: {compatibility.other_versions(others)}" if others else ""
    return [
        f"{said}No driver and no image helps. Choose another machine type or accelerator{version}"
    ]


def _running(table: Sequence[Release], seen: Seen, branch: int | None) -> list[Release]:
    """Builds that this driver and all of these GPUs run, locked here or not."""
    found = [_number(gpu.get("compute_capability")) for gpu in seen.gpus] or [None]
    return [
        one
        for one in table
        if seen.machine in ("", *one.machines)
        and all(compatibility.runs(one, driver=branch, capability=each) for each in found)
    ]


def _branch(driver: str) -> int | None:
    found = re.match(r"\d+", driver)
    return int(found[0]) if found else None


def _number(capability: Any) -> float | None:
    try:
        return float(capability)
    except (TypeError, ValueError):
        return None
