# SPDX-License-Identifier: Apache-2.0
"""Who used how much: counted in the event loop, kept by a thread, never in the way of an answer.

What is counted is handed to a thread that writes it once a second. What ends with the process,
however it ends, is at most what came since its last write. A disk that is full, gone or slow
delays the writing; what could not be written waits in memory, and answers go on.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from .store import Entry, ForeignError, Store, is_damaged, set_aside

logger = logging.getLogger("llm_server.ledger")

#: Kinds of entries besides the words for how requests ended.
PROMPT, GENERATION, SECONDS = "prompt", "generation", "seconds"
TOKENS = frozenset({PROMPT, GENERATION})
#: Before the word for why a request was refused.
REFUSED = "refused/"
#: The key of requests that had none, and of the server's own seconds.
NOBODY = ""

#: How often what was counted is written; as much is lost where the process is killed.
WRITE_S = 1.0
#: How often it is tried again while the disk takes nothing.
TRY_AGAIN_S = 30.0
#: How often the time that the server runs is noted.
BEAT_S = 60.0
#: Entries that wait; a week of a full disk has fewer, with ten keys.
MOST_WAITING = 20_000
#: Days kept in memory: those of a month, and some for a clock that is set.
_DAYS_IN_MEMORY = 40


class Spent(NamedTuple):
    """Tokens of prompts and answers."""

    day: int
    month: int


class Ledger:
    """Counts, and answers what a key has used; without a path in memory alone."""

    def __init__(
        self,
        path: Path | None = None,
        model: str = "",
        *,
        days: int = 400,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.model = model
        self._days = days
        self.clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[Entry, int] = {}
        self._waits_since: float | None = None
        #: Tokens of keys by day: those that the file had, and those since.
        self._before: dict[str, dict[int, int]] = {}
        self._since: dict[str, dict[int, int]] = {}
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._tried = threading.Event()
        self._read = threading.Event()
        self._writer = None if path is None else _Writer(self, path)
        #: Entries that could not be kept, and files that were set aside.
        self.lost = self.replaced = 0

    def add(self, key: str | None, model: str | None, kind: str, number: int) -> None:
        """Counts; costs the caller no more than a lookup.

        Args:
            key: the key's name; None where there was none.
            model: an adapter, or None for the model that is served.
            kind: `TOKENS`, how a request ended, or `REFUSED` and why.
            number: how many.
        """
        if not number:
            return
        hour = int(self.clock() // 3600)
        entry = (hour, key or NOBODY, model or self.model, kind)
        with self._lock:
            if kind in TOKENS and key:
                days = self._since.setdefault(key, {})
                days[hour // 24] = days.get(hour // 24, 0) + number
                if len(days) > _DAYS_IN_MEMORY:
                    del days[min(days)]
            if self._writer is None:
                return
            if entry not in self._waiting and len(self._waiting) >= MOST_WAITING:
                self.lost += 1
                return
            self._waiting[entry] = self._waiting.get(entry, 0) + number
            if self._waits_since is None:
                self._waits_since = time.monotonic()

    def spent(self, key: str) -> Spent:
        """What a key has used on this day and in this month, of UTC, as far as it has ended."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        today = int(self.clock() // 86400)
        first = today - now.day + 1
        parts = (self._before.get(key, {}), self._since.get(key, {}))
        with self._lock:
            month = sum(n for part in parts for day, n in part.items() if first <= day <= today)
            return Spent(sum(part.get(today, 0) for part in parts), month)

    def unwritten_seconds(self) -> float:
        """For how long something waits to be written; a second at most where all is well."""
        since = self._waits_since
        return 0.0 if since is None else max(0.0, time.monotonic() - since)

    def start(self, beats_since: float | None = None) -> None:
        """Begins to write.

        Call it when no process is forked any more that would close files at its end.

        Args:
            beats_since: note also for how long this process runs, from this moment on the
                clock that only goes forward.
        """
        if self._writer is None or self._thread is not None:
            return
        self._writer.begin(beats_since)
        self._thread = threading.Thread(
            target=self._run, args=(self._writer,), name="ledger", daemon=True
        )
        self._thread.start()

    def wait_until_read(self, seconds: float) -> bool:
        """Waits until it was tried to read what earlier processes counted; whether it is known."""
        if self._thread is not None:
            self._tried.wait(seconds)
        return self._read.is_set()

    def close(self, seconds: float) -> None:
        """Writes what waits, so many seconds at most."""
        if self._thread is None:
            return
        self._end.set()
        self._thread.join(seconds)
        if self._waits_since is not None:
            logger.error("The usage of the last %.0f s was not written", self.unwritten_seconds())

    def take(self) -> dict[Entry, int]:
        """What waits; the writer has it from now on."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
            return taken

    def written(self, at: float) -> None:
        """All that was taken before `at` is in the file."""
        with self._lock:
            self._waits_since = at if self._waiting else None

    def begins_with(self, totals: dict[str, dict[int, int]]) -> None:
        """What the file had before this process wrote to it."""
        if not self._read.is_set():
            self._before = totals
            self._read.set()

    def _run(self, writer: _Writer) -> None:
        pause = 0.0
        while True:
            ends = self._end.wait(pause)
            pause = WRITE_S if writer.turn(last=ends) else min(TRY_AGAIN_S, 2 * pause + 1)
            self._tried.set()
            if ends:
                writer.close()
                return


class _Writer:
    """The thread's part."""

    def __init__(self, ledger: Ledger, path: Path) -> None:
        self._ledger = ledger
        self._path = path
        self._store: Store | None = None
        self._name = ""
        self._number = 0
        self._batch: dict[Entry, int] = {}
        self._tidied: int | None = None
        self._said = ""
        self._beats_since: float | None = None

    def begin(self, beats_since: float | None) -> None:
        """Gets a name of its own: a process that is forked before has one that differs."""
        self._name = uuid.uuid4().hex
        self._beats_since = beats_since

    def turn(self, *, last: bool) -> bool:
        """Writes what waits; whether that went well."""
        try:
            self._write(last=last)
        except (sqlite3.Error, OSError, ForeignError) as error:
            self._failed(error)
            return False
        except Exception:  # a mistake of this file is no reason to stop counting
            self._say("The usage is not written", exc_info=True)
            return False
        if self._said:
            logger.warning("The usage is written again")
            self._said = ""
        return True

    def _write(self, *, last: bool) -> None:
        ledger = self._ledger
        self._beat(last=last)
        hour = int(ledger.clock() // 3600)
        store = self._store or self._open(hour)
        self._write_batch(store, hour)  # one that failed before, as it was
        taken_at = time.monotonic()
        if taken := ledger.take():
            self._batch, self._number = taken, self._number + 1
            self._write_batch(store, hour)
        ledger.written(taken_at)
        if self._tidied != hour // 24:
            store.tidy(hour, ledger._days)
            self._tidied = hour // 24

    def _write_batch(self, store: Store, hour: int) -> None:
        if self._batch:
            store.write(self._name, self._number, self._batch, hour)
            self._batch = {}

    def _open(self, hour: int) -> Store:
        self._store = Store(self._path)
        self._ledger.begins_with(self._store.totals(hour // 24 - _DAYS_IN_MEMORY, TOKENS))
        return self._store

    def _beat(self, *, last: bool) -> None:
        if self._beats_since is None:
            return
        passed = time.monotonic() - self._beats_since
        if passed >= BEAT_S or last:
            self._ledger.add(NOBODY, None, SECONDS, int(passed))
            self._beats_since += int(passed)

    def _failed(self, error: Exception) -> None:
        # Also where the disk is full: a new connection begins without what the old one failed at.
        self.close()
        path = self._path
        if not is_damaged(error):
            self._say(
                "The usage cannot be written to %s (%s); requests are served all the same, and"
                " it waits in memory",
                path,
                error,
            )
            return
        try:
            aside = set_aside(path)
        except OSError as problem:
            self._say("%s is damaged (%s) and cannot be moved (%s)", path, error, problem)
            return
        self._ledger.replaced += 1
        logger.error(
            "%s was damaged (%s). It is %s now, and a new one begins: budgets count from what"
            " this process knows",
            path,
            error,
            aside,
        )
        # What nobody can read will not be read any more.
        self._ledger.begins_with({})

    def _say(self, text: str, *values: object, exc_info: bool = False) -> None:
        said = text % values
        if said != self._said:
            self._said = said
            logger.error("%s", said, exc_info=exc_info)

    def close(self) -> None:
        """Closes the file; the next turn opens it again."""
        if self._store is not None:
            self._store.close()
            self._store = None
