# SPDX-License-Identifier: Apache-2.0
"""What only Cloud Quotas knows: the quotas that Compute Engine's own lists leave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...errors import ApiError, GceError
from ...hardware import machine_types
from .. import naming
from ..client import GceClient
from . import needs as quota_needs
from .request import COMPUTE, QuotasClient, quota_id_of

# Reading it must not hold up a run that can do without.
LONGEST_S = 30.0
_FAMILY_DIMENSIONS = {
    quota_needs.GPU_FAMILY_METRIC: "gpu_family",
    quota_needs.CPU_FAMILY_METRIC: "vm_family",
    quota_needs.LOCAL_SSD_FAMILY_METRIC: "vm_family",
}
_GONE = frozenset({"TERMINATED", "STOPPED", "SUSPENDED"})
Json = dict[str, Any]


def target(metric: str, region: str) -> tuple[str, dict[str, str]]:
    """Id and dimensions of a metric in Cloud Quotas.

    `GPUS_PER_GPU_FAMILY/NVIDIA_H100` is how this collection writes a quota with a family.
    """
    base, _, family = metric.partition("/")
    quota_id = quota_id_of(base)
    dimensions = {"region": region} if quota_id.endswith("-region") else {}
    if family:
        dimensions[_FAMILY_DIMENSIONS[base]] = family
    return quota_id, dimensions


def read(
    client: GceClient, endpoint: str, region: str, metrics: Iterable[str]
) -> tuple[dict[str, Json], str]:
    """The quotaInfo of each metric that there is, and why no more could be read ('' if all was).

    Missing metrics are left out: Cloud Quotas does not know them either.
    """
    settings = replace(
        client.settings, endpoint=endpoint, timeout=min(LONGEST_S, client.seconds_left())
    )
    found: dict[str, Json] = {}
    by_id: dict[str, Json | None] = {}
    quotas = QuotasClient(settings, beside=client)
    with quotas:
        root = f"{quotas.root}/locations/global/services/{COMPUTE}/quotaInfos"
        for metric in metrics:
            quota_id, _ = target(metric, region)
            try:
                if quota_id not in by_id:
                    by_id[quota_id] = _find(quotas, f"{root}/{quota_id}", quota_id)
            except GceError as error:
                return found, str(error)
            info = by_id[quota_id]
            if info is not None:
                found[metric] = info
    return found, ""


def _find(quotas: GceClient, path: str, quota_id: str) -> Json | None:
    try:
        return quotas.get(path, f"read the quota {quota_id} in Cloud Quotas")
    except ApiError as error:
        if error.status == 404 and error.reason != "projectNotFound":
            return None
        raise


def ineligible(info: Mapping[str, Any]) -> str:
    """Google's word for why a quota can't be raised; '' where it can or nothing is said."""
    said = info.get("quotaIncreaseEligibility") or {}
    if not said or said.get("isEligible"):
        return ""
    return str(said.get("ineligibilityReason") or "NOT_ELIGIBLE")


def in_use(client: GceClient, region: str, metrics: Iterable[str]) -> dict[str, int]:
    """What the project's running instances draw on metrics that no list has the usage of.

    Cloud Quotas tells limits alone. A GPU on Spot or Flex-start counts for the preemptible
    metric and for its family, since which of them it drew on is not told.
    """
    wanted = set(metrics)
    used = dict.fromkeys(wanted, 0)
    if not wanted:
        return used
    what = f"count the instances of project {client.project}"
    everywhere = f"{client.root}/aggregated/instances"
    for instance in client.aggregated(everywhere, "instances", what):
        zone = naming.short(str(instance.get("zone", "")))
        if naming.region_of(zone) != region or instance.get("status") in _GONE:
            continue
        model = str((instance.get("scheduling") or {}).get("provisioningModel"))
        name = naming.short(str(instance.get("machineType", "")))
        machine = {"name": name, "guestCpus": _cpus_in(name)}
        gpus = [
            {
                "type": naming.short(str(one.get("acceleratorType", ""))),
                "count": int(one.get("acceleratorCount", 0)),
            }
            for one in instance.get("guestAccelerators") or []
        ] or machine_types.bundled(name)
        if quota_needs.draws_none(model):
            continue
        drawn = quota_needs.quota_needs(machine, gpus)
        if quota_needs.draws_preemptible(model):
            drawn |= quota_needs.quota_needs(machine, gpus, spot=True)
        for metric in wanted & drawn.keys():
            used[metric] += drawn[metric]
    return used


def _cpus_in(machine_type: str) -> int:
    """vCPUs by the name, as in `c4-standard-8` and `n4-custom-8-16384`; 0 where it has none."""
    parts = machine_type.split("-")
    return int(parts[2]) if len(parts) > 2 and parts[2].isdigit() else 0
