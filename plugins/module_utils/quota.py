# SPDX-License-Identifier: Apache-2.0
"""Headroom: limit minus usage against what is needed. Pure, but for `read`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import lookups
from .errors import ApiError
from .gce_client import GceClient

# These are the project's, not a region's.
_GLOBAL_SUFFIX = "_ALL_REGIONS"
_PREEMPTIBLE = "PREEMPTIBLE_"
CONSOLE = "https://console.cloud.google.com/iam-admin/quotas?project="

Table = Mapping[str, Mapping[str, Any]]


def is_global(metric: str) -> bool:
    """Whether a metric counts over all regions."""
    return metric.endswith(_GLOBAL_SUFFIX)


def read(client: GceClient, region: str, needs: Mapping[str, int]) -> tuple[Table, Table]:
    """Metrics of the region and of the project, by name; the project is asked only if needed.

    Raises:
        GceError: no such region; names those that are.
    """
    what = f"read the quota of region {region}"
    try:
        found = client.find(f"{client.root}/regions/{region}", what)
    except ApiError as error:
        if "unknown region" not in error.google_message.lower():
            raise
        found = None
    if found is None:
        raise lookups.unknown_region(client, region)
    project: Table = {}
    if not needs or any(map(is_global, needs)):
        project = _by_metric(client.get(client.root, f"read the quota of project {client.project}"))
    return _by_metric(found), project


def _by_metric(resource: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(one["metric"]): one for one in resource.get("quotas") or []}


def headroom(
    needs: Mapping[str, int], region: str, here: Table, everywhere: Table
) -> list[dict[str, Any]]:
    """One row a needed metric: metric, region, limit, usage, free, needed, ok.

    `ok` is None where Google lists no such metric: absent is not zero. A Spot GPU counts against
    the standard metric where the project has no preemptible quota, as Google does; `metric` is then
    the standard one and `instead_of` the preemptible one.
    """
    rows = []
    for metric, needed in sorted(needs.items()):
        table = everywhere if is_global(metric) else here
        found, counted = table.get(metric), metric
        if metric.startswith(_PREEMPTIBLE) and not (found and found.get("limit")):
            standard = metric[len(_PREEMPTIBLE) :]
            if table.get(standard):
                found, counted = table[standard], standard
        row: dict[str, Any] = {
            "metric": counted,
            "region": "global" if is_global(metric) else region,
            "needed": needed,
            "limit": None,
            "usage": None,
            "free": None,
            "ok": None,
        }
        if counted != metric:
            row["instead_of"] = metric
        if found:
            limit, usage = float(found.get("limit", 0)), float(found.get("usage", 0))
            row.update(limit=_plain(limit), usage=_plain(usage), free=_plain(limit - usage))
            row["ok"] = limit - usage >= needed
        rows.append(row)
    return rows


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) else number


def shortfalls(rows: list[dict[str, Any]], project: str) -> list[str]:
    """A sentence for each metric that falls short, with the step that helps."""
    return [
        f"{row['metric']} ({row['region']}): {row['needed']} needed, {row['free']} free "
        f"(limit {row['limit']}, in use {row['usage']}). Next: ask for a limit of "
        f"{_plain(float(row['usage'] + row['needed']))} at {CONSOLE}{project} "
        f"(filter: {row['metric']}"
        f"{'' if row['region'] == 'global' else ', region ' + row['region']}), "
        f"free what is not used{'' if row['region'] == 'global' else ', or choose another region'}."
        for row in rows
        if row["ok"] is False
    ]
