# SPDX-License-Identifier: Apache-2.0
"""Asks all sources for one page; each that does not answer is a remark on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLateError
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from . import events, figures, lines, moments, panels, state, who, wrong
from .charts import Line
from .host import usage_ledger
from .local import Fetch, UnavailableError
from .moments import Span
from .panels import Panel, Section
from .prometheus import Prometheus, Series, alerts
from .within import share_within

_T = TypeVar("_T")
#: The ledger of this month and of today; neither where there is none.
_Usage = tuple[dict[str, Any] | None, dict[str, Any] | None]
#: Questions to Prometheus at once.
_AT_ONCE = 8
#: Longest that all questions for a page may take together.
LIMIT_S = 12.0
#: For how long a page serves everybody who asks for it.
KEPT_S = 10.0


@dataclass(frozen=True)
class Sources:
    """Where everything is; see `__main__` for what each is by default."""

    prometheus: str = "http://127.0.0.1:9090"
    alertmanager: str = "http://127.0.0.1:9093"
    server: str = "http://127.0.0.1:8000"
    ledger: Path = Path("/var/lib/llm-server-usage/ledger.sqlite")
    units: tuple[str, ...] = ("llm-server.service",)
    scrape_seconds: int = 15
    hour_price: float | None = None


@dataclass
class View:
    """What the page shows, all of it ready to be written."""

    span: Span
    at: str
    state: state.State
    alerts: list[dict[str, Any]] = field(default_factory=list)
    figures: list[figures.Figure] = field(default_factory=list)
    sections: list[tuple[Section, list[lines.Drawn]]] = field(default_factory=list)
    phases: list[tuple[str, float]] = field(default_factory=list)
    keys: list[who.Row] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)
    events: list[dict[str, str]] = field(default_factory=list)
    #: Source → why it is missing.
    remarks: dict[str, str] = field(default_factory=dict)


class Board:
    """Makes views, at most one for each span in some seconds.

    Args:
        fetch: gets JSON of this host; see `prometheus.Fetch`.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        sources: Sources,
        fetch: Callable[[str], Any] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sources = sources
        self._fetch = fetch or Fetch()
        self._prometheus = Prometheus(sources.prometheus, self._fetch)
        self._clock = clock
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ask")
        # Apart: one that hangs takes no thread of the others, nor one more with each page.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, View]] = {}

    def view(self, word: str) -> View:
        """The page's content for a range of `moments.RANGES`."""
        # One at a time: many who ask together get what the first made.
        with self._lock:
            now = self._clock()
            span = moments.span(word, now, self._sources.scrape_seconds)
            made, kept = self._kept.get(span.word, (0.0, None))
            if kept is None or not 0 <= now - made < KEPT_S:
                kept = _View(self, span, now).made()
                self._kept[span.word] = (now, kept)
            return kept

    def close(self) -> None:
        """Ends the threads."""
        for pool in (self._pool, self._reader):
            pool.shutdown(wait=False, cancel_futures=True)


