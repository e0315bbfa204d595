# SPDX-License-Identifier: Apache-2.0
"""What the parts of a plan cost, on demand and on Spot; an unknown price is None, not 0. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from . import machine_types
from . import price_table as table
from .prices import HOURS_A_MONTH

Model = Literal["on_demand", "spot"]
CURRENCY = "USD"
ADDRESS_SOURCE = "a third-party page that quotes Google's network prices"


def machine_parts(
    machine_type: str, gpus: Iterable[Mapping[str, Any]], region: str
) -> list[dict[str, Any]]:
    """The machine, and the GPUs that are attached to it (bundled ones are in its price).

    Args:
        gpus: each with `type` and `count`.
    """
    bundled = machine_types.bundles_gpus(machine_type)
    what = f"machine {machine_type}"
    if bundled:
        inside = ", ".join(f"{one['count']} x {one['type']}" for one in gpus)
        what += f" with {inside}" if inside else " with its GPUs"
    found = [_part("machine", what, table.MACHINES.get(region, {}).get(machine_type))]
    for one in [] if bundled else gpus:
        each = table.GPUS.get(region, {}).get(one["type"])
        price = None if each is None else each * one["count"]
        found.append(_part("gpu", f"{one['count']} x {one['type']}", price))
    return found


def disk_part(size_gb: int, disk_type: str, region: str) -> dict[str, Any]:
    """A disk, which costs the same on Spot and while the instance is stopped."""
    monthly = table.DISKS_GB_MONTH.get(region, {}).get(disk_type)
    hourly = None if monthly is None else monthly * size_gb / HOURS_A_MONTH
    part = _part("disk", f"disk {size_gb} GB {disk_type}", hourly)
    return part | {"spot": part["on_demand"]}


def address_part(in_use: bool = True) -> dict[str, Any]:
    """An external IPv4 address; the table prices those of running on-demand instances only."""
    what = "external IPv4 address" + ("" if in_use else ", reserved and not in use")
    part = _part("address", what, table.EXTERNAL_IPV4 if in_use else None)
    return part | {"dated": table.EXTERNAL_IPV4_DATED, "source": ADDRESS_SOURCE}


def total(parts: Iterable[Mapping[str, Any]], model: Model) -> dict[str, Any]:
    """The sum in USD; `hourly` and `monthly` are None as long as a part's price is unknown.

    `known_hourly` is the sum of the known parts, `unknown` names the others.
    """
    parts = list(parts)
    known = sum(part[model]["hourly"] for part in parts if part[model])
    unknown = [part["what"] for part in parts if not part[model]]
    return {
        "currency": CURRENCY,
        "hourly": None if unknown else round(known, 4),
        "monthly": None if unknown else round(known * HOURS_A_MONTH, 2),
        "known_hourly": round(known, 4),
        "known_monthly": round(known * HOURS_A_MONTH, 2),
        "unknown": unknown,
    }


def said(sum_of: Mapping[str, Any]) -> str:
    """A total for a person: an hour, a month, and what the table lacks."""
    if not sum_of["unknown"]:
        return f"{sum_of['hourly']:.3f} USD an hour, {sum_of['monthly']:.2f} USD a month"
    lacking = ", ".join(sum_of["unknown"])
    if not sum_of["known_hourly"]:
        return f"unknown: the price table has no price for {lacking}"
    return (
        f"{sum_of['known_hourly']:.3f} USD an hour, {sum_of['known_monthly']:.2f} USD a month, "
        f"and what is not in the price table: {lacking}"
    )


def _part(kind: str, what: str, hourly: float | None) -> dict[str, Any]:
    price = None
    if hourly is not None:
        price = {"hourly": round(hourly, 6), "monthly": round(hourly * HOURS_A_MONTH, 2)}
    # Spot prices change from day to day, so the dated table has none.
    return {
        "kind": kind,
        "what": what,
        "on_demand": price,
        "spot": None,
        "dated": table.DATED,
        "source": table.SOURCE,
    }
