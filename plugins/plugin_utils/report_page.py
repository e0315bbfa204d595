# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2


def page(template: str, document: Mapping[str, Any]) -> str:
    """The page's text. What hosts say is text there, whatever it looks like.

    Args:
        template: the page, in Jinja.
        document: what `reports.deployment.document` returns.
    """
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["shown"] = shown
    return environment.from_string(template).render(**document)


def shown(value: Any, money: bool = False) -> str:
    """A cell's text; a dash for what is not known."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if money and isinstance(value, int | float):
        return f"{value:,.2f}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(shown, value)) if isinstance(value, list | tuple) else str(value)
