# SPDX-License-Identifier: Apache-2.0
"""One ledger through the lives of a server: its waiting room, its end, a kill, a next start."""

from __future__ import annotations

import logging
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.engineless import KEY, LONGEST_S, Engineless
from tests.support.engineless_server import GENERATION, PROMPT
from tests.support.exhaustive import FULL

logger = logging.getLogger(__name__)


def live(server: Engineless, end: signal.Signals, written: dict[str, int]) -> list[int]:
    """One life: a request while it loads, four when it can answer, one without a key.

    A kill comes when the ledger has what is to be `written`: what came since would be lost.
    """
    server.start()
    try:
        statuses = [server.ask()]
        server.load()
        statuses += [server.ask() for _ in range(4)]
        url = f"{server.http.base_url}/v1/completions"
        statuses.append(httpx.post(url, trust_env=False, timeout=LONGEST_S).status_code)
        if end is signal.SIGKILL:
            until_kept(server, written)
        server.end(end)
    finally:
        server.kill()
    return statuses


def until_kept(server: Engineless, written: dict[str, int]) -> None:
    """Waits until the ledger has exactly this."""
    deadline = time.monotonic() + LONGEST_S
    while (kept := server.kept()) != written:
        assert time.monotonic() < deadline, kept
        time.sleep(0.05)


FIRST = {"ok": 4, "prompt": 28, "generation": 12, "refused/loading": 1, "refused/no_key": 1}


def test_each_request_is_there_once_and_budgets_go_on(tmp_path: Path) -> None:
    for folder in (tmp_path / "one day", tmp_path / "the next"):
        folder.mkdir()
        began = time.gmtime().tm_yday
        server = Engineless(folder, tokens_per_day=55)
        first = live(server, signal.SIGKILL, FIRST), server.kept()
        second = live(server, signal.SIGTERM, {})
        if time.gmtime().tm_yday == began:
            break  # else budgets have started over in between
    assert first == ([503, 200, 200, 200, 200, 401], FIRST)
    assert second == [503, 200, 200, 429, 429, 401]
    assert server.kept() == {
        "ok": 6,
        "prompt": 42,
        "generation": 18,
        "refused/loading": 2,
        "refused/no_key": 2,
        "refused/budget_day": 2,
    }
    ledgers = {one.name for one in folder.iterdir() if one.name.startswith("ledger")}
    assert ledgers == {"ledger.sqlite"}, "ended in order"


class Load:
    """Clients that ask all the time, and count what they send and get."""

    CLIENTS = 4

    def __init__(self, server: Engineless) -> None:
        self._server = server
        self._lock = threading.Lock()
        self.sent = self.answered = 0
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(self.CLIENTS)]
        for each in self._threads:
            each.start()

    def _run(self) -> None:
        body = {"pieces": 2, "pause": 0.003}
        with httpx.Client(
            base_url=self._server.http.base_url,
            headers={"Authorization": f"Bearer {KEY}"},
            trust_env=False,
            timeout=LONGEST_S,
        ) as http:
            while not self._end.is_set():
                with self._lock:
                    self.sent += 1
                try:
                    status = http.post("/v1/completions", json=body).status_code
                except httpx.TransportError:
                    return  # it was killed
                assert status == 200
                with self._lock:
                    self.answered += 1

    def until_answered(self, number: int) -> None:
        """Waits until there are so many answers."""
        deadline = time.monotonic() + LONGEST_S
        while self.answered < number:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def end(self) -> None:
        """Ends it; what runs is answered before, where somebody is there."""
        self._end.set()
        for each in self._threads:
            each.join(LONGEST_S)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Engineless]:
    made = Engineless(tmp_path)
    made.start()
    made.load()
    yield made
    made.kill()


def as_kept(requests: int) -> Counter[str]:
    return Counter(ok=requests, prompt=PROMPT * requests, generation=GENERATION * requests)


def test_a_kill_under_load_loses_what_was_not_written(server: Engineless) -> None:
    """Lives of one ledger. Nothing is there twice; what was written before a kill is there.

    Without a kill it is exactly what the clients count.
    """
    dice = random.Random(1)  # noqa: S311 - the same each time
    before: Counter[str] = Counter()
    for life in range(12 if FULL else 2):
        if life:
            server.start()
            server.load()
        load = Load(server)
        load.until_answered(20)
        load.end()
        assert load.sent == load.answered
        before += as_kept(load.answered)
        until_kept(server, before)

        load = Load(server)
        load.until_answered(dice.randrange(1, 900))
        written = server.kept() - before
        server.end(signal.SIGKILL)
        load.end()
        kept = server.kept() - before
        assert written["ok"] <= kept["ok"] <= load.sent, "more than was asked for"
        # Of those that ran some may have their tokens in the file, and not how they ended.
        for kind, each in (("prompt", PROMPT), ("generation", GENERATION)):
            assert kept["ok"] * each <= kept[kind] <= (kept["ok"] + load.CLIENTS) * each, kept
        logger.info("answered %d, of which %d are kept", load.answered, kept["ok"])
        before += kept
