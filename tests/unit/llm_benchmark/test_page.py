# SPDX-License-Identifier: Apache-2.0
"""The report's plots and its page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

from llm_benchmark.plots import Plot, plots
from llm_benchmark.report import write
from llm_benchmark.summary import summarise

SVG = "{http://www.w3.org/2000/svg}"


def row(concurrency: int | None, rate: float | None = None, **more: Any) -> dict[str, Any]:
    """A run whose figures can be told apart."""
    return {
        "server": "s",
        "target": "completions",
        "loop": "closed" if rate is None else "open",
        "concurrency": concurrency,
        "rate": rate,
        "run": 1,
        "input_tokens": 4,
        "output_tokens": 2,
        "completed": 8,
        "failed": 0,
        "output_throughput": 1000.5,
        **{f"p{p}_{m}_ms": p * 2.0 for p in (50, 95, 99) for m in ("ttft", "itl", "e2el")},
    } | more


def test_each_loop_has_throughput_and_each_latency() -> None:
    drawn = plots(summarise([row(1), row(8), row(None, 2.5)]))
    assert [(plot.title, plot.x_title) for plot in drawn[::4]] == [
        ("Output throughput", "requests at once"),
        ("Output throughput", "requests a second"),
    ]
    assert len(drawn) == 8
    assert drawn[0].levels == (1, 8)
    assert drawn[1].lines == {"p50": (100, 100), "p95": (190, 190), "p99": (198, 198)}


def test_of_answers_in_one_piece_there_is_no_first_token() -> None:
    whole = row(1)
    whole = {name: value for name, value in whole.items() if "ttft" not in name}
    titles = [plot.title for plot in plots(summarise([whole]))]
    assert not [title for title in titles if "first token" in title]
    assert len(titles) == 3


def test_levels_that_one_server_lacks_are_gaps() -> None:
    drawn = plots(summarise([row(8), row(1), row(8, server="other")]))
    assert drawn[0].levels == (1, 8)
    assert drawn[0].lines["other completions"] == (None, 1000.5)


def test_a_plot_shows_its_values_without_scripts() -> None:
    root = fromstring(  # noqa: S314 - it is ours
        Plot("A title", "at once", "ms", (1, 8), {"p50": (1.5, 250.0), "p99": (3.0, None)}).svg()
    )
    said = {element.text for element in root.iter(f"{SVG}title")}
    assert {"1: 1.5", "8: 250", "1: 3"} <= said
    assert not list(root.iter(f"{SVG}script"))


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    document = {
        "environment": {"vllm": "0.1", "gpus": ["one", "two"], "python": None},
        "rows": [
            row(1, errors={"429 <Too Many>": 3}),
            row(8),
            row(1, errors={"429 <Too Many>": 1}),
        ],
    }
    *_, page = write([document], tmp_path, "Load of <b>", None, html=True)
    text = page.read_text()
    assert "<h1>Load of &lt;b&gt;</h1>" in text
    assert "4 times: 429 &lt;Too Many&gt;" in text
    assert "gpus one; two." in text
    assert text.count("<svg ") == 4
    # Names of XML vocabularies are no addresses: nothing is fetched from them.
    used = set(re.findall(r"https?://[^\"' <)]*", text))
    assert used == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"(src|href)=|url\(|@import|<script|<link", text)


def test_the_markdown_lists_what_failed(tmp_path: Path) -> None:
    document = {"environment": {}, "rows": [row(1, errors={"429 Too Many Requests": 3})]}
    _, page = write([document], tmp_path, "A title", None)
    assert "- 3 times: 429 Too Many Requests" in page.read_text()
