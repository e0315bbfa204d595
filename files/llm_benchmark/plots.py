# SPDX-License-Identifier: Apache-2.0
"""Plots of a summary's levels, as SVG that can stand inside a page. Needs pygal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import pygal
from pygal.style import Style

from .load import PERCENTILES

#: What is drawn: the tool's name for the figure → the plot's title. Milliseconds.
LATENCIES = {"ttft": "Time to first token", "itl": "Inter-token latency", "e2el": "Total latency"}

#: How a loop's levels are told apart, and what the axis is called.
AXES = {
    "closed": ("concurrency", "requests at once"),
    "open": ("rate", "requests a second"),
    "batch": ("concurrency", "requests in one batch"),
}

#: Okabe and Ito's colours, which the colour-blind can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

#: Of the legend below a plot.
COLUMNS = 3


@dataclass(frozen=True)
class Plot:
    """One plot; `lines` gives each line's name and its value at each of `levels`."""

    title: str
    x_title: str
    y_title: str
    levels: tuple[float, ...]
    lines: dict[str, tuple[float | None, ...]]

    def svg(self) -> str:
        """The plot as an `svg` element without scripts, comments and addresses."""
        font = "system-ui, sans-serif"
        chart = pygal.Line(
            style=Style(
                background="transparent",
                plot_background="transparent",
                colors=COLORS,
                font_family=font,
                guide_stroke_color="#dddddd",
                major_guide_stroke_color="#bbbbbb",
            ),
            title=self.title,
            x_title=self.x_title,
            y_title=self.y_title,
            range=(0, None),
            include_x_axis=True,
            legend_at_bottom=True,
            legend_at_bottom_columns=COLUMNS,
            # Of a legend's rows pygal makes no room for one that is not full.
            margin_bottom=40 if len(self.lines) % COLUMNS else 20,
            value_formatter=_value,
            width=640,
            height=400,
            js=[],
        )
        chart.x_labels = [f"{level:g}" for level in self.levels]
        for name, values in self.lines.items():
            chart.add(name, list(values))
        root: Element = chart.render_tree()
        _clean(root)
        return tostring(root, encoding="unicode")


def plots(levels: Sequence[dict[str, Any]]) -> list[Plot]:
    """The plots of a summary's rows: for each loop the throughput, and each latency by target."""
    found = []
    for loop in dict.fromkeys(row["loop"] for row in levels):
        rows = [row for row in levels if row["loop"] == loop]
        servers = dict.fromkeys(row["server"] for row in rows)
        asked = list(dict.fromkeys((row["server"], row["target"]) for row in rows))
        speeds = {
            _name(servers, server, target): ("output_throughput", server, target)
            for server, target in asked
        }
        found.append(_plot("Output throughput", "tokens a second", loop, rows, speeds))
        for target in dict.fromkeys(target for _, target in asked):
            for metric, title in LATENCIES.items():
                times = {
                    _name(servers, server, f"p{percent}"): (
                        f"p{percent}_{metric}_ms",
                        server,
                        target,
                    )
                    for server in servers
                    for percent in PERCENTILES
                }
                found.append(_plot(f"{title}, {target}", "ms", loop, rows, times))
    return [plot for plot in found if plot.lines]


def _plot(
    title: str,
    unit: str,
    loop: str,
    rows: Sequence[dict[str, Any]],
    lines: dict[str, tuple[str, str, str]],
) -> Plot:
    """One plot; `lines` says of each line which figure of which server and target it shows."""
    key, x_title = AXES[loop]
    levels = tuple(sorted({row[key] for row in rows}))
    drawn = {}
    for name, (figure, server, target) in lines.items():
        found = {
            row[key]: row.get(figure)
            for row in rows
            if row["server"] == server and row["target"] == target
        }
        values = tuple(found.get(level) for level in levels)
        if any(value is not None for value in values):
            drawn[name] = values
    return Plot(title, x_title, unit, levels, drawn)


def _name(servers: Iterable[str], server: str, what: str) -> str:
    """Of one server alone, nobody needs to be told its name."""
    return what if len(list(servers)) == 1 else f"{server} {what}"


def _value(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _clean(root: Element) -> None:
    """Drops scripts and comments; gives each dot a `title`, which browsers show without scripts."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] == "script":
                parent.remove(child)
        said = [child.text or "" for child in parent if child.get("class") in {"value", "x_label"}]
        if said and isinstance(parent.tag, str):
            SubElement(parent, "title").text = ": ".join(reversed(said))
