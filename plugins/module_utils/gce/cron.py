# SPDX-License-Identifier: Apache-2.0
"""Cron expressions of five fields, as instance schedules take them. Pure."""

from __future__ import annotations

import datetime as dt
import zoneinfo

from ..errors import GceError
from ..suggest import did_you_mean

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
# Name, lowest, highest, names of values.
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
# A schedule that fires less often than that is not looked back for.
_LONGEST_DAYS = 366


class Cron:
    """When a schedule fires.

    Raises:
        GceError: not five fields, or values out of their range; says which and what would be right.
    """

    def __init__(self, text: str, option: str) -> None:
        fields = text.lower().split()
        if len(fields) != len(_FIELDS):
            raise GceError(
                f"{option} is '{text}', which has {len(fields)} fields instead of five.",
                reason="badSchedule",
                remedy="write minute, hour, day of the month, month and day of the week. "
                "An example is '0 8 * * 1-5' (weekdays at eight).",
            )
        sets = [
            _values(field, known, f"{option} is '{text}'")
            for field, known in zip(fields, _FIELDS, strict=True)
        ]
        self._minutes, self._hours, self._days, self._months, weekdays = sets
        self._weekdays = {day % 7 for day in weekdays}
        # Cron's own rule: where both kinds of days are limited, either will do.
        self._either = not fields[2].startswith("*") and not fields[4].startswith("*")

    def on(self, day: dt.date) -> bool:
        """Whether it fires at all on that day."""
        in_month = day.day in self._days
        in_week = day.isoweekday() % 7 in self._weekdays
        fits = (in_month or in_week) if self._either else (in_month and in_week)
        return day.month in self._months and fits

    def last(self, now: dt.datetime) -> dt.datetime | None:
        """The last time up to `now`, in its time zone; None where there was none for a year."""
        for back in range(_LONGEST_DAYS + 1):
            day = now.date() - dt.timedelta(days=back)
            if not self.on(day):
                continue
            for hour in sorted(self._hours, reverse=True):
                for minute in sorted(self._minutes, reverse=True):
                    fired = dt.datetime.combine(day, dt.time(hour, minute), now.tzinfo)
                    if fired <= now:
                        return fired
        return None


def _values(field: str, known: tuple[str, int, int, dict[str, int]], said: str) -> set[int]:
    name, low, high, names = known
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            start, end = (
                (low, high)
                if span == "*"
                else (_number(first, names), _number(last, names) if dash else None)
            )
            stride = int(step) if step else 1
            if end is None:
                end = high if step else start
            if not low <= start <= end <= high or stride < 1:
                raise ValueError(part)
        except ValueError:
            raise GceError(
                f"{said}, whose {name} '{part}' is not between {low} and {high}.",
                reason="badSchedule",
                remedy="write numbers, ranges (1-5), lists (1,3) or * in each field. "
                "An example is '0 8 * * 1-5' (weekdays at eight).",
            ) from None
        found.update(range(start, end + 1, stride))
    return found


def _number(text: str, names: dict[str, int]) -> int:
    return names[text] if text in names else int(text)


def zone(name: str) -> dt.tzinfo | None:
    """The time zone; None where this machine knows none at all, and so can't tell.

    Raises:
        GceError: there is no such zone.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        if not known:
            return None
        raise GceError(
            f"time_zone is '{name}', which is no time zone.{did_you_mean(name, known)}",
            reason="badTimeZone",
            remedy="write a name of the tz database, as Europe/Berlin or UTC.",
        ) from None


def expected(
    start: str | None, stop: str | None, time_zone: str, now: dt.datetime | None = None
) -> str:
    """`running` or `stopped`, by which of the two fired last; `unknown` where neither did.

    Args:
        now: with a time zone; the clock's time where left out.
    """
    where = zone(time_zone)
    if where is None:
        return "unknown"
    here = (now or dt.datetime.now(dt.timezone.utc)).astimezone(where)
    started = Cron(start, "start").last(here) if start else None
    stopped = Cron(stop, "stop").last(here) if stop else None
    if started is None and stopped is None:
        return "unknown"
    if stopped is None or (started is not None and started >= stopped):
        return "running"
    return "stopped"
