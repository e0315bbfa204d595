# SPDX-License-Identifier: Apache-2.0
"""List price of a plan, from a dated table; what the table lacks is named, never guessed. Pure."""

from __future__ import annotations

from typing import Any

from . import machine_types
from . import price_table as table

HOURS_A_MONTH = 730


def price(
    machine_type: str,
    gpus: list[dict[str, Any]],
    region: str,
    *,
    spot: bool = False,
    disk_gb: int = 0,
    disk_type: str = "",
    external_ip: bool = False,
) -> dict[str, Any] | None:
    """Price an hour in USD with its parts; None where the machine itself has no price.

    Spot prices change daily, so the table has none of them and a Spot plan has no price.
    """
    machine = table.MACHINES.get(region, {}).get(machine_type)
    if machine is None or spot:
        return None
    items: list[dict[str, Any]] = []

    def add(what: str, hourly: float, dated: str = table.DATED) -> None:
        items.append({"what": what, "hourly": round(hourly, 6), "dated": dated})

    add(machine_type, machine)
    unknown = []
    for one in [] if machine_types.bundles_gpus(machine_type) else gpus:
        each = table.GPUS.get(region, {}).get(one["type"])
        if each is None:
            # Without its GPU's, the price would be far too low.
            return None
        add(f"{one['count']} x {one['type']}", each * one["count"])
    if disk_gb:
        monthly = table.DISKS_GB_MONTH.get(region, {}).get(disk_type)
        what = f"{disk_gb} GB {disk_type}"
        if monthly is None:
            unknown.append(what)
        else:
            add(what, monthly * disk_gb / HOURS_A_MONTH)
    if external_ip:
        add("external IPv4 address", table.EXTERNAL_IPV4, table.EXTERNAL_IPV4_DATED)
    return {
        "hourly": round(sum(item["hourly"] for item in items), 4),
        "currency": "USD",
        "dated": table.DATED,
        "source": table.SOURCE,
        "region": region,
        "items": items,
        "unknown": unknown,
    }
