# SPDX-License-Identifier: Apache-2.0
"""What the ledger keeps: once, through kills, full disks and damage, and never in the way."""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from llm_server.ledger import ledger as module
from llm_server.ledger.ledger import GENERATION, PROMPT, SECONDS, Ledger, Spent
from llm_server.ledger.store import HOURLY_DAYS, Store, is_damaged

ROOT = Path(__file__).parents[3]
#: 2026-11-30 23:30 UTC: the last half hour of a day, and of a month.
LATE = 1_796_081_400.0
DAY_S = 86400.0


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_S", 0.01)
    monkeypatch.setattr(module, "TRY_AGAIN_S", 0.01)


def rows(path: Path) -> dict[tuple[int, str, str, str], int]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return {tuple(row[:4]): row[4] for row in db.execute("SELECT * FROM usage")}  # type: ignore[misc]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_is_counted_is_in_the_file_and_known_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    hour = int(LATE // 3600)
    for turn in (1, 2):
        ledger = Ledger(path, "m", clock=lambda: LATE)
        ledger.start()
        assert ledger.wait_until_read(120)
        assert ledger.spent("a") == Spent(10 * (turn - 1), 10 * (turn - 1))
        ledger.add("a", None, "ok", 1)
        ledger.add("a", "poet", PROMPT, 7)
        ledger.add("a", "poet", GENERATION, 3)
        ledger.add("a", "poet", GENERATION, 0)
        ledger.add(None, None, "refused/no_key", 1)
        assert ledger.spent("a") == Spent(10 * turn, 10 * turn)
        ledger.close(120)
        assert list(tmp_path.iterdir()) == [path], "closed in good order"
    assert rows(path) == {
        (hour, "a", "m", "ok"): 2,
        (hour, "a", "poet", "prompt"): 14,
        (hour, "a", "poet", "generation"): 6,
        (hour, "", "m", "refused/no_key"): 2,
    }


def test_days_and_months_end_in_utc(tmp_path: Path) -> None:
    now = LATE - 2 * DAY_S
    ledger = Ledger(tmp_path / "l", clock=lambda: now)
    ledger.add("a", None, PROMPT, 1)
    now = LATE
    ledger.add("a", None, PROMPT, 10)
    assert ledger.spent("a") == Spent(10, 11)
    now = LATE + 1799
    assert ledger.spent("a") == Spent(10, 11)
    now = LATE + 1800  # the first of December
    assert ledger.spent("a") == Spent(0, 0)
    now = LATE  # the clock was set: what was counted is there still
    assert ledger.spent("a") == Spent(10, 11)
    assert ledger.spent("b") == Spent(0, 0)


def test_without_a_file_it_counts_for_budgets_alone() -> None:
    ledger = Ledger(clock=lambda: LATE)
    ledger.start()
    ledger.add("a", None, PROMPT, 5)
    assert ledger.spent("a") == Spent(5, 5)
    assert (ledger.unwritten_seconds(), ledger.take()) == (0.0, {})
    ledger.close(1)


WRITER = """
import sys, time
from pathlib import Path
from llm_server.ledger import ledger as module
module.WRITE_S = 0.05
ledger = module.Ledger(Path(sys.argv[1]), "m")
ledger.start()
ledger.wait_until_read(120)
number = 0
while True:
    number += 1
    ledger.add("a", None, "ok", 1)
    print(number, flush=True)
    time.sleep(0.002)
"""


def test_killed_while_it_writes(tmp_path: Path) -> None:
    """Six lives of one ledger: of each at most the last moments are lost, nothing is twice."""
    path = tmp_path / "ledger.sqlite"
    for life in range(6):
        before = sum(rows(path).values()) if path.exists() else 0
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            env={"PYTHONPATH": str(ROOT / "files")},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "1\n"
            while (seen := sum(rows(path).values())) == before:
                time.sleep(0.01)
            time.sleep(0.013 * life)
            process.send_signal(signal.SIGKILL)
            counted = int(process.stdout.read().split()[-1])
        kept = sum(rows(path).values()) - before
        assert seen - before <= kept <= counted
        # In 0.05 s between writes there are 25 requests at most; a busy disk takes far longer.
        assert counted - kept <= 10_000, (counted, kept)


