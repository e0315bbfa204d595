# SPDX-License-Identifier: Apache-2.0
"""Reads who used how much from the server's ledger, and never writes to it."""

from __future__ import annotations

import calendar
import contextlib
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

VERSION = 1
#: What a period is called, in the words of SQLite.
PERIODS = {"hour": "%Y-%m-%dT%H:00Z", "day": "%Y-%m-%d", "month": "%Y-%m"}
OUTCOMES = ("ok", "client_error", "server_error", "client_gone")
REFUSED = "refused/"
#: Seconds that the reading may wait for a writer that recovers the file.
BUSY_S = 5.0
#: Seconds that it may take; a year of ten keys takes about one.
READ_S = 60.0

_EPOCH = date(1970, 1, 1)


class LedgerError(Exception):
    """The ledger cannot be read; the text says why."""


def first_day(text: str, today: date) -> date:
    """The day that a range begins with; empty is the first of this month.

    Raises:
        ValueError: it is no day and no month.
    """
    return _days(text)[0] if text else today.replace(day=1)


def last_day(text: str, today: date) -> date:
    """The day that a range ends with; empty is today.

    Raises:
        ValueError: it is no day and no month.
    """
    return _days(text)[1] if text else today


def _days(text: str) -> tuple[date, date]:
    """The first and the last day of what somebody wrote."""
    if re.fullmatch(r"\d{4}-\d{2}", text):
        first = date.fromisoformat(f"{text}-01")
        return first, first.replace(day=calendar.monthrange(first.year, first.month)[1])
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError(f"{text} is no day and no month")
    day = date.fromisoformat(text)
    return day, day


def today() -> date:
    """This day, in UTC."""
    return datetime.now(timezone.utc).date()


def read(path: Path, first: date, last: date, by: str) -> dict[str, Any]:
    """What was counted from the first to the last day, both included.

    Returns:
        `exists`, `since` (the first day that is there, or None), `rows` and `ran`.

    Raises:
        LedgerError: there is a file that cannot be read.
    """
    try:
        # Who runs the server owns the folder: nothing but a file is opened for it.
        regular = stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return {"exists": False, "since": None, "rows": [], "ran": []}
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}") from None
    if not regular:
        raise LedgerError(f"{path} is no file")
    hours = tuple(24 * (day - _EPOCH).days for day in (first, last + timedelta(days=1)))
    return _read(path, hours, PERIODS[by])


def _read(path: Path, hours: tuple[int, ...], form: str) -> dict[str, Any]:
    # Here, since only hosts with a server need it: some distributions have it apart from Python.
    try:
        import sqlite3  # noqa: PLC0415
    except ImportError:
        raise LedgerError("this Python has no sqlite3; install the package python3") from None
    # Without a log of writes nobody has it open, and nothing needs to be made beside it.
    closed = not path.with_name(path.name + "-wal").exists()
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if closed else ''}"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as db:
            # Whoever wrote the file may have put code into its schema, also such as never ends.
            db.execute("PRAGMA trusted_schema = OFF")
            deadline = time.monotonic() + READ_S
            db.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version != VERSION:
                raise LedgerError(f"{path} has version {version}; this collection reads {VERSION}")
            since = db.execute("SELECT MIN(hour) FROM usage").fetchone()[0]
            found = db.execute(
                "SELECT strftime(?, hour * 3600, 'unixepoch'), key, model, kind, SUM(number)"
                " FROM usage WHERE hour >= ? AND hour < ? GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
                (form, *hours),
            ).fetchall()
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be read: {error}") from None
    return {
        "exists": True,
        "since": None if since is None else str(_EPOCH + timedelta(days=int(since) // 24)),
        "rows": list(_rows(found)),
        "ran": [
            {"period": period, "model": model, "seconds": number}
            for period, _, model, kind, number in found
            if kind == "seconds"
        ],
    }


def _rows(found: Iterable[tuple[str, str, str, str, int]]) -> Iterator[dict[str, Any]]:
    """One for each period, key and model."""
    groups: dict[tuple[str, str, str], dict[str, int]] = {}
    for period, key, model, kind, number in found:
        if kind != "seconds":
            groups.setdefault((period, key, model), {})[kind] = number
    for (period, key, model), kinds in groups.items():
        yield {"period": period, "key": key, "model": model, **_counts(kinds)}


def _counts(kinds: Mapping[str, int]) -> dict[str, Any]:
    refusals = {k[len(REFUSED) :]: n for k, n in kinds.items() if k.startswith(REFUSED)}
    outcomes = {name: kinds.get(name, 0) for name in OUTCOMES}
    refused = sum(refusals.values())
    return {
        "requests": sum(outcomes.values()) + refused,
        **outcomes,
        "refused": refused,
        "refusals": refusals,
        "tokens_in": kinds.get("prompt", 0),
        "tokens_out": kinds.get("generation", 0),
    }
