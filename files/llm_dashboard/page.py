# SPDX-License-Identifier: Apache-2.0
"""Writes the pages. Needs Jinja; everything that is not ours is escaped."""

from __future__ import annotations

from pathlib import Path

import jinja2

from . import moments, units
from .board import View

FOLDER = Path(__file__).parent


class Pages:
    """The templates, read once."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self._environment.filters |= {
            "money": units.money,
            "number": units.number,
            "share": units.share,
            "thousands": lambda value: f"{value:,}",
        }

    def board(self, view: View) -> str:
        """The page itself."""
        ranges = [(word, name) for word, (_, name) in moments.RANGES.items()]
        return self._environment.get_template("page.html.j2").render(view=view, ranges=ranges)

    def login(self, problem: str = "") -> str:
        """Where the key is given."""
        return self._environment.get_template("login.html.j2").render(problem=problem)
