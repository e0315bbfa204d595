# SPDX-License-Identifier: Apache-2.0
"""What the parts of a plan cost, in four ways to pay; an unknown price is None, not 0. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from ..hardware import machine_types, provisioning
from . import list_price_table as table

HOURS_A_MONTH = 730
# `at_most` is the rate on demand also where nobody can buy at it: other ways cost no more.
Model = Literal["on_demand", "spot", "commit_1y", "commit_3y", "at_most"]
MODELS: tuple[Model, ...] = ("on_demand", "spot", "commit_1y", "commit_3y")
TITLES: dict[Model, str] = {
    "on_demand": "on demand",
    "spot": "Spot",
    "commit_1y": "1 year",
    "commit_3y": "3 years",
}
CURRENCY = "USD"
FLEX_NOTE = "Flex-start is priced as on demand, which is the most that it costs"
NOTES = {
    provisioning.FLEX_START: FLEX_NOTE,
    provisioning.RESERVATION_BOUND: "a reservation is billed for its whole time, also while the "
    "instance is stopped; the price is that on demand, which is the most that it costs",
}
Hourly = Mapping[Model, float | None]


class Prices(Protocol):
    """Where prices come from.

    A part has `kind`, `what`, a price for each of MODELS and for `at_most` (`{hourly, monthly}` or
    None), `not_sold` (those of MODELS in which Google does not sell it), `dated` and `source`.
    """

    def about(self) -> dict[str, str]:
        """`kind` (catalog or table), `dated`, and `text` for people."""

    def machine_parts(
        self, machine_type: str, gpus: Iterable[Mapping[str, Any]], region: str
    ) -> list[dict[str, Any]]:
        """Parts of an instance of that type; `gpus` each with `type` and `count`."""

    def disk_part(self, size_gb: int, disk_type: str, region: str) -> dict[str, Any]:
        """A disk, which costs the same in each model and while the instance is stopped."""

    def address_part(self, region: str, in_use: bool = True) -> dict[str, Any]:
        """An external IPv4 address; not in use: a static one while the instance is stopped."""


class Table:
    """The dated table that comes with the collection."""

    def about(self) -> dict[str, str]:
        """As in Prices."""
        text = f"list prices in {CURRENCY} of {table.DATED} unless dated otherwise: {table.SOURCE}"
        return {"kind": "table", "dated": table.DATED, "text": text}

    def machine_parts(
        self, machine_type: str, gpus: Iterable[Mapping[str, Any]], region: str
    ) -> list[dict[str, Any]]:
        """As in Prices; types that the table has whole are one part with their GPUs."""
        return as_sold(self._machine_parts(machine_type, list(gpus), region), machine_type)

    def _machine_parts(
        self, machine_type: str, gpus: list[Mapping[str, Any]], region: str
    ) -> list[dict[str, Any]]:
        series, cpus = machine_types.series(machine_type), machine_type.rsplit("-", 1)[-1]
        if machine_type.startswith("g2-standard-") and region in table.G2 and cpus.isdigit():
            return _g2_parts(machine_type, int(cpus), gpus, table.G2[region])
        if machine_types.bundles_gpus(machine_type):
            inside = ", ".join(f"{one['count']} x {one['type']}" for one in gpus)
            what = f"machine {machine_type} with {inside or 'its GPUs'}"
            return [table_part("machine", what, table.WHOLE.get(region, {}).get(machine_type))]
        each = table.N1_STANDARD.get(region) if series == "n1" else None
        if not (machine_type.startswith("n1-standard-") and cpus.isdigit()):
            each = None
        whole = _times(each, int(cpus)) if each else None
        found = [table_part("machine", f"machine {machine_type}", whole)]
        return [*found, *(self._gpu_part(one, region) for one in gpus)]

    def _gpu_part(self, gpu: Mapping[str, Any], region: str) -> dict[str, Any]:
        count = int(gpu["count"])
        each = table.GPUS.get(region, {}).get(gpu["type"])
        hourly = dict(zip(MODELS, (one * count for one in each), strict=True)) if each else {}
        return part("gpu", f"{count} x {gpu['type']}", hourly, table.GPUS_DATED, table.GPUS_SOURCE)

    def disk_part(self, size_gb: int, disk_type: str, region: str) -> dict[str, Any]:
        """As in Prices."""
        monthly = table.DISKS_GB_MONTH.get(region, {}).get(disk_type)
        hourly = None if monthly is None else monthly * size_gb / HOURS_A_MONTH
        what = f"disk {size_gb} GB {disk_type}"
        return part("disk", what, dict.fromkeys(MODELS, hourly), table.DATED, table.SOURCE)

    def address_part(self, region: str, in_use: bool = True) -> dict[str, Any]:
        """As in Prices."""
        hourly: dict[Model, float | None]
        if in_use:
            hourly = dict.fromkeys(MODELS, table.EXTERNAL_IPV4)
            hourly["spot"] = table.EXTERNAL_IPV4_SPOT
            dated, source = table.EXTERNAL_IPV4_DATED, table.EXTERNAL_IPV4_SOURCE
        else:
            hourly = dict.fromkeys(MODELS, table.IDLE_IPV4.get(region))
            dated, source = table.IDLE_IPV4_DATED, table.IDLE_IPV4_SOURCE
        return part("address", address_words(in_use), hourly, dated, source)


def address_words(in_use: bool) -> str:
    """How an address is called."""
    return "external IPv4 address" + ("" if in_use else ", reserved and not in use")


def _g2_parts(
    name: str, cpus: int, gpus: list[Mapping[str, Any]], published: tuple[table.Four, table.Four]
) -> list[dict[str, Any]]:
    twelve, sixteen = published
    block = _minus(sixteen, twelve)
    gpu = _minus(twelve, _times(block, 3))
    count = int((gpus or machine_types.bundled(name))[0]["count"])
    return [
        table_part("machine", f"{cpus} vCPUs and {cpus * 4} GB of {name}", _times(block, cpus / 4)),
        table_part("gpu", f"{count} x nvidia-l4", _times(gpu, count)),
    ]


def _times(four: table.Four, factor: float) -> table.Four:
    hour, spot, one, three = four
    return (
        hour * factor,
        spot * factor,
        None if one is None else one * factor,
        None if three is None else three * factor,
    )


def _minus(a: table.Four, b: table.Four) -> table.Four:
    one = None if a[2] is None or b[2] is None else a[2] - b[2]
    three = None if a[3] is None or b[3] is None else a[3] - b[3]
    return (a[0] - b[0], a[1] - b[1], one, three)


def table_part(kind: str, what: str, four: table.Four | None) -> dict[str, Any]:
    """A part by the main table, whose commitments are prices a month."""
    hourly: dict[Model, float | None] = dict.fromkeys(MODELS)
    if four is not None:
        hourly["on_demand"], hourly["spot"] = four[0], four[1]
        hourly["commit_1y"] = None if four[2] is None else four[2] / HOURS_A_MONTH
        hourly["commit_3y"] = None if four[3] is None else four[3] / HOURS_A_MONTH
    return part(kind, what, hourly, table.DATED, table.SOURCE)


def part(kind: str, what: str, hourly: Hourly, dated: str, source: str) -> dict[str, Any]:
    """A part of the plan; a model that `hourly` lacks has no known price."""
    found: dict[str, Any] = {"kind": kind, "what": what}
    for model in MODELS:
        price = hourly.get(model)
        found[model] = None
        if price is not None:
            found[model] = {"hourly": round(price, 6), "monthly": round(price * HOURS_A_MONTH, 2)}
    return found | {
        "at_most": found["on_demand"],
        "not_sold": [],
        "dated": dated,
        "source": source,
    }


def as_sold(parts: Iterable[dict[str, Any]], machine_type: str) -> list[dict[str, Any]]:
    """A machine's parts without their prices in the ways in which Google does not sell it.

    The catalog has rates on demand for them: other machine types of the series have the same parts.
    """
    not_sold = unsold(machine_type)
    gone = {str(model): None for model in not_sold}
    return [{**one, **gone, "not_sold": not_sold} for one in parts]


def unsold(machine_type: str) -> list[Model]:
    """Ways to pay in which a machine type is not sold; commitments are for what runs for long."""
    sold = provisioning.sold_as(machine_type)
    found: list[Model] = [] if provisioning.STANDARD in sold else ["on_demand"]
    if not {provisioning.STANDARD, provisioning.RESERVATION_BOUND} & set(sold):
        found += ["commit_1y", "commit_3y"]
    return found


def of_provisioning(model: str) -> Model:
    """The price that an instance of a provisioning model has, or that it does not exceed."""
    if model == provisioning.SPOT:
        return "spot"
    return "on_demand" if model == provisioning.STANDARD else "at_most"


def total(parts: Iterable[Mapping[str, Any]], model: Model) -> dict[str, Any]:
    """The sum in USD; `hourly` and `monthly` are None as long as a part has no price.

    `known_hourly` is the sum of the known parts. `not_sold` names those that Google does not sell
    so, `unknown` the others.
    """
    parts = list(parts)
    known = sum(one[model]["hourly"] for one in parts if one[model])
    not_sold = [one["what"] for one in parts if model in one["not_sold"]]
    unknown = [one["what"] for one in parts if not one[model] and model not in one["not_sold"]]
    whole = not unknown and not not_sold
    return {
        "currency": CURRENCY,
        "hourly": round(known, 4) if whole else None,
        "monthly": round(known * HOURS_A_MONTH, 2) if whole else None,
        "known_hourly": round(known, 4),
        "known_monthly": round(known * HOURS_A_MONTH, 2),
        "unknown": unknown,
        "not_sold": not_sold,
    }


def said(sum_of: Mapping[str, Any]) -> str:
    """A total for a person: an hour, a month, and what has no known price."""
    if sum_of["not_sold"]:
        return "not sold so"
    if not sum_of["unknown"]:
        return f"{sum_of['hourly']:.3f} USD an hour, {sum_of['monthly']:.2f} USD a month"
    lacking = ", ".join(sum_of["unknown"])
    if not sum_of["known_hourly"]:
        return f"unknown: no price is known for {lacking}"
    return (
        f"{sum_of['known_hourly']:.3f} USD an hour, {sum_of['known_monthly']:.2f} USD a month, "
        f"and what has no known price: {lacking}"
    )
