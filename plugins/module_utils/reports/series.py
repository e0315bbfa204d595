# SPDX-License-Identifier: Apache-2.0
"""Series of several hosts' Prometheus as one table. Pure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..logs.question import HOW, length, moment

Json = dict[str, Any]

#: More values of a series Prometheus refuses to give at once.
MOST_VALUES = 11_000
#: Enough for a plot, and a file that a spreadsheet opens.
ENOUGH_VALUES = 2_000
_STEPS = (15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def window(settings: Mapping[str, Any], now: float) -> Json:
    """From when to when, in which steps; and what is wrong with the settings.

    Args:
        settings: metrics_since, metrics_until, metrics_step and metrics_series as given.
        now: seconds since 1970.

    Returns:
        {problems}, and without any also {start, end, step}
    """
    given = {name: _text(settings.get(f"metrics_{name}")) for name in ("since", "until", "step")}
    problems = _series_problems(settings.get("metrics_series"))
    times = {}
    for name, default in {"since": now - 3600, "until": now}.items():
        try:
            times[name] = moment(given[name], now) if given[name] else default
        except (ValueError, OverflowError):
            problems.append(f"metrics_{name} is {given[name]!r}, which is no time. {HOW}.")
    if not problems and times["until"] <= times["since"]:
        problems.append("metrics_until is not after metrics_since, so nothing is between them.")
    step = length(f"{given['step']}s" if given["step"].isdigit() else given["step"])
    if given["step"] and not step:
        problems.append(f"metrics_step is {given['step']!r}. Write how long it is (15s, 5m, 1h).")
    if problems:
        return {"problems": problems}
    return _stepped(times["since"], times["until"], step)


def _stepped(since: float, until: float, step: int | None) -> Json:
    seconds = until - since
    if step and seconds / step > MOST_VALUES:
        least = math.ceil(seconds / MOST_VALUES)
        return {
            "problems": [
                f"metrics_step is {step} seconds, which makes more than {MOST_VALUES} values of"
                f" each series. Take {least} seconds or more, or less time."
            ]
        }
    step = step or next((one for one in _STEPS if seconds / one <= ENOUGH_VALUES), _STEPS[-1])
    # Round times, so that rows of several hosts and runs fit together.
    start = math.ceil(since / step) * step
    return {"problems": [], "start": start, "end": max(start, int(until)), "step": step}


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _series_problems(series: Any) -> list[str]:
    if not isinstance(series, Mapping) or not series:
        return ["metrics_series is no dictionary of names and expressions of Prometheus."]
    return [
        f"metrics_series.{name} is no expression of Prometheus."
        for name, expr in series.items()
        if not isinstance(expr, str) or not expr.strip()
    ]


def report(asked: Mapping[str, Mapping[str, Any]], prometheus: str) -> Json:
    """The table, what it has of each host, and which hosts it lacks.

    Args:
        asked: host -> what the loop over the series registered, each `item` with `key`.
        prometheus: where it was asked, for people.

    Returns:
        {csv, rows, lines, failed}
    """
    failed: list[str] = []
    tables: dict[str, list[Json]] = {}
    names: list[str] = []
    for host, found in asked.items():
        results = found.get("results", [])
        wrong = _wrong(found, results, prometheus)
        if wrong:
            failed.append(f"{host}: {wrong}")
            continue
        names += [one["item"]["key"] for one in results if one["item"]["key"] not in names]
        tables[host] = _rows(host, results)
    rows = sorted(
        (row for table in tables.values() for row in table),
        key=lambda row: (row["at"], row["host"], _natural(row["labels"])),
    )
    return {
        "csv": _csv(rows, names) if tables else "",
        "rows": len(rows),
        "lines": [_line(host, table) for host, table in tables.items()],
        "failed": failed,
    }


def _wrong(found: Mapping[str, Any], results: Sequence[Mapping[str, Any]], where: str) -> str:
    """Why a host has no figures."""
    if not results:
        return str(found.get("msg") or "it was not asked")
    for one in results:
        answer = one.get("json")
        if isinstance(answer, Mapping) and answer.get("status") == "success":
            continue
        if isinstance(answer, Mapping) and answer.get("error"):
            return f"Prometheus refuses metrics_series.{one['item']['key']}: {answer['error']}"
        if one.get("unreachable") or one.get("status") is None:
            return str(one.get("msg", "no answer")).strip()
        return (
            f"no Prometheus answers on it at {where}. Set monitoring_enabled to true and run"
            " site.yml; figures are kept from then on."
        )
    return ""


def _rows(host: str, results: Sequence[Mapping[str, Any]]) -> list[Json]:
    """One for each moment and set of labels, with a value for each name."""
    found: dict[tuple[float, tuple[tuple[str, str], ...]], Json] = {}
    for one in results:
        for series in one["json"]["data"]["result"]:
            labels = {k: v for k, v in series["metric"].items() if k != "__name__"}
            key = tuple(sorted(labels.items()))
            for at, value in series["values"]:
                row = found.setdefault(
                    (at, key), {"at": at, "host": host, "labels": labels, "values": {}}
                )
                # What is no number stays empty.
                if math.isfinite(float(value)):
                    row["values"][one["item"]["key"]] = value
    return [row for row in found.values() if row["values"]]


def _natural(labels: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """In the order that people expect: GPU 2 before GPU 10."""
    return [
        (name, int(value) if value.isdigit() else -1, value)
        for name, value in sorted(labels.items())
    ]


def _csv(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    labels = sorted({name for row in rows for name in row["labels"]})
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["time", "host", *labels, *names])
    for row in rows:
        of_labels = (row["labels"].get(name, "") for name in labels)
        values = (row["values"].get(name, "") for name in names)
        writer.writerow([_time(row["at"]), row["host"], *of_labels, *values])
    return written.getvalue()


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, tz=timezone.utc):%Y-%m-%dT%H:%M:%SZ}"  # for Python 3.10


def _line(host: str, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return f"{host}: its Prometheus has nothing of these series in this time."
    first, last = (_time(pick(row["at"] for row in rows)) for pick in (min, max))
    return f"{host}: {len(rows)} rows from {first} to {last}."
