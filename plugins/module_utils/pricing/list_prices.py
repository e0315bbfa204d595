# SPDX-License-Identifier: Apache-2.0
"""List price of one plan from the dated table; what it lacks is named, never guessed. Pure."""

from __future__ import annotations

from typing import Any

from ..hardware import provisioning
from . import costs
from . import list_price_table as table


def price(
    machine_type: str,
    gpus: list[dict[str, Any]],
    region: str,
    *,
    model: str = provisioning.STANDARD,
    disk_gb: int = 0,
    disk_type: str = "",
    external_ip: bool = False,
) -> dict[str, Any] | None:
    """Price an hour in USD with its parts; None where machine or GPU have no price.

    Without its GPU's, the price would be far too low.

    Args:
        model: the provisioning model. In one that Google does not sell the machine in, it has none.
    """
    way = costs.of_provisioning(model)
    source = costs.Table()
    parts = source.machine_parts(machine_type, gpus, region)
    if any(part[way] is None for part in parts):
        return None
    if disk_gb:
        parts.append(source.disk_part(disk_gb, disk_type, region))
    if external_ip:
        parts.append(source.address_part(region))
    total = costs.total(parts, way)
    return {
        "hourly": total["known_hourly"],
        "currency": costs.CURRENCY,
        "dated": table.DATED,
        "source": table.SOURCE,
        "region": region,
        "parts": [
            {"what": part["what"], "hourly": part[way]["hourly"], "dated": part["dated"]}
            for part in parts
            if part[way]
        ],
        "unknown": total["unknown"],
    }
