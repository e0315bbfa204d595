# SPDX-License-Identifier: Apache-2.0
"""What has to be true of the figures, and a short text of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_dashboard.panels import GPU, SECTIONS

from tests.support.dashboard_tab import MOST_BYTES

#: How far counts may be apart: what was counted after the last look before a restart is lost.
MOST_APART = 0.02
MOST_PAINT_MS = 1000.0
COUNTS = ("requests", "refused", "wrong", "prompt", "generation")
_NAMES = {
    "requests": "requests answered",
    "refused": "refused: 401, 403, 429, 503",
    "wrong": "wrong requests: 400",
    "prompt": "tokens of prompts",
    "generation": "tokens of answers",
}


@dataclass(frozen=True)
class Goal:
    """A figure, what it may be, and whether it is."""

    what: str
    found: str
    wanted: str
    met: bool


def apart(sent: int, seen: int) -> float:
    """How far a count is from the load's own, as a share of that."""
    return abs(seen - sent) / sent if sent else float(seen != sent)


def goals(figures: dict[str, Any]) -> list[Goal]:
    """Each goal, in the order of the text."""
    return list(_goals(figures))


def _goals(figures: dict[str, Any]) -> Iterator[Goal]:
    page, during = figures["page"], figures["under_load"]
    gpus = {panel.id for panel in GPU.panels}
    panels = {panel.id for section in SECTIONS for panel in section.panels} - gpus
    without = sorted(panels - set(page["drawn"]))
    yield Goal(
        "panels with data, without those of GPUs",
        f"{len(panels) - len(without)} of {len(panels)}" + _list(without),
        "all",
        not without,
    )
    for word in COUNTS:
        sent, seen = figures["sent"][word], figures["prometheus"][word]
        far = apart(sent, seen)
        yield Goal(
            f"{_NAMES[word]}: Prometheus / the load's own",
            f"{seen:,} / {sent:,} ({100 * far:.1f} % apart)",
            f"at most {100 * MOST_APART:.0f} % apart, and some",
            far <= MOST_APART and sent > 0,
        )
    yield Goal(
        "page with style and script, compressed",
        f"{page['bytes'] / 1000:.1f} kB",
        f"less than {MOST_BYTES // 1000} kB",
        page["bytes"] < MOST_BYTES,
    )
    middle = statistics.median(page["paint_ms"])
    yield Goal(
        "first paint, middle of those of new pages",
        f"{middle:.0f} ms",
        f"less than {MOST_PAINT_MS:.0f} ms",
        middle < MOST_PAINT_MS,
    )
    for what, found in (
        ("messages on the console", during["console"] + page["console"]),
        ("serious or critical barriers that axe finds", page["barriers"]),
        ("sources that did not answer", page["remarks"]),
        ("views that are too wide", [name for name, px in during["too_wide_px"].items() if px]),
        ("alerts that fired while it was healthy", figures["alerts"]["healthy"]),
    ):
        yield Goal(what, f"{len(found)}" + _list(found), "none", not found)
    yield Goal(
        "starts among the page's events", str(page["starts"]), "at least 1", page["starts"] >= 1
    )


def _list(found: list[str]) -> str:
    return f": {', '.join(found)}" if found else ""


def write(folder: Path, figures: dict[str, Any], found: list[Goal]) -> None:
    """The figures for programs, and for people."""
    folder.mkdir(parents=True, exist_ok=True)
    document = figures | {"goals": [vars(goal) for goal in found]}
    (folder / "figures.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(text(figures, found), encoding="utf-8")


def text(figures: dict[str, Any], found: list[Goal]) -> str:
    """The figures in short."""
    during, page = figures["under_load"]["paint_ms"], figures["page"]["paint_ms"]
    around = ", ".join(figures["alerts"]["restart"]) or "none"
    lines = [
        f"# The demo's dashboard under {figures['minutes']:g} minutes of a mixed load",
        "",
        f"`python -m benchmarks.watched_load --minutes {figures['minutes']:g}`, {figures['date']}."
        " Two keys asked, streamed and whole, with mistakes.",
        "The service was restarted in the middle. Counts of Prometheus are from its raw samples.",
        "",
        "| what | found | wanted | |",
        "| --- | --- | --- | --- |",
        *(
            f"| {goal.what} | {goal.found} | {goal.wanted} | {'met' if goal.met else 'MISSED'} |"
            for goal in found
        ),
        "",
        f"- First paints under the load: {_times(during.values())} ({', '.join(during)}).",
        f"- First paints after it: {_times(page)}.",
        f"- The restart took {figures['restart_s']:.0f} s until the server was ready."
        f" Requests without an answer meanwhile: {sum(figures['unanswered'].values())}.",
        f"- Alerts that fired around the restart: {around}.",
        "",
    ]
    return "\n".join(lines)


def _times(found: Iterable[float]) -> str:
    return ", ".join(f"{ms:.0f} ms" for ms in found)
