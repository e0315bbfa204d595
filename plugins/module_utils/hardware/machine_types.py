# SPDX-License-Identifier: Apache-2.0
"""What machine types bring along: GPUs, memory, and which accelerators they take. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Machine type to its bundled GPUs, (type, count).
BUNDLED: dict[str, tuple[str, int]] = {
    **{f"g2-standard-{cpus}": ("nvidia-l4", 1) for cpus in (4, 8, 12, 16, 32)},
    **{f"g2-standard-{cpus}": ("nvidia-l4", gpus) for cpus, gpus in ((24, 2), (48, 4), (96, 8))},
    **{f"a2-highgpu-{gpus}g": ("nvidia-tesla-a100", gpus) for gpus in (1, 2, 4, 8)},
    "a2-megagpu-16g": ("nvidia-tesla-a100", 16),
    **{f"a2-ultragpu-{gpus}g": ("nvidia-a100-80gb", gpus) for gpus in (1, 2, 4, 8)},
    **{f"a3-highgpu-{gpus}g": ("nvidia-h100-80gb", gpus) for gpus in (1, 2, 4, 8)},
    "a3-megagpu-8g": ("nvidia-h100-mega-80gb", 8),
    "a3-ultragpu-8g": ("nvidia-h200-141gb", 8),
    "a4-highgpu-8g": ("nvidia-b200", 8),
    **{
        f"g4-standard-{cpus}": ("nvidia-rtx-pro-6000", gpus)
        for cpus, gpus in ((48, 1), (96, 2), (192, 4), (384, 8))
    },
}
_BUNDLED_SERIES = re.compile(r"^(g2|a2|a3|a4|a4x|g4)-")
# Machine types with a part of a GPU, as a vGPU: the part is one over this number
# (docs.cloud.google.com/compute/docs/accelerator-optimized-machines, G4). They need NVIDIA's vGPU
# (GRID) driver, which Google's deep learning images do not have.
FRACTIONAL = {"g4-standard-6": 8, "g4-standard-12": 4, "g4-standard-24": 2}
_HYPERDISK_ONLY = re.compile(r"^(g4|a4|a4x|a3-ultragpu)-")
# T4 on N1: cards to the most vCPUs they may serve.
T4_MOST_CPUS = {1: 48, 2: 48, 4: 96}
# Machine types that bundle GPUs: vCPUs, GB of memory and GB of local SSD for each GPU, by what
# stands before the number of them.
_GPU_STEPS: dict[str, tuple[int, int, int]] = {
    "a2-highgpu": (12, 85, 0),
    "a2-ultragpu": (12, 170, 375),
    "a3-highgpu": (26, 234, 750),
}
_GPU_WHOLE: dict[str, tuple[int, int, int]] = {
    "a2-megagpu-16g": (96, 1360, 0),
    "a3-megagpu-8g": (208, 1872, 6000),
    "a3-ultragpu-8g": (224, 2952, 12000),
    "a4-highgpu-8g": (224, 3968, 12000),
}
# GB of memory to a vCPU.
_GB_A_CPU = {
    "n1-standard": 3.75,
    "n1-highmem": 6.5,
    "n1-highcpu": 0.9,
    "n2-standard": 4.0,
    "n2-highmem": 8.0,
    "n2-highcpu": 1.0,
    "e2-standard": 4.0,
    "e2-highmem": 8.0,
    "e2-highcpu": 1.0,
    "g2-standard": 4.0,
    "g4-standard": 3.75,
}


_CUSTOM = re.compile(r"^(?:[a-z][a-z0-9]*-)?custom-(?P<cpus>\d+)-(?P<mib>\d+)(?P<ext>-ext)?$")


def custom(machine_type: str) -> tuple[int, int] | None:
    """vCPUs and MiB of memory of a custom type (`n2-custom-4-8192`, `custom-2-15360-ext`)."""
    found = _CUSTOM.match(machine_type)
    return (int(found["cpus"]), int(found["mib"])) if found else None


def shape(machine_type: str) -> tuple[int, float, int] | None:
    """vCPUs, GB of memory and GB of local SSD that come with a type; None where not known."""
    if machine_type in _GPU_WHOLE:
        return _GPU_WHOLE[machine_type]
    kind, _, size = machine_type.rpartition("-")
    if kind in _GPU_STEPS and machine_type in BUNDLED:
        gpus = BUNDLED[machine_type][1]
        cpus, memory, ssd = _GPU_STEPS[kind]
        return cpus * gpus, memory * gpus, ssd * gpus
    if kind in _GB_A_CPU and size.isdigit():
        return int(size), int(size) * _GB_A_CPU[kind], 0
    return None


def series(machine_type: str) -> str:
    """`g2` of `g2-standard-8`; `custom-8-30720` is N1."""
    return canonical(machine_type, n1="n1-custom-").split("-", 1)[0]


def canonical(machine_type: str, n1: str = "custom-") -> str:
    """The name as Google has it: N1's custom types have no series before them."""
    return re.sub(r"^(n1-)?custom-", n1, machine_type)


