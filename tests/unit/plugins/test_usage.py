# SPDX-License-Identifier: Apache-2.0
"""Usage as the server's ledger has it: read on the host, added up, shared out, and shown."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import usage_ledger
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports.usage import COST_NOTE, report
from llm_server.ledger.store import HOURLY_DAYS, VERSION, Store

from tests.support.module_runs import run_module

TODAY = date(2026, 11, 30)


def hour(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() // 3600)


ENTRIES = {
    ("2026-10-31T23:00", "a", "m", "ok"): 100,
    ("2026-10-31T23:00", "a", "m", "prompt"): 1000,
    ("2026-11-01T00:00", "a", "m", "ok"): 1,
    ("2026-11-01T00:00", "a", "m", "prompt"): 30,
    ("2026-11-01T05:00", "a", "m", "generation"): 30,
    ("2026-11-01T05:00", "b", "poet", "client_gone"): 2,
    ("2026-11-01T05:00", "b", "poet", "prompt"): 20,
    ("2026-11-01T05:00", "", "m", "refused/no_key"): 7,
    ("2026-11-01T05:00", "", "m", "seconds"): 7200,
    ("2026-11-02T23:00", "b", "m", "refused/budget_day"): 3,
    ("2026-11-02T23:00", "b", "m", "refused/rate_tokens"): 1,
    ("2026-11-02T23:00", "", "m", "seconds"): 3600,
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Path]:
    """A ledger that a server has open."""
    path = tmp_path / "ledger.sqlite"
    store = Store(path)
    store.write("w", 1, {(hour(at), *rest): n for (at, *rest), n in ENTRIES.items()}, 0)  # type: ignore[misc]
    yield path
    store.close()


def usage(path: Path, **options: str) -> dict[str, Any]:
    return run_module("llm_usage_info", {"path": str(path), **options})


def test_both_mean_the_same_file() -> None:
    assert usage_ledger.VERSION == VERSION
    assert usage_ledger.REFUSED == "refused/"
    assert f"for {HOURLY_DAYS} days" in usage_text()


def usage_text() -> str:
    from ansible_collections.llmops.gce_vllm.plugins.modules import llm_usage_info

    return llm_usage_info.DOCUMENTATION


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("", "2026-11-01", "2026-11-30"),
        ("2026-11-15", "2026-11-15", "2026-11-15"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2028-02", "2028-02-01", "2028-02-29"),
        ("2026-12", "2026-12-01", "2026-12-31"),
    ],
)
def test_ranges(text: str, first: str, last: str) -> None:
    assert str(usage_ledger.first_day(text, TODAY)) == first
    assert str(usage_ledger.last_day(text, TODAY)) == last


@pytest.mark.parametrize("text", ["2026", "2026-13", "2026-11-31", "yesterday", "20261130"])
def test_what_is_no_day(text: str, tmp_path: Path) -> None:
    for name in ("first", "last"):
        answer = usage(tmp_path / "none", **{name: text})
        assert answer["failed"]
        assert "Write a day as 2026-11-30, or a month as 2026-11." in answer["msg"]


def test_read_by_day_while_a_server_writes(ledger: Path) -> None:
    answer = usage(ledger, first="2026-11", last="2026-11", by="day")
    assert not answer["changed"]
    assert (answer["since"], answer["first"], answer["last"]) == (
        "2026-10-31", "2026-11-01", "2026-11-30",
    )  # fmt: skip
    counted = [
        (r["period"], r["key"], r["requests"], r["refused"], r["tokens_in"], r["tokens_out"])
        for r in answer["rows"]
    ]
    assert counted == [
        ("2026-11-01", "", 7, 7, 0, 0),
        ("2026-11-01", "a", 1, 0, 30, 30),
        ("2026-11-01", "b", 2, 0, 20, 0),
        ("2026-11-02", "b", 4, 4, 0, 0),
    ]
    assert answer["rows"][3]["refusals"] == {"budget_day": 3, "rate_tokens": 1}
    assert [(r["period"], r["seconds"]) for r in answer["ran"]] == [
        ("2026-11-01", 7200),
        ("2026-11-02", 3600),
    ]


@pytest.mark.parametrize(
    ("by", "periods"),
    [
        ("hour", ["2026-10-31T23:00Z", "2026-11-01T00:00Z", "2026-11-01T05:00Z"]),
        ("day", ["2026-10-31", "2026-11-01"]),
        ("month", ["2026-10", "2026-11"]),
    ],
)
def test_periods(ledger: Path, by: str, periods: list[str]) -> None:
    answer = usage(ledger, first="2026-10", last="2026-11-01", by=by)
    rows = [row for row in answer["rows"] if row["key"] == "a"]
    assert [row["period"] for row in rows] == periods
    assert sum(row["tokens_in"] for row in rows) == 1030


def test_reading_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    store = Store(path)
    store.write("w", 1, {(hour("2026-11-01T00:00"), "a", "m", "ok"): 1}, 0)
    store.close()
    before = {one: one.read_bytes() for one in tmp_path.iterdir()}
    assert usage(path, first="2026-11", last="2026-11")["rows"][0]["ok"] == 1
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == before == {path: before[path]}


def test_no_ledger_is_an_answer(tmp_path: Path) -> None:
    answer = usage(tmp_path / "none")
    assert (answer["exists"], answer["rows"]) == (False, [])


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b"no database " * 1000)
    assert "file is not a database" in usage(path)["msg"]
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 9")
    assert "has version 9; this collection reads 1" in usage(path)["msg"]
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert "is no file" in usage(path)["msg"]
    path.unlink()
    os.mkfifo(path)
    assert "is no file" in usage(path)["msg"]
    answer = usage(path, first="2026-11-02", last="2026-11-01")
    assert answer["msg"] == "first (2026-11-02) is after last (2026-11-01)."


def test_a_ledger_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the server's user may have put anything into it; root reads it."""
    path = tmp_path / "ledger"
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE VIEW usage AS WITH RECURSIVE n(hour) AS (SELECT 1 UNION ALL SELECT hour + 1"
            " FROM n) SELECT hour, 'k' AS key, 'm' AS model, 'ok' AS kind, 1 AS number FROM n"
        )
        db.execute(f"PRAGMA user_version = {VERSION}")
    monkeypatch.setattr(usage_ledger, "READ_S", 0.2)
    assert "cannot be read: interrupted" in usage(path)["msg"]


