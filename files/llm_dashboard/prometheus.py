# SPDX-License-Identifier: Apache-2.0
"""What this host's Prometheus and Alertmanager answer, as series and as alerts."""

from __future__ import annotations

import math
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .local import UnavailableError
from .moments import Span


@dataclass(frozen=True)
class Series:
    """One line: labels, and a value at each moment where there was one."""

    labels: Mapping[str, str] = field(default_factory=dict)
    points: tuple[tuple[float, float], ...] = ()

    @property
    def last(self) -> float | None:
        """The newest value, however old: `moments.now` is for what is shown as that of now."""
        return self.points[-1][1] if self.points else None


class Prometheus:
    """Its query API."""

    def __init__(self, url: str, fetch: Callable[[str], Any]) -> None:
        self._url = url
        self._fetch = fetch

    def over(self, expr: str, span: Span) -> list[Series]:
        """A line for each set of labels.

        Raises:
            UnavailableError: Prometheus does not answer, or refuses the expression.
        """
        return self._ask(
            "query_range",
            query=windowed(expr, span),
            start=str(span.start),
            end=str(span.end),
            step=str(span.step),
        )

    def at(self, expr: str, span: Span, moment: float) -> list[Series]:
        """The same at one moment."""
        return self._ask("query", query=windowed(expr, span), time=f"{moment:.0f}")

    def _ask(self, path: str, **parameters: str) -> list[Series]:
        asked = urllib.parse.urlencode(parameters)
        return parsed(self._fetch(f"{self._url}/api/v1/{path}?{asked}"))


def windowed(expr: str, span: Span) -> str:
    """The expression for a span's rates."""
    return expr.replace("WINDOW", f"{span.window}s")


def parsed(answer: Any) -> list[Series]:
    """Prometheus' answer as series; a value that is no number is as none.

    Raises:
        UnavailableError: it is no answer of Prometheus.
    """
    try:
        found = answer["data"]["result"]
        return [_series(one) for one in found]
    except (KeyError, TypeError, ValueError) as error:
        raise UnavailableError(f"not understood: {type(error).__name__}") from None


def _series(one: Mapping[str, Any]) -> Series:
    pairs = one["values"] if "values" in one else [one["value"]]
    points = ((float(at), float(value)) for at, value in pairs)
    labels = {name: value for name, value in one["metric"].items() if name != "__name__"}
    return Series(labels, tuple((at, value) for at, value in points if math.isfinite(value)))


def alerts(answer: Any) -> list[dict[str, Any]]:
    """Alertmanager's alerts, the worst first; those that are silenced or inhibited say so.

    Raises:
        UnavailableError: it is no answer of Alertmanager.
    """
    try:
        found = [
            {
                "name": one["labels"]["alertname"],
                "severity": one["labels"].get("severity", ""),
                "summary": one["annotations"].get("summary", ""),
                "description": one["annotations"].get("description", ""),
                "command": one["annotations"].get("command", ""),
                "since": one["startsAt"],
                "quiet": one["status"]["state"] == "suppressed",
            }
            for one in answer
        ]
    except (KeyError, TypeError) as error:
        raise UnavailableError(f"not understood: {type(error).__name__}") from None
    order = {"critical": 0, "warning": 1}
    return sorted(
        (one for one in found if one["severity"] != "none"),
        key=lambda one: (one["quiet"], order.get(one["severity"], 2), one["name"]),
    )
