# SPDX-License-Identifier: Apache-2.0
"""From a SKU of the Cloud Billing catalog to the component and the way to pay it prices. Pure.

A SKU says what it is in its description alone ('Spot Preemptible G2 Instance Core running in
Iowa'), and many others differ from it in a word: custom shapes, sole tenancy, workstations,
reservations. So a description is taken apart, and what is left has to be one of the names below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .costs import HOURS_A_MONTH, Model

SERVICE = "services/6F81-5844-456A"  # Compute Engine

_COMMITMENT = re.compile(r"^commitment(?: v\d+)?: ")
_TERM = re.compile(r" for (\d) years?$")
_SPOT_PREFIX = re.compile(r"^(?:spot preemptible|preemptible|spot) ")
_SPOT_PART = re.compile(r" attached to (?:spot )?preemptible vms")
# 'X running in Iowa', 'X in Japan'; some of the Americas have no place at all.
_PLACE = re.compile(r"(?: running)? in [^:]+$")
_GPU = re.compile(r" gpu$")

_GPUS = {
    "nvidia l4": "nvidia-l4",
    "nvidia tesla t4": "nvidia-tesla-t4",
    "nvidia tesla v100": "nvidia-tesla-v100",
    "nvidia tesla p100": "nvidia-tesla-p100",
    "nvidia tesla p4": "nvidia-tesla-p4",
    "nvidia tesla a100": "nvidia-tesla-a100",
    "nvidia tesla a100 80gb": "nvidia-a100-80gb",
    "nvidia a100 80gb": "nvidia-a100-80gb",
    "nvidia h100 80gb": "nvidia-h100-80gb",
    "nvidia h100 80gb mega": "nvidia-h100-mega-80gb",
    "nvidia h100 80gb plus": "nvidia-h100-mega-80gb",
    "nvidia h100 mega 80gb": "nvidia-h100-mega-80gb",
    "nvidia h200 141gb": "nvidia-h200-141gb",
    "h200 141gb": "nvidia-h200-141gb",
    "a4 nvidia b200 (1 gpu slice)": "nvidia-b200",
    "nvidia b200": "nvidia-b200",
    "rtx 6000 96gb": "nvidia-rtx-pro-6000",
}
_DISKS = {
    "storage pd capacity": "pd-standard",
    "balanced pd capacity": "pd-balanced",
    "ssd backed pd capacity": "pd-ssd",
    "extreme pd capacity": "pd-extreme",
    "hyperdisk balanced capacity": "hyperdisk-balanced",
    "ssd backed local storage": "local-ssd",
    "local ssd": "local-ssd",
}
_ADDRESSES: dict[str, tuple[str, Model]] = {
    "external ip charge on a standard vm": ("address", "on_demand"),
    "external ip charge on a spot preemptible vm": ("address", "spot"),
    "static ip charge": ("address-idle", "on_demand"),
}
# 'G2 Instance Core', 'N1 Predefined Instance Ram', 'N2D AMD Instance Core'; committed 'G2 Cpu',
# and N1's has no family: 'Cpu'.
_INSTANCE = re.compile(r"^(\w+)(?: predefined| amd| arm)* instance (core|ram)$")
_COMMITTED = re.compile(r"^(?:(\w+)(?: amd| arm)* )?(cpu|ram)$")
# Units that the prices below are in, and what makes a price an hour of them.
_UNITS = {"h": 1.0, "GiBy.h": 1.0, "GiBy.mo": 1 / HOURS_A_MONTH}
# The catalog's names of machine families, where they are not the machine type's.
FAMILIES = {"a3-megagpu": "a3plus", "a3-ultragpu": "a3ultra"}


@dataclass(frozen=True)
class Rate:
    """One price: `component` is `cpu:g2`, `ram:g2`, `gpu:nvidia-l4`, `disk:pd-ssd`, `address`, …

    Attributes:
        hourly: USD an hour of one vCPU, GB, GPU or address.
    """

    component: str
    model: Model
    regions: tuple[str, ...]
    hourly: float


def family(machine_type: str) -> str:
    """The catalog's family of a machine type: `a3plus` of `a3-megagpu-8g`."""
    for prefix, name in FAMILIES.items():
        if machine_type.startswith(prefix):
            return name
    return machine_type.split("-", 1)[0]


def rate(sku: Mapping[str, Any]) -> Rate | None:
    """What a SKU prices; None where it is nothing that a plan here has, or has no price."""
    found = _component(str(sku.get("description", "")).strip().lower(), sku.get("category") or {})
    hourly = _hourly(sku)
    # What is reserved beforehand is listed at 0, which is not its price.
    if found is None or not hourly:
        return None
    return Rate(*found, tuple(sku.get("serviceRegions") or ()), hourly)


def _component(text: str, category: Mapping[str, Any]) -> tuple[str, Model] | None:
    bare = _PLACE.sub("", text)
    for known in (bare, text):
        if known in _ADDRESSES:
            return _ADDRESSES[known]
    text, committed = _COMMITMENT.subn("", text)
    term = _TERM.search(text)
    text = _TERM.sub("", text)
    text, prefixed = _SPOT_PREFIX.subn("", text)
    text, attached = _SPOT_PART.subn("", text)
    text = _PLACE.sub("", text)
    usage = str(category.get("usageType", ""))
    if committed or usage.startswith("Commit"):
        if not term or term[1] not in ("1", "3"):
            return None
        model: Model = "commit_1y" if term[1] == "1" else "commit_3y"
    elif prefixed or attached or usage == "Preemptible":
        model = "spot"
    else:
        model = "on_demand"
    component = _named(text, bool(committed))
    return (component, model) if component else None


def _named(text: str, committed: bool) -> str:
    if text in _DISKS:
        return f"disk:{_DISKS[text]}"
    gpu = _GPUS.get(_GPU.sub("", text))
    if gpu:
        return f"gpu:{gpu}"
    found = _COMMITTED.match(text) if committed else _INSTANCE.match(text)
    if not found:
        return ""
    return f"{'ram' if found[2] == 'ram' else 'cpu'}:{found[1] or 'n1'}"


def _hourly(sku: Mapping[str, Any]) -> float | None:
    """The rate beyond what is free each month, which one account has once for all it runs."""
    infos = sku.get("pricingInfo") or []
    if not infos:
        return None
    latest = max(infos, key=lambda one: str(one.get("effectiveTime", "")))
    expression = latest.get("pricingExpression") or {}
    factor = _UNITS.get(str(expression.get("usageUnit")))
    tiers = expression.get("tieredRates") or []
    if factor is None or not tiers:
        return None
    last = max(tiers, key=lambda one: float(one.get("startUsageAmount", 0)))
    money = last.get("unitPrice") or {}
    if money.get("currencyCode", "USD") != "USD":
        return None
    return (int(money.get("units", 0)) + int(money.get("nanos", 0)) / 1e9) * factor
