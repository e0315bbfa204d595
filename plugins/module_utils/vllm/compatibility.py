# SPDX-License-Identifier: Apache-2.0
"""Which build of vLLM runs with which driver on which GPU: what the contract rules out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..hardware import gpus, machine_types
from . import contract_table
from .contract_table import TOOLKITS, Release

RELEASES = {(one.version, one.build): one for one in contract_table.RELEASES}


def image_driver(image: str) -> int | None:
    """The driver's branch that the name of an image or its family tells; None where none does."""
    found = re.search(r"-nvidia-(\d{3})(?:-|$)", image)
    return int(found[1]) if found else None


def image_python(image: str) -> str:
    """The Python of an image, by the system in its name or family; empty where none is told."""
    known = contract_table.IMAGE_PYTHONS
    return next((known[name] for name in known if re.search(rf"{name}(?:-|$)", image)), "")


def named(release: Release) -> str:
    """A build in words."""
    toolkit = TOOLKITS.get(release.build)
    what = f"for CUDA {toolkit.cuda} ({release.build})" if toolkit else f"({release.build})"
    return f"vLLM {release.version} {what}"


def capabilities(release: Release) -> tuple[float, float]:
    """The least and the highest compute capability that a build has code for."""
    toolkit = TOOLKITS.get(release.build)
    return (max(release.least, toolkit.least), toolkit.most) if toolkit else (0.0, 99.0)


def runs(release: Release, *, driver: int | None = None, capability: float | None = None) -> bool:
    """Whether a build of CUDA runs there, as far as that is known."""
    toolkit = TOOLKITS.get(release.build)
    if toolkit is None:
        return False
    least, most = capabilities(release)
    old = driver is not None and driver < toolkit.driver
    return not old and (capability is None or least <= capability <= most)


def other_versions(releases: Iterable[Release]) -> str:
    """Builds to change to, with what is to be known of each."""
    return ", ".join(f"{one.version} {one.build}{_footnote(one)}" for one in releases)


def _footnote(release: Release) -> str:
    if release.locked:
        return ""
    beside = f", its wheels are on {release.beside}" if release.beside else ""
    return f" (no lock of it is here{beside})"


def problems(version: str, build: str, *, gpu: str = "", driver: int | None = None) -> list[str]:
    """Why a build can't run there, each with what to change; empty where it can, or nothing tells.

    Args:
        gpu: accelerator type.
        driver: its branch.
    """
    release, toolkit = RELEASES.get((version, build)), TOOLKITS.get(build)
    known = gpus.find(gpu)
    if build == "cpu" or toolkit is None:
        return []
    release = release or Release(version, build, "", "", 0.0)
    found = []
    if driver is not None and driver < toolkit.driver:
        capability = known.capability if known else None
        found.append(
            f"{named(release)} needs NVIDIA driver {toolkit.driver} or newer, and the image brings "
            f"{driver}: choose an image whose family ends in nvidia-{toolkit.driver} or a higher "
            f"number{_others(driver, capability)}"
        )
    if known is not None:
        least, most = capabilities(release)
        if not least <= known.capability <= most:
            found.append(
                f"{named(release)} has code for compute capabilities {least} to {most}, and "
                f"{known.name} has {known.capability}: choose another GPU"
                f"{_others(None, known.capability)}"
            )
    return found


def _others(driver: int | None, capability: float | None) -> str:
    fitting = [one for one in RELEASES.values() if runs(one, driver=driver, capability=capability)]
    return f", or one of these builds: {other_versions(fitting)}" if fitting else ""


def python_problems(version: str, build: str, python: str, wanted: str) -> tuple[str, str]:
    """Why a Python will not do, and what is to be known where uv fetches another instead.

    Args:
        python: the image's or the host's, as `3.10`; empty where unknown.
        wanted: the setting vllm_venv_python, a path or `auto`.

    Returns:
        A problem and a note; one of them, or both, are empty.
    """
    release = RELEASES.get((version, build))
    if not python or release is None or _takes(release, python):
        return "", ""
    needs = f"the lock of {named(release)} is made for Python {release.locked}"
    if not release.locked:
        needs = f"{named(release)} needs Python {release.python} or newer"
    fetched = release.locked or release.python
    if wanted == "auto":
        return "", (
            f"{needs}, and there is {python}: uv will fetch {fetched} from "
            f"{contract_table.PYTHON_SOURCE} or vllm_venv_python_mirror, unless the host has a "
            f"python{fetched} too{_bringing(fetched)}"
        )
    return (
        f"{needs}, and there is {python}, which vllm_venv_python={wanted} names: set "
        f"vllm_venv_python=auto, so that uv fetches {fetched}{_bringing(fetched)}"
    ), ""


def _takes(release: Release, python: str) -> bool:
    """A lock is for one Python; a release without one has a least."""
    if release.locked:
        return python == release.locked
    given, least = ([int(part) for part in text.split(".")] for text in (python, release.python))
    return given >= least


def _bringing(python: str) -> str:
    systems = [name for name, brought in contract_table.IMAGE_PYTHONS.items() if brought == python]
    return f", or choose an image that brings it ({systems[0]})" if systems else ""


def of_place(
    place: Mapping[str, Any],
    version: str,
    build: str,
    image: str,
    python: str = "auto",
    *,
    notes: bool = False,
) -> list[str]:
    """The same for a placement (`machine_type`, `accelerators`) that boots an image.

    Args:
        python: the setting vllm_venv_python.
        notes: tell instead what is no problem and yet worth to know.
    """
    found = machine_types.named_gpus(
        str(place.get("machine_type", "")), list(place.get("accelerators") or [])
    )
    gpu = found[0] if found else ""
    hosts = python == "auto" or python in contract_table.HOSTS_PYTHON
    wrong, note = python_problems(version, build, image_python(image) if hosts else "", python)
    if notes:
        return [note] if note else []
    found_wrong = problems(version, build, gpu=gpu, driver=image_driver(image))
    return found_wrong + ([wrong] if wrong else [])
