# SPDX-License-Identifier: Apache-2.0
"""Lines over time as SVG that has no style, script, address or comment of its own. Needs pygal.

Colours, dashes and letters come from style.css by the classes that pygal gives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, tostring

import pygal
from pygal.style import Style

from . import moments
from .prometheus import Series

WIDTH, HEIGHT = 560, 200
#: Lines that can be told apart.
MOST_LINES = 8
#: Only for the room that pygal leaves for letters; style.css writes them no larger.
_STYLE = Style(label_font_size=14, major_label_font_size=14)
_STEPS = (1, 2, 2.5, 5, 10)
_NUMBERS = re.compile(r"-?\d+\.\d+")
#: What pygal adds for its own scripts and styles.
_UNUSED = {"defs", "script", "style", "desc", "title"}
_UNUSED_CLASSES = {"background", "titles", "plot overlay", "plot text-overlay"}
_KEPT = {"class", "d", "viewBox", "transform", "x", "y", "cx", "cy", "r", "text-anchor"}


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    points: tuple[tuple[float, float], ...]


def ticks(most: float) -> list[float]:
    """Marks from zero to a round number that is not below."""
    if most <= 0 or not math.isfinite(most):
        return [0.0, 1.0]
    raw = most / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * one for one in _STEPS if size * one >= raw * (1 - 1e-9))
    return [round(step * number, 12) for number in range(math.ceil(most / step - 1e-9) + 1)]


def highest(lines: Sequence[Line]) -> float:
    """The largest value of all."""
    return max((value for line in lines for _, value in line.points), default=0.0)


def svg(
    lines: Sequence[Line],
    span: moments.Span,
    written: Callable[[float], str],
    *,
    objective: Series | None = None,
    events: Sequence[float] = (),
    most: float | None = None,
) -> str:
    """A chart; classes `serie-N` are its lines, `objective` and `event` the rest."""
    bound = tuple(objective.points) if objective else ()
    marks = ticks(most or max(highest(lines), *(value for _, value in bound), 0.0))
    chart = pygal.XY(
        width=WIDTH, height=HEIGHT, margin=8, js=[], css=[], show_legend=False, show_dots=False,
        allow_interruptions=True, value_formatter=written, range=(0, marks[-1]),
        xrange=(span.start, span.end), include_x_axis=True, no_data_text="", style=_STYLE,
    )  # fmt: skip
    chart.x_labels = [{"value": at, "label": text} for at, text in moments.ticks(span)]
    chart.y_labels = [{"value": at, "label": written(at)} for at in marks]
    for line in lines:
        chart.add(line.name, _interrupted(line.points, span.step))
    names = [f"serie-{number}" for number in range(len(lines))]
    if bound:
        chart.add("objective", list(bound))
        names.append("objective")
    inside = [at for at in events if span.start <= at <= span.end]
    if inside:
        chart.add("events", [one for at in inside for one in _mark(at, marks[-1])])
        names.append("event")
    root: Element = chart.render_tree()
    _clean(root, names)
    text = tostring(root, encoding="unicode").replace(' xmlns="http://www.w3.org/2000/svg"', "")
    return _NUMBERS.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), text)


def spark(line: Line, span: moments.Span) -> str:
    """A line without axes, from zero."""
    chart = pygal.XY(
        width=160, height=36, margin=2, js=[], css=[], show_legend=False, show_dots=False,
        allow_interruptions=True, show_x_labels=False, show_y_labels=False, show_x_guides=False,
        show_y_guides=False, range=(0, highest([line]) or 1), xrange=(span.start, span.end),
        no_data_text="",
    )  # fmt: skip
    chart.add(line.name, _interrupted(line.points, span.step))
    root: Element = chart.render_tree()
    _clean(root, ["serie-0"])
    for parent in list(root.iter()):
        for child in list(parent):
            if str(child.get("class", "")).startswith("axis"):
                parent.remove(child)
    text = tostring(root, encoding="unicode").replace(' xmlns="http://www.w3.org/2000/svg"', "")
    return _NUMBERS.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), text)


def _mark(at: float, top: float) -> list[tuple[float, float | None]]:
    return [(at, 0.0), (at, top), (at, None)]


def _interrupted(
    points: Sequence[tuple[float, float]], step: float
) -> list[tuple[float, float | None]]:
    """The points, with a gap where values are missing; one alone becomes a short line."""
    found: list[tuple[float, float | None]] = []
    begins = True
    for number, (at, value) in enumerate(points):
        following = points[number + 1][0] if number + 1 < len(points) else math.inf
        found.append((at, value))
        gap = following - at > 1.5 * step
        if gap and begins:
            found.append((at + step / 2, value))
        if gap and following < math.inf:
            found.append((at + step / 2, None))
        begins = gap
    return found


def _clean(root: Element, names: Sequence[str]) -> None:
    """Leaves what is seen, with the classes that style.css knows."""
    kept = dict(root.attrib)
    root.attrib.clear()
    root.set("viewBox", kept["viewBox"])
    root.set("aria-hidden", "true")
    for parent in list(root.iter()):
        for child in list(parent):
            if _unused(child):
                parent.remove(child)
            else:
                _rename(child, names)
                for name in set(child.attrib) - _KEPT:
                    del child.attrib[name]


def _unused(one: Any) -> bool:
    if not isinstance(one.tag, str) or one.tag.rpartition("}")[2] in _UNUSED:
        return True
    named = str(one.get("class", ""))
    return named in _UNUSED_CLASSES or "tooltip" in named


def _rename(one: Element, names: Sequence[str]) -> None:
    found = re.fullmatch(r"series serie-(\d+) color-\d+", str(one.get("class", "")))
    if found:
        one.set("class", names[int(found[1])])
    elif "line" in str(one.get("class", "")).split() and one.tag.endswith("path"):
        # An axis has such a class, too.
        one.set("class", "line" if "reactive" in str(one.get("class")) else str(one.get("class")))