def test_the_report_of_one_host(ledger: Path) -> None:
    found = usage(ledger, first="2026-11", last="2026-11", by="day")
    made = report([{"host": "h", "usage": found, "hour_price": 0.8}])
    assert made["lines"] == [
        "2026-11-01 to 2026-11-30, UTC",
        "day         key       model  requests  refused  failed  tokens in  tokens out   USD",
        "2026-11-01  (no key)  m             7        7       0          0           0  0.00",
        "2026-11-01  a         m             1        0       0         30          30  1.20",
        "2026-11-01  b         poet          2        0       2         20           0  0.40",
        "2026-11-02  b         m             4        4       0          0           0  0.00",
        "total                              14       11       2         50          30  1.60",
        "refused, (no key): no_key 7",
        "refused, b: budget_day 3, rate_tokens 1",
        "cost of periods in which nobody used a token: USD 0.80",
        COST_NOTE,
    ]
    cost = made["document"]["cost"]
    assert (cost["total"], cost["shared"], cost["without_tokens"]) == (2.4, 1.6, 0.8)
    assert cost["list_price"] is True
    assert json.loads(json.dumps(made["document"]))["total"]["tokens_in"] == 50
    rows = list(csv.DictReader(io.StringIO(made["csv"])))
    assert [row["key"] for row in rows] == ["", "a", "b", "b"]
    assert rows[3]["refusals"] == "budget_day=3;rate_tokens=1"
    assert float(rows[1]["cost_usd"]) == 1.2


def test_hosts_are_added_up_and_half_a_cost_is_none(ledger: Path) -> None:
    found = usage(ledger, first="2026-11", last="2026-11")
    hosts = [
        {"host": "h1", "usage": found, "hour_price": 1.0},
        {"host": "h2", "usage": found, "hour_price": None},
        {"host": "h3", "usage": None, "hour_price": None},
        {"host": "h4", "usage": {**found, "exists": False, "since": None, "rows": [], "ran": []},
         "hour_price": 1.0},
    ]  # fmt: skip
    made = report(hosts)
    assert made["document"]["cost"] is None
    assert made["document"]["total"]["tokens_in"] == 100
    assert {row["cost"] for row in made["document"]["rows"]} == {None}
    assert made["lines"][-3:] == [
        "cost: not known, because the price of an hour is not (usage_hour_price)",
        "h3: not read; it is not in these figures",
        "h4: has no ledger yet",
    ]
    assert made["document"]["rows"][-2]["refusals"] == {"budget_day": 6, "rate_tokens": 2}
    both = report([hosts[0], {**hosts[1], "hour_price": 3.0}])["document"]
    # Three hours at one price, three at another; a has 60 of 80 tokens.
    assert both["cost"]["total"] == 12.0
    assert sum(row["cost"] for row in both["rows"] if row["key"] == "a") == 9.0


def test_nothing_was_counted(tmp_path: Path) -> None:
    found = usage(tmp_path / "none", first="2026-11-01", last="2026-11-02")
    made = report([{"host": "h", "usage": found, "hour_price": None}])
    assert made["lines"] == [
        "No request was counted from 2026-11-01 to 2026-11-02 (UTC).",
        "h: has no ledger yet",
    ]
    assert report([])["lines"] == ["No request was counted (UTC)."]


def test_it_says_since_when_it_counts(ledger: Path) -> None:
    found = usage(ledger, first="2026-09", last="2026-11")
    made = report([{"host": "h", "usage": found, "hour_price": None}])
    assert "h: counted since 2026-10-31" in made["lines"]
