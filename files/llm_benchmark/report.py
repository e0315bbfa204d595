# SPDX-License-Identifier: Apache-2.0
"""Turns results into a summary: JSON for programs, Markdown and a page for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .summary import ratios, summarise

COLUMNS = {
    "server": "server",
    "target": "asked",
    "load": "load",
    "runs": "runs",
    "output_throughput": "output tokens/s",
    "p50_ttft_ms": "first token p50 ms",
    "p95_ttft_ms": "p95",
    "p99_ttft_ms": "p99",
    "p50_itl_ms": "between tokens p50 ms",
    "p95_itl_ms": "p95",
    "p99_itl_ms": "p99",
    "p50_e2el_ms": "total p50 ms",
    "p95_e2el_ms": "p95",
    "p99_e2el_ms": "p99",
    "failed": "failed",
}


def write(
    documents: Iterable[dict[str, Any]],
    out: Path,
    title: str,
    baseline: str | None,
    html: bool = False,
) -> list[Path]:
    """Writes summary.json and summary.md, and summary.html where asked to; returns their paths."""
    documents = list(documents)
    rows = summarise(row for document in documents for row in document["rows"])
    found = ratios(rows, baseline) if baseline else []
    summary = {
        "title": title,
        "environments": [document["environment"] for document in documents],
        "levels": rows,
        "ratios": found,
        "starts": [each for document in documents for each in document.get("starts", [])],
        "health": [each for document in documents for each in document.get("health", [])],
        "errors": _errors(row for document in documents for row in document["rows"]),
    }
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "summary.json", out / "summary.md"]
    paths[0].write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(markdown(summary), encoding="utf-8")
    if html:
        from .page import page  # noqa: PLC0415 - needs more than Python itself has

        paths.append(out / "summary.html")
        paths[2].write_text(page(summary), encoding="utf-8")
    return paths


def _errors(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """What failed requests were told, the most frequent first."""
    counted: Counter[str] = Counter()
    for row in rows:
        counted.update(row.get("errors", {}))
    return dict(counted.most_common())


def markdown(summary: dict[str, Any]) -> str:
    """The summary as one page."""
    lines = [f"# {summary['title']}", ""]
    for environment in summary["environments"]:
        said = ", ".join(f"{k} {v}" for k, v in environment.items() if v not in (None, []))
        lines += [f"Measured with: {said}.", ""]
    lines += _table(
        list(COLUMNS.values()), ([show(row.get(k)) for k in COLUMNS] for row in rows_of(summary))
    )
    if summary["ratios"]:
        lines += ["", "Output throughput against the baseline:", ""]
        lines += _table(
            ["server", "asked", "load", "baseline asked", "ratio"],
            map(ratio_of, summary["ratios"]),
        )
    if summary["starts"]:
        lines += ["", "Seconds from start to healthy:", ""]
        lines += _table(
            ["server", "compile cache", "seconds"],
            ([s["server"], s.get("cache", ""), f"{s['seconds']:.1f}"] for s in summary["starts"]),
        )
    if summary["health"]:
        lines += ["", "Times of /health meanwhile:", ""]
        lines += _table(
            ["server", "when", "samples", "p50 ms", "p99 ms", "max ms"],
            (
                [h["server"], h["when"], str(h["samples"])]
                + [_number(h[k]) for k in ("p50_ms", "p99_ms", "max_ms")]
                for h in summary["health"]
            ),
        )
    if summary["errors"]:
        lines += ["", "Requests that failed:", ""]
        lines += [f"- {count} times: {error}" for error, count in summary["errors"].items()]
    return "\n".join(lines) + "\n"


def rows_of(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The levels, each with its load in words."""
    return [row | {"load": load_of(row)} for row in summary["levels"]]


def load_of(row: dict[str, Any]) -> str:
    """`128 at once` or `10/s`."""
    return f"{row['rate']}/s" if row["loop"] == "open" else f"{row['concurrency']} at once"


def ratio_of(row: dict[str, Any]) -> list[str]:
    """The cells of one ratio."""
    return [
        *(row["server"], row["target"], load_of(row), row["baseline_target"]),
        f"{row['ratio']:.2f}",
    ]


def show(value: Any) -> str:
    """A cell's text; nothing for None."""
    return _number(value) if isinstance(value, float) else str("" if value is None else value)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
