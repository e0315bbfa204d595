# SPDX-License-Identifier: Apache-2.0
"""Quota: limits, usage counted from what exists, and whether a request fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from emulator.errors import Json, quota_exceeded
from emulator.world import catalog_data as data
from emulator.world.references import last, region_of
from emulator.world.storage import Store

_DISK_METRICS = {
    "pd-standard": "DISKS_TOTAL_GB",
    "pd-balanced": "SSD_TOTAL_GB",
    "pd-ssd": "SSD_TOTAL_GB",
    "hyperdisk-balanced": "HDB_TOTAL_GB",
}
_HELD = {"PROVISIONING", "STAGING", "RUNNING", "STOPPING"}  # a stopped instance frees its GPUs
_GLOBAL_COUNTS = {"NETWORKS": "networks", "SUBNETWORKS": "subnetworks", "FIREWALLS": "firewalls"}
Needs = Mapping[str, float]


class Quotas:
    """The quotas of all projects."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set_limit(self, project: str, region: str | None, metric: str, limit: float) -> None:
        """Changes a limit; `region` None means project-wide."""
        self._store.put_setting(f"quota:{project}:{region or 'global'}:{metric}", limit)

    def set_family_limit(self, project: str, region: str, family: str, limit: float) -> None:
        """Changes the limit of a GPU family, or of its Spot GPUs (`PREEMPTIBLE_` before it)."""
        self._store.put_setting(f"family-quota:{project}:{region}:{family}", limit)

    def family_limit(self, project: str, region: str, family: str) -> float:
        """That limit; only Cloud Quotas shows it, but it holds all the same."""
        return float(self._store.setting(f"family-quota:{project}:{region}:{family}", 0))

    def limits(self, project: str, region: str | None) -> dict[str, float]:
        """Limits by metric."""
        seed = data.REGION_QUOTAS if region else data.GLOBAL_QUOTAS
        return seed | self._store.settings(f"quota:{project}:{region or 'global'}:")

    def listing(self, project: str, region: str | None) -> list[Json]:
        """As regions.get and projects.get show them."""
        usage = self.usage(project, region)
        return [
            {"metric": metric, "limit": float(limit), "usage": float(usage[metric])}
            for metric, limit in sorted(self.limits(project, region).items())
        ]

    def usage(self, project: str, region: str | None) -> Counter[str]:
        """What exists, by metric."""
        used: Counter[str] = Counter()
        for ref, instance in self._store.items("instances", project):
            zone = last(ref.scope)
            if region and region_of(zone) != region:
                continue
            used["INSTANCES"] += 1
            held = instance["status"] in _HELD
            if held:
                used.update(self._held(project, zone, instance, region is None))
            used["IN_USE_ADDRESSES"] += sum(
                held or "natIP" in access
                for interface in instance["networkInterfaces"]
                for access in interface.get("accessConfigs", [])
            )
        for ref, disk in self._store.items("disks", project):
            if region is None or region_of(last(ref.scope)) == region:
                used[_DISK_METRICS.get(last(disk["type"]), "")] += int(disk["sizeGb"])
        scope = f"regions/{region}" if region else "global"
        used["STATIC_ADDRESSES"] = len(self._store.items("addresses", project, scope))
        if region is None:
            for metric, collection in _GLOBAL_COUNTS.items():
                used[metric] = len(self._store.items(collection, project))
        return used

    def check_instance(self, project: str, zone: str, instance: Json) -> None:
        """Whether an instance that is not yet counted may start.

        Raises:
            ApiError: 403 naming the first metric that does not suffice.
        """
        region = region_of(zone)
        needs = self._held(project, zone, instance, project_wide=False)
        needs["IN_USE_ADDRESSES"] = sum(
            len(interface.get("accessConfigs", [])) for interface in instance["networkInterfaces"]
        )
        self.check(project, region, needs)
        self.check(project, None, self._held(project, zone, instance, project_wide=True))

    def check_disk(self, project: str, zone: str, kind: str, size_gb: int) -> None:
        """Whether a disk fits; raises like check_instance."""
        metric = _DISK_METRICS.get(kind)
        if metric:
            self.check(project, region_of(zone), {metric: size_gb})

    def check(self, project: str, region: str | None, needs: Needs) -> None:
        """Whether `needs` fit beside what exists; raises like check_instance."""
        limits, used = self.limits(project, region), self.usage(project, region)
        for metric, amount in needs.items():
            limit = limits.get(metric)
            named, family = metric, ""
            if region and metric.endswith(tuple(data.GPU_FAMILIES.values())):
                limit = self.family_limit(project, region, metric)
                own = metric.startswith("PREEMPTIBLE_")
                named, family = (f"{metric}_GPUS", "") if own else ("GPUS_PER_GPU_FAMILY", metric)
            if amount and limit is not None and used[metric] + amount > limit:
                raise quota_exceeded(named, limit, region, family)

    def _held(self, project: str, zone: str, instance: Json, project_wide: bool) -> Counter[str]:
        """What a running instance holds: CPUs and GPUs."""
        machine = data.machine(last(instance["machineType"]))
        gpus = instance.get("guestAccelerators", [])
        held: Counter[str] = Counter()
        if instance.get("scheduling", {}).get("provisioningModel") == "RESERVATION_BOUND":
            return held  # the reservation has its own
        assert machine is not None  # noqa: S101 (no instance has another)
        if project_wide:
            held["GPUS_ALL_REGIONS"] = sum(gpu["acceleratorCount"] for gpu in gpus)
            held["CPUS_ALL_REGIONS"] = machine.cpus if machine.cpu_quota else 0
            return held
        limits = self.limits(project, region_of(zone))
        scheduling = instance.get("scheduling", {})
        spot = scheduling.get("preemptible", False)
        spot = spot or scheduling.get("provisioningModel") == "FLEX_START"

        def metric(name: str) -> str:
            # Spot and Flex-start fall back to the standard quota where there is no preemptible one.
            twin = f"PREEMPTIBLE_{name}"
            return twin if spot and limits.get(twin, 0) > 0 else name

        for gpu in gpus:  # first, being what usually runs out
            name = data.ACCELERATORS[last(gpu["acceleratorType"])].quota
            family = data.GPU_FAMILIES.get(last(gpu["acceleratorType"]))
            if family:
                own = f"PREEMPTIBLE_{family}"
                has_own = spot and self.family_limit(project, region_of(zone), own) > 0
                held[own if has_own else family] += gpu["acceleratorCount"]
            elif name:
                held[metric(name)] += gpu["acceleratorCount"]
        if machine.cpu_quota:
            held[metric(machine.cpu_quota)] += machine.cpus
        return held
