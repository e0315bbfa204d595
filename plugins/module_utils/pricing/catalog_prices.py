# SPDX-License-Identifier: Apache-2.0
"""Prices from the Cloud Billing catalog. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..hardware import machine_types
from . import costs, skus

_GLOBAL = "global"


class Catalog:
    """The rates of the catalog that matter here; implements `costs.Prices`.

    Args:
        rates: of all regions.
        dated: day on which they were read.
        where: address that they were read from.
    """

    def __init__(self, rates: Iterable[skus.Rate], dated: str, where: str) -> None:
        self.dated, self.source = dated, f"Cloud Billing catalog ({where})"
        self._rates: dict[tuple[str, str, costs.Model], float] = {}
        for rate in rates:
            for region in rate.regions:
                key = (rate.component, region, rate.model)
                # Of two for the same thing the higher is the one that does not promise too much.
                self._rates[key] = max(rate.hourly, self._rates.get(key, 0.0))

    def about(self) -> dict[str, str]:
        """As in Prices."""
        text = f"list prices in {costs.CURRENCY} of {self.dated}: {self.source}"
        return {"kind": "catalog", "dated": self.dated, "text": text}

    def _hourly(
        self, component: str, region: str, amount: float
    ) -> dict[costs.Model, float | None]:
        found: dict[costs.Model, float | None] = {}
        for model in costs.MODELS:
            each = self._rates.get((component, region, model))
            if each is None:
                each = self._rates.get((component, _GLOBAL, model))
            found[model] = None if each is None else each * amount
        return found

    def _part(
        self, kind: str, what: str, hourly: Mapping[costs.Model, float | None]
    ) -> dict[str, Any]:
        return costs.part(kind, what, hourly, self.dated, self.source)

    def machine_parts(
        self, machine_type: str, gpus: Iterable[Mapping[str, Any]], region: str
    ) -> list[dict[str, Any]]:
        """As in Prices: vCPUs, memory, local SSDs that come along, GPUs."""
        shape, found = machine_types.shape(machine_type), []
        if shape is None:
            found.append(self._part("machine", f"machine {machine_type}", {}))
        else:
            cpus, memory, ssd = shape
            family = skus.family(machine_type)
            for kind, what, component, amount in (
                ("cpu", f"{cpus} vCPUs of {machine_type}", f"cpu:{family}", cpus),
                ("memory", f"{memory:g} GB of memory", f"ram:{family}", memory),
            ):
                found.append(self._part(kind, what, self._hourly(component, region, amount)))
            if ssd:
                hourly = self._hourly("disk:local-ssd", region, ssd)
                found.append(self._part("disk", f"{ssd} GB of local SSD", hourly))
        for one in gpus:
            count, kind = int(one["count"]), one["type"]
            hourly = self._hourly(f"gpu:{kind}", region, count)
            found.append(self._part("gpu", f"{count} x {kind}", hourly))
        return costs.as_sold(found, machine_type)

    def disk_part(self, size_gb: int, disk_type: str, region: str) -> dict[str, Any]:
        """As in Prices; Hyperdisk with the performance that is free of charge."""
        hourly = self._hourly(f"disk:{disk_type}", region, size_gb)["on_demand"]
        what = f"disk {size_gb} GB {disk_type}"
        return self._part("disk", what, dict.fromkeys(costs.MODELS, hourly))

    def address_part(self, region: str, in_use: bool = True) -> dict[str, Any]:
        """As in Prices; commitments do not change it."""
        hourly = self._hourly("address" if in_use else "address-idle", region, 1)
        for model in costs.MODELS:
            if model != "spot" or not in_use:
                hourly[model] = hourly["on_demand"]
        return self._part("address", costs.address_words(in_use), hourly)
