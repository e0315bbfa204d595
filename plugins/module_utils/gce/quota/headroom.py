# SPDX-License-Identifier: Apache-2.0
"""Headroom: limit minus usage against what is needed. Pure, but for `read`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import locations
from ..client import GceClient
from . import cloud_quotas
from . import needs as quota_needs
from . import request as quota_request

# These are the project's, not a region's.
_GLOBAL_SUFFIX = "_ALL_REGIONS"
CONSOLE = "https://console.cloud.google.com/iam-admin/quotas?project="
COMPUTE, CLOUD_QUOTAS = "compute", "cloud_quotas"

Table = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Known:
    """What the sources say, by metric.

    Attributes:
        here: quotas of the region, as Compute Engine lists them.
        everywhere: quotas of the project, likewise.
        infos: quotaInfos of Cloud Quotas, for metrics that both lack.
        counted: usage of those, counted from instances.
    """

    here: Table
    everywhere: Table
    infos: Table = field(default_factory=dict)
    counted: Mapping[str, float] = field(default_factory=dict)

    def listed(self, metric: str) -> Mapping[str, Any] | None:
        """Compute Engine's own entry."""
        return (self.everywhere if is_global(metric) else self.here).get(metric)


def is_global(metric: str) -> bool:
    """Whether a metric counts over all regions."""
    return metric.endswith(_GLOBAL_SUFFIX)


def read(client: GceClient, region: str, needs: Mapping[str, int]) -> Known:
    """What Compute Engine lists; the project is asked only if needed.

    Raises:
        GceError: no such region; names those that are.
    """
    what = f"read the quota of region {region}"
    found = client.find(f"{client.root}/regions/{region}", what)
    if found is None:
        raise locations.unknown_region(client, region)
    project: Table = {}
    if not needs or any(map(is_global, needs)):
        project = _by_metric(client.get(client.root, f"read the quota of project {client.project}"))
    return Known(_by_metric(found), project)


def _by_metric(resource: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(one["metric"]): one for one in resource.get("quotas") or []}


def unlisted(needs: Mapping[str, int], known: Known) -> list[str]:
    """Metrics that Compute Engine's own lists lack and Cloud Quotas has to be asked for."""
    missing = []
    for metric, needed in sorted(needs.items()):
        if not needed:
            continue
        for one in (metric, quota_needs.standard_twin(metric)):
            entry = known.listed(one)
            if one and entry is None:
                missing.append(one)
            if entry and entry.get("limit"):
                break
    return missing


def headroom(needs: Mapping[str, int], region: str, known: Known) -> list[dict[str, Any]]:
    """One row a needed metric: metric, region, limit, usage, free, needed, ok, source.

    `ok` is None where nobody says a limit: absent is not zero. A limit of -1 is none at all. A Spot
    GPU counts against the standard metric where the project has no preemptible quota, as Google
    does; `metric` is then the standard one and `instead_of` the preemptible one.
    """
    rows = []
    for metric, needed in sorted(needs.items()):
        row = _row(metric, region, known)
        twin = quota_needs.standard_twin(metric)
        if twin and not row["limit"]:
            standard = _row(twin, region, known)
            if standard["limit"] is not None:
                row = standard | {"instead_of": metric}
        row["needed"] = needed
        if row["limit"] is not None:
            # A plan that needs no more fits, also where the limit was lowered below the usage.
            row["ok"] = row["free"] is None or not needed or row["free"] >= needed
        rows.append(row)
    return rows


def _row(metric: str, region: str, known: Known) -> dict[str, Any]:
    row: dict[str, Any] = {
        "metric": metric,
        "region": "global" if is_global(metric) else region,
        "limit": None,
        "usage": None,
        "free": None,
        "needed": 0,
        "ok": None,
        "source": None,
    }
    entry = known.listed(metric)
    if entry is not None:
        limit, usage = float(entry.get("limit", 0)), float(entry.get("usage", 0))
        row["source"] = COMPUTE
    elif metric in known.infos:
        _, dimensions = cloud_quotas.target(metric, region)
        said = quota_request.limit_of(known.infos[metric], dimensions)
        if said is None:
            return row
        limit, usage = float(said), float(known.counted.get(metric, 0))
        row["source"] = CLOUD_QUOTAS
    else:
        return row
    row.update(limit=_plain(limit), usage=_plain(usage))
    if limit != quota_request.UNLIMITED:
        row["free"] = _plain(limit - usage)
    return row


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) else number


