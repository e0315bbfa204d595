# SPDX-License-Identifier: Apache-2.0
"""Which time a page shows, and in what steps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone

#: What a person can choose: word → seconds, and how so long a time is called.
RANGES = {
    "15m": (900, "15 minutes"),
    "1h": (3600, "1 hour"),
    "6h": (6 * 3600, "6 hours"),
    "24h": (24 * 3600, "24 hours"),
    "7d": (7 * 86400, "7 days"),
    "30d": (30 * 86400, "30 days"),
}
DEFAULT = "1h"
#: Points of a line; more are not seen on a screen.
POINTS = 120
#: Marks on an axis.
_TICKS = 6
#: Older values are none of now: Prometheus itself looks back so long for the newest.
_NOW_S = 300
_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 432000)


@dataclass(frozen=True)
class Span:
    """From when to when.

    Attributes:
        word: key of RANGES.
        start, end: seconds since 1970.
        step: seconds between two points.
        window: over how many seconds a rate is taken; Prometheus needs four looks within it.
    """

    word: str
    start: int
    end: int
    step: int
    window: int

    @property
    def seconds(self) -> int:
        """How long it is."""
        return RANGES[self.word][0]

    @property
    def words(self) -> str:
        """What it is called behind `the last` or `the`."""
        return RANGES[self.word][1].removeprefix("1 ")


def span(word: str, now: float, scrape_seconds: int) -> Span:
    """The time that ends now; a word that is not known stands for DEFAULT."""
    word = word if word in RANGES else DEFAULT
    seconds = RANGES[word][0]
    step = max(seconds // POINTS, scrape_seconds)
    # Not by whole steps: of a host that is young the longest would show nothing.
    end = int(now) // scrape_seconds * scrape_seconds
    return Span(word, end - seconds, end, step, max(step, 4 * scrape_seconds))


def ticks(of: Span) -> list[tuple[int, str]]:
    """Marks of the time axis with their words, all of UTC."""
    apart = next((one for one in _STEPS if of.seconds / one <= _TICKS), _STEPS[-1])
    first = -(-of.start // apart) * apart
    form = "%H:%M" if of.seconds <= 86400 else "%d %b"
    return [(at, text(at, form)) for at in range(first, of.end + 1, apart)]


def now(points: Sequence[tuple[float, float]], of: Span) -> float | None:
    """The newest value, where it is of the span's end: two steps old at most."""
    if not points or of.end - points[-1][0] > min(2 * of.step, _NOW_S):
        return None
    return points[-1][1]


def text(at: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment as people read it, of UTC."""
    return datetime.fromtimestamp(at, tz=timezone.utc).strftime(form)


def ago(seconds: float) -> str:
    """How long something has lasted."""
    seconds = max(0, int(seconds))
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * unit or (unit == 60 and seconds >= unit):
            number = seconds // unit
            return f"{number} {name}{'s' if number != 1 else ''}"
    return f"{seconds} second{'s' if seconds != 1 else ''}"


def day(at: float) -> date:
    """The day of a moment, of UTC."""
    return datetime.fromtimestamp(at, tz=timezone.utc).date()
