# SPDX-License-Identifier: Apache-2.0
"""A sample of Compute Engine's SKUs: a seed for demo and tests, not a claim about real prices.

Descriptions are worded as the catalog words them, with the look-alikes that a reader has to tell
apart: custom shapes, workstations, reservations at 0, regional disks, and free tiers.
"""

from __future__ import annotations

from dataclasses import dataclass

AMERICAS = ("us-central1", "us-east1", "us-west1")
NETHERLANDS = ("europe-west4",)
GLOBAL = ("global",)


@dataclass(frozen=True)
class Sku:
    """A SKU.

    Attributes:
        group: the category's resourceGroup.
        usage: OnDemand, Preemptible, Commit1Yr or Commit3Yr.
        tiers: (start amount, price in billionths of a dollar).
    """

    description: str
    family: str
    group: str
    usage: str
    regions: tuple[str, ...]
    unit: str
    tiers: tuple[tuple[float, int], ...]


def _machine(
    name: str, committed: str, core_and_ram: tuple[tuple[int, ...], tuple[int, ...]], place: str,
    regions: tuple[str, ...],
) -> list[Sku]:  # fmt: skip
    """On demand, Spot, one and three years of a family's vCPUs and memory."""
    found = []
    for what, short, group, unit, nanos in (
        ("Core", "Cpu", "CPU", "h", core_and_ram[0]),
        ("Ram", "Ram", "RAM", "GiBy.h", core_and_ram[1]),
    ):
        plain = f"{name} Instance {what} running in {place}"
        for description, usage, price in (
            (plain, "OnDemand", nanos[0]),
            (f"Spot Preemptible {plain}", "Preemptible", nanos[1]),
            (f"Commitment v1: {committed}{short} in {place} for 1 Year", "Commit1Yr", nanos[2]),
            (f"Commitment v1: {committed}{short} in {place} for 3 Years", "Commit3Yr", nanos[3]),
        ):
            found.append(Sku(description, "Compute", group, usage, regions, unit, ((0, price),)))
    return found


def _gpu(name: str, nanos: tuple[int, ...], place: str, regions: tuple[str, ...]) -> list[Sku]:
    """A GPU in the four ways, and those that are something else."""
    plain = f"{name} running in {place}"
    return [
        Sku(description, "Compute", "GPU", usage, regions, "h", ((0, price),))
        for description, usage, price in (
            (plain, "OnDemand", nanos[0]),
            (
                f"{name} attached to Spot Preemptible VMs running in {place}",
                "Preemptible",
                nanos[1],
            ),
            (f"Commitment v1: {plain} for 1 Year", "Commit1Yr", nanos[2]),
            (f"Commitment v1: {plain} for 3 Years", "Commit3Yr", nanos[3]),
            (f"{name} attached to DWS Defined Duration VMs running in {place}", "OnDemand", 1),
            (f"Reserved {name} in {place}", "OnDemand", 0),
        )
    ]


def _flat(
    description: str, family: str, group: str, regions: tuple[str, ...], unit: str,
    *tiers: tuple[float, int], usage: str = "OnDemand",
) -> Sku:  # fmt: skip
    return Sku(description, family, group, usage, regions, unit, tiers)


SKUS: list[Sku] = [
    *_machine("G2", "G2 ", ((24988000, 9990000, 15742000, 11244000),
              (2927000, 1170000, 1844000, 1317000)), "Americas", AMERICAS),
    *_machine("G2", "G2 ", ((27513000, 11000000, 17333000, 12381000),
              (3223000, 1290000, 2030000, 1450000)), "Netherlands", NETHERLANDS),
    *_machine("N1 Predefined", "", ((31611000, 6655000, 19915000, 14225000),
              (4237000, 892000, 2669000, 1907000)), "Americas", AMERICAS),
    *_machine("A2", "A2 ", ((31611000, 12640000, 19915000, 14225000),
              (4237000, 1695000, 2669000, 1907000)), "Americas", AMERICAS),
    *_machine("A3", "A3 ", ((29280000, 10200000, 20300000, 12900000),
              (2550000, 888000, 1770000, 1120000)), "Americas", AMERICAS),
    *_gpu("Nvidia L4 GPU", (560040000, 223100000, 352825000, 252018000), "Americas", AMERICAS),
    *_gpu("Nvidia L4 GPU", (588700000, 191500000, 370880000, 264910000), "Netherlands",
          NETHERLANDS),
    *_gpu("Nvidia Tesla T4 GPU", (350000000, 140000000, 220000000, 160000000), "Americas",
          AMERICAS),
    *_gpu("Nvidia Tesla A100 GPU", (2933908000, 880172000, 1848362000, 1026868000), "Americas",
          AMERICAS),
    *_gpu("Nvidia H100 80GB GPU", (9796551000, 3918620000, 6700000000, 4300000000), "Americas",
          AMERICAS),
    _flat("Nvidia L4 Virtual Workstation GPU running in Americas", "Compute", "GPU", AMERICAS, "h",
          (0, 760040000)),
    _flat("G2 Custom Instance Core running in Americas", "Compute", "CPU", AMERICAS, "h",
          (0, 26238000)),
    _flat("Sole Tenancy Premium for N1 Sole Tenancy Instance Core running in Americas", "Compute",
          "CPU", AMERICAS, "h", (0, 3161000)),
    _flat("Storage PD Capacity", "Storage", "PDStandard", AMERICAS, "GiBy.mo", (0, 0),
          (30, 40000000)),
    _flat("Balanced PD Capacity", "Storage", "SSD", AMERICAS, "GiBy.mo", (0, 100000000)),
    _flat("Balanced PD Capacity in Netherlands", "Storage", "SSD", NETHERLANDS, "GiBy.mo",
          (0, 110000000)),
    _flat("Regional Balanced PD Capacity", "Storage", "SSD", AMERICAS, "GiBy.mo", (0, 200000000)),
    _flat("SSD backed PD Capacity", "Storage", "SSD", AMERICAS, "GiBy.mo", (0, 170000000)),
    _flat("SSD backed Local Storage", "Storage", "LocalSSD", AMERICAS, "GiBy.mo", (0, 80000000)),
    _flat("SSD backed Local Storage attached to Spot Preemptible VMs", "Storage", "LocalSSD",
          AMERICAS, "GiBy.mo", (0, 32000000), usage="Preemptible"),
    _flat("External IP Charge on a Standard VM", "Network", "IpAddress", GLOBAL, "h", (0, 0),
          (744, 5000000)),
    _flat("External IP Charge on a Spot Preemptible VM", "Network", "IpAddress", GLOBAL, "h",
          (0, 2500000)),
    _flat("Static Ip Charge", "Network", "IpAddress", AMERICAS, "h", (0, 0), (1, 10000000)),
]  # fmt: skip
