# SPDX-License-Identifier: Apache-2.0
"""usage.yml: the ledger of a host, with the price of its instance."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from llm_server.ledger.store import Store

from tests.support.site_fixture import NAME, Site

HOUR = int(datetime(2026, 11, 1, 5, tzinfo=UTC).timestamp() // 3600)
NOVEMBER = ("-e", "usage_from=2026-11", "-e", "usage_to=2026-11")


@pytest.fixture
def counted(made: Site) -> Iterator[Site]:
    """An instance whose host is this machine, with a server that has its ledger open."""
    made.reach_locally()
    path = made.folder / "ledger.sqlite"
    made.servers[NAME]["__usage_path"] = str(path)
    store = Store(path)
    entries = {
        (HOUR, "partner", "m", "ok"): 3,
        (HOUR, "partner", "m", "prompt"): 30,
        (HOUR + 24, "partner", "m", "generation"): 45,
        (HOUR, "default", "m", "generation"): 25,
        (HOUR, "default", "m", "refused/budget_day"): 2,
        (HOUR, "", "m", "seconds"): 7200,
    }
    store.write("w", 1, entries, HOUR)
    yield made
    store.close()


def test_who_used_how_much(counted: Site) -> None:
    target = counted.folder / "usage"
    options = (*NOVEMBER, "-e", f"usage_output={target}")
    counted.ok("usage", *options, "-e", "usage_format=json", "--check", changed=0)
    found = json.loads(target.read_text())
    [host] = found["hosts"]
    assert (host["host"], host["ran_hours"]) == (NAME, 2)
    # What the instance costs by the dated table, its disk and address included.
    assert host["hour_price"] > 0
    shares = {row["key"]: row["cost"] / host["hour_price"] for row in found["rows"]}
    assert shares == pytest.approx({"partner": 1.5, "default": 0.5}, abs=1e-3)

    # Where there is no cloud the price is given, and everything else is the same.
    counted.clouds = {}
    options += ("-e", "usage_by=day", "-e", "usage_format=csv", "-e", "usage_hour_price=5.5")
    counted.ok("usage", *options, changed=0)
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [(r["period"], r["key"], r["tokens_out"], r["cost_usd"]) for r in rows] == [
        ("2026-11-01", "default", "25", "5.000000"),
        ("2026-11-01", "partner", "0", "6.000000"),
        ("2026-11-02", "partner", "45", "0.000000"),
    ]

    done = counted.play("playbooks/usage.yml", "-e", "usage_form=csv")
    assert done.returncode != 0
    assert "Did you mean usage_format" in " ".join(done.stdout.split())
