# SPDX-License-Identifier: Apache-2.0
"""Who used how much, over all hosts, and what share of the cost that is. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]

COUNTS = (
    "requests",
    "ok",
    "client_error",
    "server_error",
    "client_gone",
    "refused",
    "tokens_in",
    "tokens_out",
)
_HEAD = ("key", "model", "requests", "refused", "failed", "tokens in", "tokens out")
NO_KEY = "(no key)"
CENT = 0.01
#: What a share of the cost is, and what it leaves out.
COST_NOTE = (
    "cost: list price of the instance as it is now, for the time that the server ran, shared by"
    " tokens. Time without the server, other machine types of before, traffic, discounts and taxes"
    " are not in it."
)


def report(hosts: Iterable[Mapping[str, Any]]) -> Json:
    """`document`, `lines` and `csv`.

    Args:
        hosts: of each its `host`, its `usage` as the module llm_usage_info returns it (None where
            it could not be read), and its `hour_price` in USD (None where that is not known).
    """
    known = list(hosts)
    rows: dict[tuple[str, str, str], Json] = {}
    unshared = 0.0
    for one in known:
        usage = one.get("usage") or {}
        costs, rest = shares(usage, one.get("hour_price"))
        unshared += rest or 0.0
        for row, cost in zip(usage.get("rows", []), costs, strict=True):
            _add(rows, row, cost)
    ordered = [rows[name] for name in sorted(rows)]
    for row in ordered:
        row["cost"] = None if row["cost"] is None else round(row["cost"], 6)
    read = [one["usage"] for one in known if one.get("usage")]
    document: Json = {
        "first": min((one["first"] for one in read), default=None),
        "last": max((one["last"] for one in read), default=None),
        "by": read[0]["by"] if read else None,
        "hosts": [_host(one) for one in known],
        "rows": ordered,
        "total": {name: sum(row[name] for row in ordered) for name in COUNTS},
        "cost": _cost(known, ordered, unshared),
    }
    return {"document": document, "lines": lines(document), "csv": table(ordered)}


def shares(usage: Mapping[str, Any], hour_price: float | None) -> tuple[list[float | None], float]:
    """What of the cost falls to each row, and what to none, since nobody used a token."""
    rows = usage.get("rows", [])
    if hour_price is None:
        return [None] * len(rows), 0.0
    spent: dict[str, float] = {}
    for one in usage.get("ran", []):
        spent[one["period"]] = spent.get(one["period"], 0.0) + one["seconds"] / 3600 * hour_price
    tokens: dict[str, int] = {}
    for row in rows:
        tokens[row["period"]] = tokens.get(row["period"], 0) + _tokens(row)
    found: list[float | None] = [
        spent.get(row["period"], 0.0) * _tokens(row) / (tokens[row["period"]] or 1) for row in rows
    ]
    return found, sum(cost for period, cost in spent.items() if not tokens.get(period))


def _tokens(row: Mapping[str, Any]) -> int:
    return int(row["tokens_in"]) + int(row["tokens_out"])


def _add(
    rows: dict[tuple[str, str, str], Json], row: Mapping[str, Any], cost: float | None
) -> None:
    name = (row["period"], row["key"], row["model"])
    if name not in rows:
        rows[name] = {**row, "refusals": dict(row["refusals"]), "cost": cost}
        return
    there = rows[name]
    for count in COUNTS:
        there[count] += row[count]
    for reason, number in row["refusals"].items():
        there["refusals"][reason] = there["refusals"].get(reason, 0) + number
    # Half of a cost is none.
    there["cost"] = None if cost is None or there["cost"] is None else there["cost"] + cost


def _host(one: Mapping[str, Any]) -> Json:
    usage = one.get("usage") or {}
    return {
        "host": one["host"],
        "read": bool(one.get("usage")),
        "exists": usage.get("exists", False),
        "since": usage.get("since"),
        "ran_hours": round(sum(ran["seconds"] for ran in usage.get("ran", [])) / 3600, 2),
        "hour_price": one.get("hour_price"),
    }


def _cost(hosts: list[Mapping[str, Any]], rows: list[Json], unshared: float) -> Json | None:
    """None where the price of a host is not known: part of it would pass for all."""
    if not hosts or any(one.get("hour_price") is None for one in hosts):
        return None
    shared = sum(row["cost"] for row in rows)
    return {
        "currency": "USD",
        "list_price": True,
        "total": round(shared + unshared, 6),
        "shared": round(shared, 6),
        "without_tokens": round(unshared, 6),
        "note": COST_NOTE,
    }


def lines(document: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    missing = [
        f"{one['host']}: has no ledger yet"
        if one["read"]
        else f"{one['host']}: not read; it is not in these figures"
        for one in document["hosts"]
        if not one["exists"]
    ]
    rows = document["rows"]
    if not rows:
        span = f" from {document['first']} to {document['last']}" if document["first"] else ""
        return [f"No request was counted{span} (UTC).", *missing]
    cost = document["cost"]
    cells = [[document["by"], *_HEAD, *(["USD"] if cost else [])]]
    cells += [_cells(row["period"], row["key"] or NO_KEY, row["model"], row, cost) for row in rows]
    if len(rows) > 1:
        total = {**document["total"], "cost": cost and cost["shared"]}
        cells.append(_cells("total", "", "", total, cost))
    return [
        f"{document['first']} to {document['last']}, UTC",
        *_aligned(cells),
        *_refusals(rows),
        *_cost_lines(cost),
        *_late(document),
        *missing,
    ]


def _cells(period: str, key: str, model: str, row: Mapping[str, Any], cost: Any) -> list[str]:
    failed = row["client_error"] + row["server_error"] + row["client_gone"]
    numbers = (row["requests"], row["refused"], failed, row["tokens_in"], row["tokens_out"])
    return [period, key, model, *map(str, numbers), *([f"{row['cost']:.2f}"] if cost else [])]


def _aligned(cells: list[list[str]]) -> list[str]:
    widths = [max(len(row[number]) for row in cells) for number in range(len(cells[0]))]
    return [
        "  ".join(
            cell.ljust(width) if number < 3 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _refusals(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why requests of each key were refused."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        for reason, number in row["refusals"].items():
            reasons = found.setdefault(row["key"] or NO_KEY, {})
            reasons[reason] = reasons.get(reason, 0) + number
    return [
        f"refused, {key}: " + ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
        for key, reasons in sorted(found.items())
    ]


def _cost_lines(cost: Mapping[str, Any] | None) -> list[str]:
    if cost is None:
        return ["cost: not known, because the price of an hour is not (usage_hour_price)"]
    rest = cost["without_tokens"]
    if rest < CENT / 2:
        return [cost["note"]]
    return [f"cost of periods in which nobody used a token: USD {rest:.2f}", cost["note"]]


def _late(document: Mapping[str, Any]) -> list[str]:
    return [
        f"{one['host']}: counted since {one['since']}"
        for one in document["hosts"]
        if one["since"] and one["since"] > document["first"]
    ]


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as CSV."""
    written = io.StringIO()
    names = ("period", "key", "model", *COUNTS, "refusals", "cost_usd")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        refusals = ";".join(f"{reason}={n}" for reason, n in sorted(row["refusals"].items()))
        cost = "" if row["cost"] is None else f"{row['cost']:.6f}"
        head = [row[name] for name in ("period", "key", "model", *COUNTS)]
        writer.writerow([*head, refusals, cost])
    return written.getvalue()
