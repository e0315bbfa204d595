# SPDX-License-Identifier: Apache-2.0
"""The four figures on top, each with its trend. Pure but for the sparkline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import charts, moments, units
from .moments import Span
from .prometheus import Series
from .who import Cost

Written = Callable[[float], str]
#: Smaller changes are called none.
_SAME = 0.02


@dataclass(frozen=True)
class Figure:
    """A title, a value, what stands beside it, and whether it is as it should be."""

    id: str
    title: str
    value: str
    beside: list[str]
    svg: str = ""
    good: bool = True


def figures(
    now: Mapping[str, Series | None],
    before: Mapping[str, float | None],
    objective: float | None,
    cost: Cost | None,
    span: Span,
    *,
    priced: bool = False,
) -> list[Figure]:
    """Requests, first token, tokens and cost.

    Args:
        now: each of `panels.FIGURES` over the span.
        before: its mean over the span before that.
        objective: seconds for the first token.
        priced: the price of an hour is known, also where the cost is not.
    """
    requests = _now(now.get("requests"), span)
    refused = _now(now.get("refused"), span)
    first_token = _now(now.get("first_token"), span)
    # Of no requests none is refused; where nothing is known of them, nothing is of refusals.
    turned_away = [] if requests is None else [f"{units.share(refused or 0)} refused"]
    slow = None not in (first_token, objective) and (first_token or 0) > (objective or 0)
    bound = [] if objective is None else [f"objective {units.seconds(objective)}"]
    if slow:
        bound.append("slower than the objective")
    rate = _Shown(span, now, before, _rate)
    time = _Shown(span, now, before, units.seconds)
    return [
        rate.figure("requests", "Requests", turned_away),
        time.figure("first_token", "First token, p95", bound, good=not slow),
        rate.figure("tokens", "Tokens generated", []),
        _cost(cost, priced),
    ]


def _rate(value: float) -> str:
    return f"{units.number(value)}/s"


def _now(series: Series | None, span: Span) -> float | None:
    return moments.now(series.points, span) if series else None


@dataclass(frozen=True)
class _Shown:
    span: Span
    now: Mapping[str, Series | None]
    before: Mapping[str, float | None]
    written: Written

    def figure(self, name: str, title: str, beside: list[str], *, good: bool = True) -> Figure:
        series = self.now.get(name)
        line = charts.Line(title, series.points if series else ())
        mean = sum(value for _, value in line.points) / len(line.points) if line.points else None
        value = _now(series, self.span)
        none = units.NONE if line.points else "no data"
        return Figure(
            name,
            title,
            none if value is None else self.written(value),
            [*beside, *trend(mean, self.before.get(name), self.span.words, self.written)],
            charts.spark(line, self.span) if line.points else "",
            good,
        )


def trend(mean: float | None, before: float | None, words: str, written: Written) -> list[str]:
    """The mean against that of the time before, in words."""
    if mean is None:
        return []
    text = f"mean {written(mean)}"
    if before is None:
        return [text]
    if abs(mean - before) <= _SAME * abs(before):
        return [f"{text}, as in the {words} before"]
    if before == 0:
        return [f"{text}, after none in the {words} before"]
    arrow, more = ("▲", "more") if mean > before else ("▼", "less")
    return [f"{text}, {arrow} {units.share(abs(mean / before - 1))} {more} than the {words} before"]


def _cost(cost: Cost | None, priced: bool) -> Figure:
    if cost is None:
        beside = [] if priced else ["set monitoring_hour_price"]
        return Figure("cost", "Cost", "not known", beside)
    million = "" if cost.per_million is None else units.money(cost.per_million)
    return Figure(
        "cost",
        "Cost, list price",
        f"{units.money(cost.hour)}/h",
        [
            f"today {units.money(cost.today)}",
            f"this month {units.money(cost.month)}",
            f"{million} per million tokens this month" if million else "no tokens this month",
        ],
    )
