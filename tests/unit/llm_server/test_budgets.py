# SPDX-License-Identifier: Apache-2.0
"""Tokens of a day and of a month: when a key is over them, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from llm_server.asgi.stack import build_front
from llm_server.keys.access import Access, AccessControl, Key, digest
from llm_server.ledger.ledger import Ledger
from llm_server.limits.budgets import ASIDE_S, KeyBudget, ends
from llm_server.record import current
from llm_server.settings import Settings
from llm_server.state import Phase, ServerState
from starlette.testclient import TestClient

KEY = "unit-test-key-0123456789"
RIGHT = {"Authorization": f"Bearer {KEY}"}


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "day", "month"),
    [
        ("2026-11-30T23:59:59", "2026-12-01T00:00:00", "2026-12-01T00:00:00"),
        ("2026-12-31T00:00:00", "2027-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("2026-02-01T12:00:00", "2026-02-02T00:00:00", "2026-03-01T00:00:00"),
        ("2028-02-28T12:00:00", "2028-02-29T00:00:00", "2028-03-01T00:00:00"),
        ("2026-01-31T12:00:00", "2026-02-01T00:00:00", "2026-02-01T00:00:00"),
    ],
)
def test_ends_of_days_and_months(now: str, day: str, month: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert ends("day", moment) == datetime.fromisoformat(day).replace(tzinfo=UTC)
    assert ends("month", moment) == datetime.fromisoformat(month).replace(tzinfo=UTC)


#: At 2026-11-28T22:00:00: two hours before the day ends, and fifty before the month does.
NOW = "2026-11-28T22:00:00"
TODAY, MONTH = ("2026-11-29T00:00:00Z", 7200), ("2026-12-01T00:00:00Z", 180000)


@pytest.mark.parametrize(
    ("bounds", "spent", "aside", "expected"),
    [
        ((None, None), (10**9, 10**9), 10**9, None),
        ((100, 1000), (99, 999), 0, None),
        ((100, 1000), (100, 500), 0, ("budget_day", *TODAY)),
        ((100, 1000), (500, 900), 0, ("budget_day", *TODAY)),
        ((100, 1000), (5, 1000), 0, ("budget_month", *MONTH)),
        ((100, 1000), (100, 1000), 0, ("budget_month", *MONTH)),
        ((None, 1000), (999, 999), 0, None),
        ((100, None), (50, 50), 49, None),
        ((100, None), (50, 50), 50, ("budget_day", TODAY[0], ASIDE_S)),
        ((None, 100), (50, 50), 50, ("budget_month", MONTH[0], ASIDE_S)),
    ],
)
def test_when_a_key_is_over(
    bounds: tuple[int | None, int | None],
    spent: tuple[int, int],
    aside: int,
    expected: tuple[str, str, int] | None,
) -> None:
    budget = KeyBudget(lambda: spent, lambda: at(NOW))
    budget.reserve(aside)
    budget.bound(*bounds)
    over = budget.over()
    if expected is None:
        assert over is None
        return
    assert over is not None
    assert (over.reason, f"{over.resets:%Y-%m-%dT%H:%M:%SZ}", over.seconds) == expected
    assert (over.resets.isoformat()[:10] in over.message("k")) != over.aside


def test_what_is_set_aside_comes_back() -> None:
    budget = KeyBudget(lambda: (0, 0), lambda: at(NOW))
    budget.bound(100, None)
    assert budget.reserve(70) is None
    assert budget.reserve(70) is None, "a token is left"
    over = budget.reserve(1)
    assert over is not None and over.aside
    assert budget.reserve(1, more=True) is None
    budget.release(141)
    assert budget.over() is None


class Front:
    """A server whose model uses as many tokens as it is asked to."""

    def __init__(self, ledger: Ledger, **budget: int) -> None:
        state = ServerState("m")
        state.app = FastAPI()

        @state.app.post("/use/{tokens}")
        async def use(tokens: int) -> None:
            record = current.get()
            assert record is not None
            record.used(1, tokens - 1)

        state.move(Phase.HEALTHY, "")
        self.control = AccessControl(Access(keys=(self.key(**budget),)), ledger)
        settings = Settings(model_path="m", served_model_name="m", access_file="x")
        self.http = TestClient(build_front(settings, state, self.control))

    @staticmethod
    def key(**budget: int) -> Key:
        return Key(name="k", sha256=digest(KEY), **budget)

    def use(self, tokens: int) -> Any:
        return self.http.post(f"/use/{tokens}", headers=RIGHT)


@pytest.fixture
def now() -> Iterator[list[float]]:
    yield [at(NOW)]


def test_used_up_until_the_day_ends_also_after_a_restart(tmp_path: Path, now: list[float]) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path, "m", clock=lambda: now[0])
    ledger.start()
    front = Front(ledger, tokens_per_day=100)
    assert front.use(99).status_code == 200
    assert front.use(50).status_code == 200, "one token was left"
    answer = front.use(1)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7200"
    assert answer.headers["x-should-retry"] == "false"
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert "used up the 100 tokens that it has for a day (UTC)" in error["message"]
    assert "2026-11-29T00:00:00Z, in 7200 s." in error["message"]
    # What asks for no tokens is not the budget's business.
    assert front.http.get("/docs", headers=RIGHT).status_code == 200
    ledger.close(20)

    ledger = Ledger(path, "m", clock=lambda: now[0])
    ledger.start()
    assert ledger.wait_until_read(20)
    front = Front(ledger, tokens_per_day=100)
    assert front.use(1).status_code == 429
    # More of it takes no restart, nor does less.
    front.control.replace(Access(keys=(Front.key(tokens_per_day=200),)))
    assert front.use(1).status_code == 200
    front.control.replace(Access(keys=(Front.key(tokens_per_month=100),)))
    assert front.use(1).headers["retry-after"] == "180000"
    text = front.http.get("/metrics", headers=RIGHT).text
    assert 'llm_key_budget_used_tokens{key="k",period="month"} 150.0' in text
    assert 'llm_key_budget_tokens{key="k",period="month"} 100.0' in text
    now[0] = at("2026-12-01T00:00:00")
    assert front.use(1).status_code == 200
    ledger.close(20)


def test_a_model_that_breaks_off_gives_back_what_was_set_aside() -> None:
    async def play() -> None:
        budget = KeyBudget(lambda: (0, 0), lambda: at(NOW))
        budget.bound(10, None)
        assert budget.reserve(10) is None
        assert budget.over() is not None
        budget.release(10)
        assert budget.over() is None

    asyncio.run(play())
