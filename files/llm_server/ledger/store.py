# SPDX-License-Identifier: Apache-2.0
"""The ledger's file: SQLite, written in whole batches, each of them once."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

#: The hour (of UTC, counted from 1970), the key, the model, and what is counted.
Entry = tuple[int, str, str, str]

VERSION = 1
#: For so many days each hour has its own entries; after that a day has.
HOURLY_DAYS = 35
#: How long one process waits for another that writes; the waiting room does at most that.
BUSY_S = 5.0
#: Files that were set aside and are kept: the last one.
KEPT_ASIDE = 1

_TABLES = (
    "CREATE TABLE usage (hour INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL,"
    " kind TEXT NOT NULL, number INTEGER NOT NULL,"
    " PRIMARY KEY (hour, key, model, kind)) WITHOUT ROWID",
    "CREATE TABLE writers (name TEXT PRIMARY KEY, batch INTEGER NOT NULL,"
    " hour INTEGER NOT NULL) WITHOUT ROWID",
)
_ADD = (
    "INSERT INTO usage VALUES (?, ?, ?, ?, ?) ON CONFLICT (hour, key, model, kind)"
    " DO UPDATE SET number = number + excluded.number"
)
_NOTE = (
    "INSERT INTO writers VALUES (?, ?, ?) ON CONFLICT (name)"
    " DO UPDATE SET batch = excluded.batch, hour = excluded.hour"
)
_FOLD = (
    "INSERT INTO usage SELECT hour - hour % 24, key, model, kind, SUM(number) FROM usage"
    " WHERE hour < ? AND hour % 24 != 0 GROUP BY 1, 2, 3, 4"
    " ON CONFLICT (hour, key, model, kind) DO UPDATE SET number = number + excluded.number"
)


class ForeignError(Exception):
    """The file is a ledger of another version, which is left alone."""


class Store:
    """One connection; all of it belongs to the thread that made it."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it.

        Raises:
            sqlite3.Error, OSError: it cannot be used now, or is damaged; see `is_damaged`.
            ForeignError: another version made it.
        """
        self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            self._check_version()
            self._db.execute("PRAGMA journal_mode = WAL")
            # The power of a Spot instance goes without a word: what is committed stays.
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA journal_size_limit = 1048576")
            with self._transaction():
                self._make_tables()
            found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(f"damaged: {found}")
        except BaseException:
            self.close()
            raise

    def _check_version(self) -> int:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, VERSION):
            raise ForeignError(f"its version is {version}; this server writes version {VERSION}")
        return version

    def _make_tables(self) -> None:
        if self._check_version() == 0:
            for statement in _TABLES:
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def write(self, writer: str, batch: int, entries: Mapping[Entry, int], hour: int) -> None:
        """Adds a batch.

        One whose commit failed may be in the file all the same: its number, which is committed
        with it, says so, and it is not added again.
        """
        with self._transaction():
            known = self._db.execute("SELECT batch FROM writers WHERE name = ?", (writer,))
            row = known.fetchone()
            if row is None or row[0] < batch:
                self._db.executemany(_ADD, [(*entry, n) for entry, n in entries.items()])
                self._db.execute(_NOTE, (writer, batch, hour))

    def totals(self, since_day: int, kinds: Iterable[str]) -> dict[str, dict[int, int]]:
        """What each key has of these kinds together, on each day since that one."""
        wanted = tuple(kinds)
        marks = ", ".join("?" * len(wanted))
        rows = self._db.execute(
            "SELECT key, hour / 24, SUM(number) FROM usage"  # noqa: S608 - marks alone
            f" WHERE hour >= ? AND kind IN ({marks}) GROUP BY 1, 2",
            (since_day * 24, *wanted),
        )
        found: dict[str, dict[int, int]] = {}
        for key, day, number in rows:
            found.setdefault(key, {})[day] = number
        return found

    def tidy(self, hour: int, days: int) -> None:
        """Drops what is older than so many days, and joins the hours of days long past."""
        today = hour // 24
        with self._transaction():
            self._db.execute("DELETE FROM usage WHERE hour < ?", ((today - days) * 24,))
            past = ((today - HOURLY_DAYS) * 24,)
            self._db.execute(_FOLD, past)
            self._db.execute("DELETE FROM usage WHERE hour < ? AND hour % 24 != 0", past)
            self._db.execute("DELETE FROM writers WHERE hour < ?", (hour - 48,))

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()


def is_damaged(error: Exception) -> bool:
    """Whether the file itself is bad, and will be the next time too."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    name = getattr(error, "sqlite_errorname", None) or ""
    plain = type(error) is sqlite3.DatabaseError
    no_table = isinstance(error, sqlite3.OperationalError) and "no such table" in str(error)
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or no_table or plain


def set_aside(path: Path) -> Path:
    """Moves a damaged file, with what belongs to it, out of the way; keeps the last one.

    Raises:
        OSError: it cannot be moved.
    """
    to = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    # The file first: without it nothing takes what belongs to it for a new one's.
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(to.with_name(to.name + end))
    names = {one.name.removesuffix("-wal").removesuffix("-shm") for one in _aside(path)}
    for name in sorted(names)[:-KEPT_ASIDE]:
        for one in _aside(path):
            if one.name.startswith(name):
                one.unlink(missing_ok=True)
    return to


def _aside(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}.damaged-*"))