def bundles_gpus(machine_type: str) -> bool:
    """Whether GPUs come with the machine type, so that a request names none."""
    return bool(_BUNDLED_SERIES.match(machine_type))


def bundled(machine_type: str) -> list[dict[str, Any]]:
    """GPUs that come with a machine type, `[{type, count}]`; empty where none or not known."""
    found = BUNDLED.get(machine_type)
    return [{"type": found[0], "count": found[1]}] if found else []


def driver_warning(machine_type: str) -> str:
    """What a machine type needs that the usual image lacks; '' for nothing."""
    part = FRACTIONAL.get(machine_type)
    if part is None:
        return ""
    return (
        f"{machine_type} has 1/{part} of a GPU as a vGPU. That needs NVIDIA's vGPU (GRID) driver, "
        "which the deep learning images lack: take an image that has it, or g4-standard-48"
    )


def hyperdisk_only(machine_type: str) -> bool:
    """Whether a machine takes no Persistent Disks."""
    return bool(_HYPERDISK_ONLY.match(machine_type))


def usual_disk_type(machine_type: str) -> str:
    """The disk type that does for most uses of a machine."""
    return "hyperdisk-balanced" if hyperdisk_only(machine_type) else "pd-balanced"


def gpus_of(resource: Mapping[str, Any]) -> list[dict[str, Any]]:
    """GPUs that the API says a machine type bundles; the table where the API says nothing."""
    listed = [
        {
            "type": str(entry.get("guestAcceleratorType", "")).rpartition("/")[2],
            "count": int(entry.get("guestAcceleratorCount", 0)),
        }
        for entry in resource.get("accelerators") or []
    ]
    return listed or bundled(str(resource.get("name", "")))


def named_gpus(
    machine_type: str, accelerators: Iterable[Mapping[str, Any]]
) -> tuple[str, int] | None:
    """GPU and number of a machine type, or of what is attached to it; None where there is none."""
    if machine_type in BUNDLED:
        return BUNDLED[machine_type]
    for one in accelerators:
        return str(one.get("type", "")), int(one.get("count") or 1)
    return None


def combination_problem(
    machine: Mapping[str, Any], wanted: list[dict[str, Any]], most_cards: int | None = None
) -> str:
    """Why `wanted` accelerators don't go with a machine type, with what does; '' where they do.

    Args:
        machine: the API's machine type resource (`name`, `guestCpus`, `accelerators`).
        wanted: `[{type, count}]`.
        most_cards: `maximumCardsPerInstance` of the accelerator type, where known.
    """
    name = str(machine.get("name", ""))
    own = gpus_of(machine)
    if not wanted:
        return ""
    asked = " and ".join(f"{one['count']} x {one['type']}" for one in wanted)
    if own:
        if own == wanted:
            return ""
        has = " and ".join(f"{one['count']} x {one['type']}" for one in own)
        return (
            f"{name} comes with {has}, and {asked} was asked for. Leave the accelerator out, "
            f"name {has}, or take {_types_with(wanted)}"
        )
    if series(name) != "n1":
        return (
            f"{name} takes no accelerators, and {asked} was asked for. "
            f"They go with {_types_with(wanted)}"
        )
    if len(wanted) > 1:
        return f"{name} takes accelerators of one type, and {asked} was asked for"
    return _n1_problem(name, int(machine.get("guestCpus", 0)), wanted[0], most_cards)


def _n1_problem(name: str, cpus: int, one: Mapping[str, Any], most_cards: int | None) -> str:
    kind, count = str(one["type"]), int(one["count"])
    if any(kind == bundle for bundle, _ in BUNDLED.values()):
        return (
            f"{name} can't have {count} x {kind}: that accelerator comes only with "
            f"{_types_with([dict(one)])}"
        )
    if kind == "nvidia-tesla-t4":
        if count not in T4_MOST_CPUS:
            return f"{name} can't have {count} x {kind}. Allowed are 1, 2 or 4 of them"
        if cpus > T4_MOST_CPUS[count]:
            return (
                f"{name} has {cpus} vCPUs, and {count} x {kind} serves at most "
                f"{T4_MOST_CPUS[count]}. Take a smaller n1 machine type or 4 x {kind} (96 vCPUs)"
            )
    if most_cards is not None and count > most_cards:
        return f"{name} can have at most {most_cards} x {kind}, and {count} was asked for"
    return ""


def _types_with(wanted: list[dict[str, Any]]) -> str:
    kind, count = str(wanted[0]["type"]), int(wanted[0]["count"])
    exact = [name for name, gpus in BUNDLED.items() if gpus == (kind, count)]
    other = [f"{name} ({gpus[1]})" for name, gpus in BUNDLED.items() if gpus[0] == kind]
    if exact:
        return "one of " + ", ".join(sorted(exact, key=_by_size))
    if other:
        return f"another number of {kind}: " + ", ".join(other)
    return "an n1 machine type (n1-standard-4, n1-highmem-8, …)"


def _by_size(name: str) -> int:
    return int(re.sub(r"\D", "", name.rsplit("-", 1)[-1]) or 0)