class _View:
    """One making of a view."""

    def __init__(self, board: Board, span: Span, now: float) -> None:
        self._board = board
        self._span = span
        self._now = now
        self._remarks: dict[str, str] = {}
        self._asked: dict[str, Future[list[Series]]] = {}
        self._until = time.monotonic() + LIMIT_S
        self._ledger = board._reader.submit(_usage, board._sources.ledger, moments.day(now))

    def made(self) -> View:
        try:
            return self._made()
        finally:
            self._ledger.cancel()
            for asked in self._asked.values():
                asked.cancel()

    def _made(self) -> View:
        span, sources, pool = self._span, self._board._sources, self._board._pool
        # Before the many: behind a Prometheus that hangs they would not be heard.
        self._health = pool.submit(self._board._fetch, f"{sources.server}/health")
        self._told = pool.submit(self._board._fetch, f"{sources.alertmanager}/api/v2/alerts")
        journal = pool.submit(wrong.errors, sources.units, float(span.start))
        systemd = pool.submit(wrong.of_systemd, sources.units, float(span.start))
        self._ask()
        found, happened = self._journal(journal, systemd)
        month, today = self._used()
        price = sources.hour_price
        return View(
            span=span,
            at=moments.text(self._now),
            state=self._state(),
            alerts=self._alerts(),
            figures=self._figures(who.cost(month, today, price) if month and today else None),
            sections=[(one, self._panels(one, happened)) for one in panels.SECTIONS],
            phases=state.phases(self._answer("state phases")),
            keys=who.rows(month, price) if month else [],
            errors=found,
            events=events.rows(happened, moments.text),
            remarks=self._remarks,
        )

    def _ask(self) -> None:
        """Begins all questions to Prometheus."""
        span, prometheus = self._span, self._board._prometheus
        for name, expr in panels.expressions().items():
            if name.startswith("state "):
                asked = self._board._pool.submit(prometheus.at, expr, span, self._now)
            else:
                asked = self._board._pool.submit(prometheus.over, expr, span)
            self._asked[name] = asked
        for name, expr in panels.FIGURES.items():
            mean = f"avg_over_time(({expr})[{span.seconds}s:{span.step}s])"
            self._asked[f"before {name}"] = self._board._pool.submit(
                prometheus.at, mean, span, span.start
            )

    def _answer(self, name: str) -> list[Series]:
        try:
            return self._in_time(self._asked[name])
        except UnavailableError as error:
            self._remarks["Prometheus"] = str(error)
            return []

    def _in_time(self, asked: Future[_T]) -> _T:
        try:
            return asked.result(max(0.0, self._until - time.monotonic()))
        except TooLateError:
            raise UnavailableError(f"no answer within {LIMIT_S:.0f} s") from None

    def _one(self, name: str) -> Series | None:
        found = self._answer(name)
        return found[0] if found else None

    def _journal(
        self, journal: Future[tuple[list[dict[str, str]], str]], systemd: Future[list[Any]]
    ) -> tuple[list[dict[str, str]], list[events.Event]]:
        """The last errors, and what happened."""
        try:
            found, remark = self._in_time(journal)
            entries = self._in_time(systemd)
        except UnavailableError as error:
            found, remark, entries = [], str(error), []
        if remark:
            self._remarks["Journal"] = remark
        return found, self._events(entries)

    def _events(self, entries: Sequence[Any]) -> list[events.Event]:
        found = {name: self._answer(f"event {name}") for name in panels.EVENTS}
        return events.together(events.of_series(found, self._span), events.of_journal(entries))

    def _state(self) -> state.State:
        health, down = None, ""
        try:
            health = self._in_time(self._health)
            if not isinstance(health, dict):
                health, down = None, "not understood"
        except UnavailableError as error:
            down = str(error)
        gpus = self._answer("state gpu")
        return state.state(health, self._answer("state release"), gpus, down)

    def _alerts(self) -> list[dict[str, Any]]:
        try:
            found = alerts(self._in_time(self._told))
            return [{**one, "since": str(one["since"])[:19].replace("T", " ")} for one in found]
        except UnavailableError as error:
            self._remarks["Alertmanager"] = str(error)
            return []

    def _figures(self, cost: who.Cost | None) -> list[figures.Figure]:
        now = {name: self._one(f"figure {name}") for name in panels.FIGURES}
        before = {}
        for name in panels.FIGURES:
            one = self._one(f"before {name}")
            before[name] = one.last if one else None
        objective = self._one("first-token objective")
        bound = objective.last if objective else None
        priced = self._board._sources.hour_price is not None
        return figures.figures(now, before, bound, cost, self._span, priced=priced)

    def _panels(self, section: Section, happened: Sequence[events.Event]) -> list[lines.Drawn]:
        at = [one.at for one in happened]
        return [self._panel(one, at) for one in section.panels]

    def _panel(self, panel: Panel, at: Sequence[float]) -> lines.Drawn:
        objective = self._one(f"{panel.id} objective") if panel.objective else None
        if panel.buckets:
            return self._goodput(panel, objective, at)
        answers = [
            (query, self._answer(f"{panel.id} {number}"))
            for number, query in enumerate(panel.queries)
        ]
        found = lines.lines_of(answers)
        quiet = any(one.points for _, series in answers for one in series)
        return lines.drawn(panel, found, self._span, objective=objective, events=at, quiet=quiet)

    def _goodput(self, panel: Panel, bound: Series | None, at: Sequence[float]) -> lines.Drawn:
        if bound is None or bound.last is None:
            remark = f"There is no series {panel.objective}."
            return lines.drawn(panel, [], self._span, remark=remark)
        share = share_within(self._answer(f"{panel.id} buckets"), bound.last)
        line = Line(f"within {bound.last:g} s", share.points)
        return lines.drawn(panel, [line] if share.points else [], self._span, events=at)

    def _used(self) -> _Usage:
        try:
            return self._in_time(self._ledger)
        except (UnavailableError, usage_ledger.LedgerError) as error:
            self._remarks["Usage"] = str(error)
            return None, None


def _usage(ledger: Path, today: date) -> _Usage:
    month, day = (
        usage_ledger.read(ledger, first, today, "month") for first in (today.replace(day=1), today)
    )
    if not month["exists"]:
        raise UnavailableError(f"There is no {ledger} yet")
    return month, day