def next_step(row: Mapping[str, Any], project: str, infos: Table | None = None) -> str:
    """What a person does about a row; '' where it suffices."""
    if row["ok"]:
        return ""
    where = "" if row["region"] == "global" else f", region {row['region']}"
    page = f"{CONSOLE}{project} (filter: {row['metric'].replace('/', ' ')}{where})"
    if row["ok"] is None:
        return f"nobody says its limit: look at {page}"
    info = (infos or {}).get(row["metric"], {})
    ahead = ""
    if row["source"] == COMPUTE and info:
        _, dimensions = cloud_quotas.target(row["metric"], row["region"])
        granted = quota_request.limit_of(info, dimensions)
        if granted is not None and granted > row["limit"]:
            ahead = f"Cloud Quotas says {granted} already, so wait some minutes and run again; or "
    elsewhere = "" if row["region"] == "global" else ", or choose another region"
    reason = cloud_quotas.ineligible(info)
    if reason:
        return (
            f"{ahead}Google does not let this project ask for more ({reason}), so free what is "
            f"not used{elsewhere}; see {page}"
        )
    return (
        f"{ahead}ask for a limit of {asked_for(row)} at {page} or with gce_quota_request, "
        f"free what is not used{elsewhere}"
    )


def asked_for(row: Mapping[str, Any]) -> int | float:
    """The whole limit that would suffice."""
    return _plain(float(row["usage"] + row["needed"]))


def shortfalls(rows: list[dict[str, Any]], project: str, infos: Table | None = None) -> list[str]:
    """A sentence for each metric that falls short, with the step that helps."""
    return [
        f"{row['metric']} ({row['region']}): {row['needed']} needed, {row['free']} free "
        f"(limit {row['limit']}, in use {row['usage']}). Next: "
        f"{next_step(row, project, infos)}."
        for row in rows
        if row["ok"] is False
    ]


def table(
    rows: list[dict[str, Any]], project: str, infos: Table | None = None
) -> list[dict[str, Any]]:
    """The rows for a report, with the source, the next step and how to ask for more."""
    shown = []
    for row in rows:
        quota_id, dimensions = cloud_quotas.target(row["metric"], row["region"])
        fields = ("metric", "region", "limit", "usage", "free", "needed")
        entry = {field: row[field] for field in fields}
        entry |= {
            "sufficient": row["ok"],
            "source": row["source"],
            "next_step": next_step(row, project, infos),
            "quota_id": quota_id,
            "dimensions": dimensions,
            "request": asked_for(row) if row["ok"] is False else None,
        }
        if "instead_of" in row:
            entry["instead_of"] = row["instead_of"]
        shown.append(entry)
    return shown


def lines(entries: list[dict[str, Any]]) -> list[str]:
    """The table as text: a line of headings, one for each metric, then the next steps."""
    cells = [("metric", "region", "needed", "free", "in use", "limit", "")]
    for one in entries:
        word = {True: "ok", False: "SHORT", None: "unknown"}[one["sufficient"]]
        numbers = (one["needed"], one["free"], one["usage"], one["limit"])
        unlimited = one["limit"] == quota_request.UNLIMITED
        shown = ["no limit" if unlimited and n in (None, one["limit"]) else n for n in numbers]
        cells.append(
            (one["metric"], one["region"], *("?" if n is None else str(n) for n in shown), word)
        )
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width) if i < 6 else cell
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return text + [f"{e['metric']}: {e['next_step']}." for e in entries if e["next_step"]]