def test_a_batch_whose_commit_is_unknown_is_added_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "l")
    for _ in range(2):
        store.write("w", 1, {(1, "a", "m", "ok"): 3}, 1)
    store.write("w", 2, {(1, "a", "m", "ok"): 4}, 1)
    store.write("v", 1, {(1, "a", "m", "ok"): 10}, 1)
    store.close()
    assert rows(tmp_path / "l") == {(1, "a", "m", "ok"): 17}


def test_the_commit_that_failed_had_come_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Store.write
    failed = threading.Event()

    def fails_once(self: Store, *given: object) -> None:
        write(self, *given)  # type: ignore[arg-type]
        if not failed.is_set():
            failed.set()
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "write", fails_once)
    ledger = Ledger(tmp_path / "l", "m", clock=lambda: LATE)
    ledger.add("a", None, "ok", 3)
    ledger.start()
    until(failed.is_set)
    ledger.add("a", None, "ok", 4)
    ledger.close(120)
    assert sum(rows(tmp_path / "l").values()) == 7


@pytest.mark.parametrize("damage", ["text", "middle", "short"])
def test_a_damaged_file_is_set_aside_and_said_once(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.sqlite"
    store = Store(path)
    store.write("w", 1, {(n, f"key{n}", "m", "ok"): 1 for n in range(2000)}, 1)
    store.close()
    good = path.read_bytes()
    bad = {
        "text": b"this is no database at all\n" * 200,
        "middle": good[:4096] + b"\xa5" * 8192 + good[12288:],
        "short": good[: len(good) // 2],
    }
    path.write_bytes(bad[damage])
    ledger = Ledger(path, "m", clock=lambda: LATE)
    ledger.add("a", None, "ok", 1)
    ledger.start()
    until(lambda: ledger.unwritten_seconds() == 0)
    ledger.add("a", None, "ok", 1)
    ledger.close(120)
    assert sum(rows(path).values()) == 2
    assert ledger.replaced == 1
    aside = [p for p in tmp_path.iterdir() if ".damaged-" in p.name]
    assert [p.read_bytes() for p in aside if p.suffix not in ("-wal", "-shm")] == [bad[damage]]
    assert [r.levelno for r in caplog.records] == [logging.ERROR]
    assert str(path) in caplog.text


def test_it_is_damaged_while_it_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, "m", clock=lambda: LATE)
    ledger.start()
    ledger.add("a", None, PROMPT, 1)
    until(lambda: ledger.unwritten_seconds() == 0)
    write = Store.write

    def damaged(*_: object) -> None:
        monkeypatch.setattr(Store, "write", write)
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(Store, "write", damaged)
    ledger.add("a", None, PROMPT, 2)
    until(lambda: ledger.replaced)
    until(lambda: ledger.unwritten_seconds() == 0)
    assert ledger.spent("a") == Spent(3, 3), "budgets go on"
    ledger.close(120)
    assert sum(rows(path).values()) == 2


def test_damaged_files_do_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    for number in range(4):
        path.write_bytes(b"\xa5" * 5000)
        then = time.struct_time((2026, 1, 1, 0, 0, number, 0, 0, 0))
        monkeypatch.setattr("time.gmtime", lambda then=then: then)
        ledger = Ledger(path, "m", clock=lambda: LATE)
        ledger.start()
        until(lambda ledger=ledger: ledger.replaced)  # type: ignore[misc]
        ledger.close(120)
    names = {p.name for p in tmp_path.iterdir() if ".damaged-" in p.name}
    assert names == {"ledger.sqlite.damaged-20260101T000003Z"}


FULL = """
import logging, resource, sys, time
from pathlib import Path
from llm_server.ledger import ledger as module
module.WRITE_S = module.TRY_AGAIN_S = 0.01
logging.basicConfig(format="%(message)s")
ledger = module.Ledger(Path(sys.argv[1]), "m")
ledger.start()
ledger.wait_until_read(120)
# From here on no file may grow: what a full disk is to a program.
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
longest = 0.0
for number in range(3000):
    before = time.perf_counter()
    ledger.add(f"key{number % 100}", None, module.PROMPT, 1)
    longest = max(longest, time.perf_counter() - before)
    if number % 100 == 0:
        time.sleep(0.01)
assert ledger.unwritten_seconds() > 0.1, ledger.unwritten_seconds()
assert ledger.spent("key7").day == 30
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
deadline = time.monotonic() + 120
while ledger.unwritten_seconds() and time.monotonic() < deadline:
    time.sleep(0.01)
ledger.close(120)
print(ledger.lost, longest < 30)
"""


def test_a_full_disk_delays_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        env={"PYTHONPATH": str(ROOT / "files")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "0 True\n", done.stderr
    assert sum(rows(path).values()) == 3000
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert "requests are served all the same" in lines[0]
    assert lines[1] == "The usage is written again"


def test_a_place_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    ledger = Ledger(tmp_path / "file" / "ledger", "m", clock=lambda: LATE)
    ledger.start()
    assert ledger.wait_until_read(120) is False
    ledger.add("a", None, PROMPT, 1)
    time.sleep(0.1)
    assert ledger.spent("a") == Spent(1, 1)
    assert ledger.unwritten_seconds() > 0
    ledger.close(120)
    (said,) = [r.getMessage() for r in caplog.records][1:]
    assert re.fullmatch(r"The usage of the last \d+ s was not written", said)


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    ledger = Ledger(tmp_path / "l", clock=lambda: LATE)
    for number in range(5):
        ledger.add(f"k{number}", None, "ok", 1)
        ledger.add("k0", None, "ok", 1)
    assert (len(ledger.take()), ledger.lost) == (3, 2)


def test_a_ledger_of_another_version_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    ledger = Ledger(path, clock=lambda: LATE)
    ledger.start()
    assert ledger.wait_until_read(120) is False
    ledger.close(120)
    assert path.read_bytes() == before
    assert "its version is 7" in caplog.text


def test_old_hours_are_joined_and_old_days_go(tmp_path: Path) -> None:
    store = Store(tmp_path / "l")
    today = int(LATE // 86400)
    old = today - HOURLY_DAYS - 1
    entries = {
        (today * 24 + 5, "a", "m", "ok"): 1,
        ((old + 1) * 24 + 5, "a", "m", "ok"): 2,
        (old * 24, "a", "m", "ok"): 10,
        (old * 24 + 5, "a", "m", "ok"): 20,
        (old * 24 + 23, "a", "m", "ok"): 40,
        (old * 24 + 23, "b", "m", "ok"): 80,
        ((today - 100) * 24 + 3, "a", "m", "ok"): 3,
        ((today - 101) * 24 + 23, "a", "m", "ok"): 4,
    }
    store.write("w", 1, entries, today * 24 - 100)
    store.write("v", 1, {}, today * 24)
    for _ in range(2):
        store.tidy(today * 24 + 5, 100)
    store.close()
    assert rows(tmp_path / "l") == {
        (today * 24 + 5, "a", "m", "ok"): 1,
        ((old + 1) * 24 + 5, "a", "m", "ok"): 2,
        (old * 24, "a", "m", "ok"): 70,
        (old * 24, "b", "m", "ok"): 80,
        ((today - 100) * 24, "a", "m", "ok"): 3,
    }
    with sqlite3.connect(tmp_path / "l") as db:
        assert [name for (name,) in db.execute("SELECT name FROM writers")] == ["v"]


def test_the_time_that_it_runs_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "l"
    ledger = Ledger(path, "m", clock=lambda: LATE)
    ledger.start(beats_since=time.monotonic() - 90.5)
    ledger.close(120)
    (entry, seconds), *_ = rows(path).items()
    assert entry[1:] == ("", "m", SECONDS)
    assert 90 <= seconds < 212


def test_reading_takes_no_lock_from_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "l"
    store = Store(path)
    store.write("w", 1, {(1, "a", "m", "ok"): 1}, 1)
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT number FROM usage").fetchone() == (1,)
    before = time.monotonic()
    store.write("w", 2, {(1, "a", "m", "ok"): 1}, 1)
    assert time.monotonic() - before < 10
    assert reader.execute("SELECT number FROM usage").fetchone() == (1,)
    reader.close()
    store.close()


def test_which_errors_mean_damage(tmp_path: Path) -> None:
    assert not is_damaged(OSError())
    assert not is_damaged(sqlite3.OperationalError("database or disk is full"))
    assert is_damaged(sqlite3.DatabaseError("damaged: row 3"))
    assert is_damaged(sqlite3.OperationalError("no such table: usage"))
