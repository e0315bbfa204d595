# SPDX-License-Identifier: Apache-2.0
"""What a disk may be: its provisioned performance, and which machines it goes with."""

from __future__ import annotations

from emulator.errors import Json, invalid
from emulator.world import catalog_data as data

_HYPERDISK = "hyperdisk-balanced"
_BASE_IOPS, _MOST_IOPS, _IOPS_PER_GB = 3000, 160_000, 500
_BASE_THROUGHPUT, _MOST_THROUGHPUT = 140, 2400


def performance(kind: str, size_gb: int, given: Json, field: str) -> Json:
    """`provisionedIops` and `provisionedThroughput` (MiB/s) of a disk; {} where its type has none.

    Args:
        given: holds what a request or the disk says of them; left out means the type's least.

    Raises:
        ApiError: 400 for values that the type or the size doesn't allow.
    """
    iops, throughput = given.get("provisionedIops"), given.get("provisionedThroughput")
    if kind != _HYPERDISK:
        for name, value in (("provisionedIops", iops), ("provisionedThroughput", throughput)):
            if value is not None:
                raise invalid(f"{field}.{name}", value, f"Not for disks of type {kind}.")
        return {}
    most = min(_MOST_IOPS, max(_BASE_IOPS, size_gb * _IOPS_PER_GB))
    chosen = int(iops) if iops is not None else _BASE_IOPS
    if not _BASE_IOPS <= chosen <= most:
        raise invalid(
            f"{field}.provisionedIops",
            iops,
            f"With {size_gb} GB it must be from {_BASE_IOPS} to {most}.",
        )
    low = max(_BASE_THROUGHPUT, chosen // 256)
    high = min(_MOST_THROUGHPUT, chosen // 4)
    mbps = int(throughput) if throughput is not None else low
    if not low <= mbps <= high:
        raise invalid(
            f"{field}.provisionedThroughput",
            throughput,
            f"With {chosen} IOPS it must be from {low} to {high}.",
        )
    return {"provisionedIops": str(chosen), "provisionedThroughput": str(mbps)}


def fits_machine(kind: str, machine_type: str, field: str) -> None:
    """Whether a further disk of a type can be attached to a machine; 400 where not."""
    usable = data.boot_disk_types(machine_type)
    if any(one.startswith("pd-") for one in usable):
        usable = (*usable, "pd-standard")
    if kind not in usable:
        raise invalid(
            field, kind, f"{machine_type} can't have it; choose {', '.join(sorted(set(usable)))}."
        )
