# SPDX-License-Identifier: Apache-2.0
"""From Prometheus' answers to what a chart and its table show. Pure but for the chart itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from . import charts, moments
from .charts import MOST_LINES, Line
from .panels import Panel, Query
from .prometheus import Series
from .units import NONE, UNITS

#: Rows of a chart's table; the newest is the last.
TABLE_ROWS = 12


@dataclass(frozen=True)
class Key:
    """One line in words: its name, and its value now, at least, and at most."""

    name: str
    css: str
    now: str
    least: str
    most: str


@dataclass(frozen=True)
class Drawn:
    """A panel as the page shows it."""

    id: str
    title: str
    says: str
    svg: str = ""
    keys: list[Key] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    #: Instead of a chart.
    remark: str = ""


def named(query: Query, series: Series) -> str:
    """What a line is called."""
    name = query.name
    for label, value in series.labels.items():
        name = name.replace(f"{{{label}}}", value.replace("_", " "))
    return name


def lines_of(answers: Sequence[tuple[Query, Sequence[Series]]]) -> list[Line]:
    """The lines of a panel; where there are too many, those with the largest values."""
    found = [
        (Line(named(query, one), one.points), query.quiet)
        for query, series in answers
        for one in series
    ]
    lines = [line for line, quiet in found if line.points and not (quiet and _is_zero(line))]
    if len(lines) > MOST_LINES:
        largest = sorted(lines, key=lambda line: -sum(value for _, value in line.points))
        lines = [line for line in lines if line in largest[:MOST_LINES]]
    return lines


def _is_zero(line: Line) -> bool:
    return all(value == 0 for _, value in line.points)


def drawn(
    panel: Panel,
    lines: Sequence[Line],
    span: moments.Span,
    *,
    objective: Series | None = None,
    events: Sequence[float] = (),
    remark: str = "",
    quiet: bool = False,
) -> Drawn:
    """A panel with its chart and its table.

    Args:
        objective: the bound as a line, where the panel has one in its own unit.
        events: moments that are marked.
        remark: why there is nothing to draw.
        quiet: there were values, and all were zero.
    """
    written = UNITS[panel.unit]
    if not lines:
        none = "Nothing of it in this time." if quiet else "No data in this time."
        return Drawn(panel.id, panel.title, panel.says, remark=remark or none)
    keys = [_key(line, number, span, written) for number, line in enumerate(lines)]
    if objective is not None and objective.points:
        keys.append(Key("objective", "objective", _now(objective.points, span, written), "", ""))
    return Drawn(
        panel.id,
        panel.title,
        panel.says,
        charts.svg(lines, span, written, objective=objective, events=events, most=panel.most),
        keys,
        [line.name for line in lines],
        _table(lines, span, written),
    )


def _key(line: Line, number: int, span: moments.Span, written: Callable[[float], str]) -> Key:
    values = [value for _, value in line.points]
    return Key(
        line.name, f"serie-{number}", _now(line.points, span, written), written(min(values)),
        written(max(values)),
    )  # fmt: skip


def _now(
    points: Sequence[tuple[float, float]], span: moments.Span, written: Callable[[float], str]
) -> str:
    value = moments.now(points, span)
    return NONE if value is None else written(value)


def _table(
    lines: Sequence[Line], span: moments.Span, written: Callable[[float], str]
) -> list[list[str]]:
    apart = max(1, round(span.seconds / span.step / TABLE_ROWS)) * span.step
    known: list[Mapping[int, float]] = [{round(at): v for at, v in line.points} for line in lines]
    form = "%H:%M:%S" if span.seconds <= 86400 else "%d %b %H:%M"
    rows = []
    for at in range(span.end, span.start - 1, -apart):
        values = [one.get(at) for one in known]
        if any(value is not None for value in values):
            cells = ["" if value is None else written(value) for value in values]
            rows.append([moments.text(at, form), *cells])
    return rows
