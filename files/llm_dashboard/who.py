# SPDX-License-Identifier: Apache-2.0
"""Who used how much, and what it costs: from the ledger. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .reports.usage import shares

NOBODY = "(no key)"
#: For sorting and for shares.
_COUNTS = ("requests", "refused", "server_error", "tokens_in", "tokens_out")


@dataclass
class Row:
    """One key."""

    key: str
    requests: int = 0
    refused: int = 0
    server_error: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    cost: float | None = None
    #: Of all tokens.
    share: float = 0.0

    @property
    def tokens(self) -> int:
        """Of prompts and answers."""
        return self.tokens_in + self.tokens_out


@dataclass(frozen=True)
class Cost:
    """US dollars at list price, for the time that the server ran."""

    hour: float
    today: float
    month: float
    per_million: float | None


def rows(usage: Mapping[str, Any], hour_price: float | None) -> list[Row]:
    """The keys, the one with most tokens first.

    Args:
        usage: as `usage_ledger.read` gives it, of one period.
        hour_price: USD, or None where it is not known.
    """
    costs, _ = shares(usage, hour_price)
    found: dict[str, Row] = {}
    for one, cost in zip(usage["rows"], costs, strict=True):
        row = found.setdefault(one["key"], Row(one["key"] or NOBODY))
        for name in _COUNTS:
            setattr(row, name, getattr(row, name) + one[name])
        for reason, number in one["refusals"].items():
            row.refusals[reason] = row.refusals.get(reason, 0) + number
        if cost is not None:
            row.cost = (row.cost or 0.0) + cost
    total = sum(row.tokens for row in found.values())
    for row in found.values():
        row.share = row.tokens / total if total else 0.0
    return sorted(found.values(), key=lambda row: (-row.tokens, -row.requests, row.key))


def cost(
    month: Mapping[str, Any], today: Mapping[str, Any], hour_price: float | None
) -> Cost | None:
    """What it costs; None where the price of an hour is not known."""
    if hour_price is None:
        return None
    spent = _hours(month) * hour_price
    tokens = sum(one["tokens_in"] + one["tokens_out"] for one in month["rows"])
    return Cost(
        hour_price, _hours(today) * hour_price, spent, 1e6 * spent / tokens if tokens else None
    )


def _hours(usage: Mapping[str, Any]) -> float:
    return float(sum(one["seconds"] for one in usage["ran"])) / 3600
