# SPDX-License-Identifier: Apache-2.0
"""Which quota machines, GPUs, disks and addresses draw on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...hardware.machine_types import series, shape, usual_disk_type

# GPU types in the order of Google's own documentation: the legacy regional metric of each, where it
# has one. Newer GPUs are counted by Cloud Quotas only.
GPU_METRICS: dict[str, str | None] = {
    "nvidia-l4": "NVIDIA_L4_GPUS",
    "nvidia-tesla-t4": "NVIDIA_T4_GPUS",
    "nvidia-tesla-a100": "NVIDIA_A100_GPUS",
    "nvidia-a100-80gb": "NVIDIA_A100_80GB_GPUS",
    "nvidia-tesla-v100": "NVIDIA_V100_GPUS",
    "nvidia-tesla-p100": "NVIDIA_P100_GPUS",
    "nvidia-tesla-p4": "NVIDIA_P4_GPUS",
    "nvidia-h100-80gb": None,
    "nvidia-h100-mega-80gb": None,
    "nvidia-h200-141gb": None,
    "nvidia-b200": None,
    "nvidia-rtx-pro-6000": None,
}
# The others' `gpu_family` in Cloud Quotas. On Spot each has a preemptible metric of its own.
GPU_FAMILIES = {
    "nvidia-h100-80gb": "NVIDIA_H100",
    "nvidia-h100-mega-80gb": "NVIDIA_H100_MEGA",
    "nvidia-h200-141gb": "NVIDIA_H200",
    "nvidia-b200": "NVIDIA_B200",
    "nvidia-rtx-pro-6000": "NVIDIA_RTX_PRO_6000",
}
GPU_FAMILY_METRIC = "GPUS_PER_GPU_FAMILY"
CPU_FAMILY_METRIC = "CPUS_PER_VM_FAMILY"
LOCAL_SSD_FAMILY_METRIC = "LOCAL_SSD_TOTAL_GB_PER_VM_FAMILY"
PREEMPTIBLE = "PREEMPTIBLE_"
# Series whose vCPUs draw on CPUS, and the legacy metric of those with one of their own. All newer
# ones are counted by family, in Cloud Quotas only.
_SHARED_CPUS = frozenset({"e2", "f1", "g1", "n1", "custom"})
_CPU_METRICS = {
    "c2": "C2_CPUS",
    "c2d": "C2D_CPUS",
    "c3": "C3_CPUS",
    "m1": "M1_CPUS",
    "m2": "M2_CPUS",
    "m3": "M3_CPUS",
    "n2": "N2_CPUS",
    "n2d": "N2D_CPUS",
    "t2a": "T2A_CPUS",
    "t2d": "T2D_CPUS",
}
# Series that need no vCPU quota, says Google's page on allocation quotas: their GPUs are counted.
_UNCOUNTED_CPUS = frozenset({"g2", "g4", "a2", "a3", "a4", "a4x"})
_DISK_METRICS = {
    "pd-standard": "DISKS_TOTAL_GB",
    "pd-balanced": "SSD_TOTAL_GB",
    "pd-ssd": "SSD_TOTAL_GB",
    "pd-extreme": "SSD_TOTAL_GB",
    "hyperdisk-balanced": "HDB_TOTAL_GB",
    # Named by the pattern of that one and of HDML_TOTAL_THROUGHPUT; the API's description of the
    # legacy metrics lacks them. Where no list has one, its limit is unknown, which stops nothing.
    "hyperdisk-extreme": "HDX_TOTAL_GB",
    "hyperdisk-ml": "HDML_TOTAL_GB",
    "hyperdisk-throughput": "HDT_TOTAL_GB",
}


def draws_none(model: str) -> bool:
    """Whether machines of a provisioning model draw on no quota of their own: a reservation's have
    theirs with it (docs.cloud.google.com/cluster-director/docs/choose-consumption-option).
    """
    return model == "RESERVATION_BOUND"


def draws_preemptible(model: str) -> bool:
    """Whether a provisioning model draws on the preemptible quota."""
    return model in ("SPOT", "FLEX_START")


def quota_needs(
    machine: Mapping[str, Any],
    gpus: list[dict[str, Any]],
    *,
    spot: bool = False,
    reserved: bool = False,
    disk_gb: int = 0,
    disk_type: str = "",
    external_ip: bool = False,
    static_address: bool = False,
    more_disks: Iterable[Mapping[str, Any]] = (),
    count: int = 1,
) -> dict[str, int]:
    """Metric to amount that `count` such instances draw.

    What Compute Engine's own lists don't count is written as Cloud Quotas' metric and family, as
    in `GPUS_PER_GPU_FAMILY/NVIDIA_H100`.

    Args:
        spot: whether it draws on preemptible quota.
        reserved: whether its machine comes from a reservation, and draws on none.
        more_disks: further disks, each with `size_gb`; one without `type` has the machine's usual.
    """
    needs: dict[str, int] = {}

    def add(metric: str, amount: int) -> None:
        if amount:
            needs[metric] = needs.get(metric, 0) + amount * count

    name = str(machine.get("name", ""))
    kind = series(name)
    if not reserved:
        if kind not in _UNCOUNTED_CPUS:
            add(_cpu_metric(kind, spot), int(machine.get("guestCpus", 0)))
            add("CPUS_ALL_REGIONS", int(machine.get("guestCpus", 0)))
        if not spot:
            # On Spot it isn't told whether the family's or PREEMPTIBLE_LOCAL_SSD_GB counts.
            ssd = (shape(name) or (0, 0, 0))[2]
            add(f"{LOCAL_SSD_FAMILY_METRIC}/{kind.upper()}", ssd)
    for one in [] if reserved else gpus:
        metric = _gpu_metric(str(one["type"]), spot)
        if metric:
            add(metric, int(one["count"]))
        add("GPUS_ALL_REGIONS", int(one["count"]))
    for size, disk in ((disk_gb, disk_type), *sized_disks(more_disks, name)):
        if disk in _DISK_METRICS:
            add(_DISK_METRICS[disk], size)
    add("IN_USE_ADDRESSES", int(external_ip))
    add("STATIC_ADDRESSES", int(static_address))
    add("INSTANCES", 1)
    return needs


def sized_disks(disks: Iterable[Mapping[str, Any]], machine_type: str) -> list[tuple[int, str]]:
    """Size in GB and type of those disks that say a size; the type as gce_instance chooses it."""
    usual = usual_disk_type(machine_type)
    return [
        (int(one["size_gb"]), str(one.get("type") or usual)) for one in disks if one.get("size_gb")
    ]


def standard_twin(metric: str) -> str:
    """The standard metric that Spot draws on where there is no preemptible one; '' for others."""
    if not metric.startswith(PREEMPTIBLE):
        return ""
    bare = metric[len(PREEMPTIBLE) :]
    for family in GPU_FAMILIES.values():
        if bare == f"{family}_GPUS":
            return f"{GPU_FAMILY_METRIC}/{family}"
    return bare


def _gpu_metric(kind: str, spot: bool) -> str:
    legacy, family = GPU_METRICS.get(kind), GPU_FAMILIES.get(kind)
    if family:
        return f"{PREEMPTIBLE}{family}_GPUS" if spot else f"{GPU_FAMILY_METRIC}/{family}"
    if not legacy:
        return ""
    return f"{PREEMPTIBLE}{legacy}" if spot else legacy


def _cpu_metric(kind: str, spot: bool) -> str:
    if kind in _SHARED_CPUS:
        return f"{PREEMPTIBLE}CPUS" if spot else "CPUS"
    return _CPU_METRICS.get(kind) or f"{CPU_FAMILY_METRIC}/{kind.upper()}"
