# SPDX-License-Identifier: Apache-2.0
"""The summary as one HTML page that loads nothing. Needs pygal and Jinja."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from .plots import plots
from .report import COLUMNS, load_of, ratio_of, show


def page(summary: dict[str, Any]) -> str:
    """The page's text; `summary` is what `report.write` writes as JSON."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html.j2").render(
        summary=summary,
        columns=COLUMNS,
        rows=[
            {name: show(({"load": load_of(row)} | row).get(name)) for name in COLUMNS}
            for row in summary["levels"]
        ],
        ratios=[ratio_of(row) for row in summary["ratios"]],
        plots=[(plot.title, plot.svg()) for plot in plots(summary["levels"])],
    )
