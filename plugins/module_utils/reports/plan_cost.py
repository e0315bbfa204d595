# SPDX-License-Identifier: Apache-2.0
"""A plan's parts, their sums in each way to pay, and all of it as a table of text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..gce.quota import needs as quota_needs
from ..hardware import machine_types, provisioning
from ..pricing import costs

Json = dict[str, Any]


def price(plan: Mapping[str, Any], region: str, source: costs.Prices) -> Json:
    """`parts`, `total`, `lines` and `prices` of a plan.

    Args:
        plan: `machine_type`, `accelerators`, `boot_disk_size_gb`, `boot_disk_type`, `more_disks`,
            `external_ip`, `static_address`, and where it is not STANDARD `provisioning_model`.
    """
    name = plan["machine_type"]
    gpus = machine_types.bundled(name) or plan["accelerators"]
    disks = [(plan["boot_disk_size_gb"], plan["boot_disk_type"])]
    disks += quota_needs.sized_disks(plan["more_disks"], name)
    kept = [source.disk_part(size, kind, region) for size, kind in disks]
    parts = [*source.machine_parts(name, gpus, region), *kept]
    if plan["external_ip"]:
        parts.append(source.address_part(region))
        if plan["static_address"]:
            # Without the instance it is still there, at another price.
            kept.append(source.address_part(region, in_use=False))
    total: Json = {model: costs.total(parts, model) for model in costs.MODELS}
    total["stopped"] = costs.total(kept, "on_demand")
    model = str(plan.get("provisioning_model") or provisioning.STANDARD)
    total["planned"] = costs.total(parts, costs.of_provisioning(model))
    about = source.about()
    notes = [provisioning.not_sold(name, model)]
    if model in costs.NOTES:
        notes.append(f"{costs.NOTES[model]}: {costs.said(total['planned'])}")
    return {
        "parts": parts,
        "total": total,
        "prices": about,
        "lines": [*lines(parts, total, about), *filter(None, notes)],
    }


def lines(parts: list[Json], total: Json, about: Mapping[str, str]) -> list[str]:
    """Tables of prices an hour and a month, the sums, and where the prices are from."""
    rows = []
    for unit, word, digits in (("hourly", "an hour", 4), ("monthly", "a month", 2)):
        rows.append([f"USD {word}", *(costs.TITLES[model] for model in costs.MODELS)])
        for one in parts:
            rows.append([one["what"], *(_cell(one, model, unit, digits) for model in costs.MODELS)])
        title = "an hour in all" if unit == "hourly" else "a month (730 hours)"
        rows.append([title, *(_sum(total[model], unit, digits) for model in costs.MODELS)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    sources = dict.fromkeys(
        f"{one['what']}: of {one['dated']}, {one['source']}"
        for one in parts
        if one["dated"] != about["dated"]
    )
    return [*text, f"while stopped: {costs.said(total['stopped'])}", about["text"], *sources]


def _cell(part: Json, model: costs.Model, unit: str, digits: int) -> str:
    if model in part["not_sold"]:
        return "not sold"
    return _said(part[model][unit] if part[model] else None, digits)


def _sum(total: Json, unit: str, digits: int) -> str:
    return "not sold" if total["not_sold"] else _said(total[unit], digits)


def _said(amount: float | None, digits: int) -> str:
    return "unknown" if amount is None else f"{amount:.{digits}f}"
