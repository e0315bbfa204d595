# SPDX-License-Identifier: Apache-2.0
"""One ledger through the lives of a server: its waiting room, its end, a kill, a next start."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx

from demo.ports import free_port

ROOT = Path(__file__).parents[3]
KEY = "unit-test-key-0123456789"

#: All of it but the engine: `server.run` with its waiting room, signals and end.
PROGRAM = """
import asyncio, sys
from pathlib import Path
from types import SimpleNamespace
from fastapi import FastAPI
from llm_server import server
from llm_server.facts import ModelFacts
from llm_server.keys.access import Access, Key, digest
from llm_server.record import current
from llm_server.settings import Settings
from tests.unit.llm_server.fake_engine import Client

app = FastAPI()

@app.post("/v1/completions")
async def work():
    current.get().used(7, 3)

async def nothing(*_):
    pass

class Loader:
    def __init__(self, *_):
        pass

    async def load(self):
        while not Path(sys.argv[1], "go").exists():
            await asyncio.sleep(0.01)
        return SimpleNamespace(
            client=Client(), app=app, tasks=(), unknown=True, generates=False, died=False,
            shut_down=nothing,
        )

server.Loader, server.make_first_token = Loader, nothing
server.facts_of = lambda *_: ModelFacts()
settings = Settings(
    port=int(sys.argv[2]), model_path="m", served_model_name="m", access_file="x",
    ledger_file=sys.argv[1] + "/ledger.sqlite",
)
key = Key(name="k", sha256=digest(sys.argv[3]), tokens_per_day=55)
server.run(settings, Access(keys=(key,)))
"""


#: A bound against hanging, as machines may be busy.
LONGEST_S = 120.0


def kept(folder: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
        found.update(dict(db.execute("SELECT kind, SUM(number) FROM usage GROUP BY 1")))
    del found["seconds"]
    return found


def live(folder: Path, end: signal.Signals, written: dict[str, int]) -> list[int]:
    """One life: a request while it loads, four when it can answer, one without a key.

    A kill comes when the ledger has what is to be `written`: what came since would be lost.
    """
    (folder / "go").unlink(missing_ok=True)
    port = free_port()
    with (
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(port), KEY],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT / 'files'}:{ROOT}"},
        ) as process,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=LONGEST_S
        ) as http,
    ):
        try:
            statuses = [_ask(http)]
            (folder / "go").touch()
            while not _is_healthy(http):
                time.sleep(0.02)
            statuses += [_ask(http) for _ in range(4)]
            statuses.append(http.post("/v1/completions").status_code)
            deadline = time.monotonic() + LONGEST_S
            while end is signal.SIGKILL and kept(folder) != written:
                assert time.monotonic() < deadline, kept(folder)
                time.sleep(0.1)
        finally:
            process.send_signal(end)
        assert process.wait(LONGEST_S) == (0 if end is signal.SIGTERM else -signal.SIGKILL)
    return statuses


def _is_healthy(http: httpx.Client) -> bool:
    # The room that others waited in may close a connection as it is used again.
    with contextlib.suppress(httpx.TransportError):
        return http.get("/health").status_code == 200
    return False


def _ask(http: httpx.Client) -> int:
    deadline = time.monotonic() + LONGEST_S
    while True:
        try:
            headers = {"Authorization": f"Bearer {KEY}"}
            return http.post("/v1/completions", headers=headers).status_code
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


FIRST = {"ok": 4, "prompt": 28, "generation": 12, "refused/loading": 1, "refused/no_key": 1}


def test_each_request_is_there_once_and_budgets_go_on(tmp_path: Path) -> None:
    for folder in (tmp_path / "one day", tmp_path / "the next"):
        folder.mkdir()
        began = time.gmtime().tm_yday
        first = live(folder, signal.SIGKILL, FIRST), kept(folder)
        second = live(folder, signal.SIGTERM, {})
        if time.gmtime().tm_yday == began:
            break  # else budgets have started over in between
    assert first == ([503, 200, 200, 200, 200, 401], FIRST)
    assert second == [503, 200, 200, 429, 429, 401]
    assert kept(folder) == {
        "ok": 6,
        "prompt": 42,
        "generation": 18,
        "refused/loading": 2,
        "refused/no_key": 2,
        "refused/budget_day": 2,
    }
    assert {one.name for one in folder.iterdir()} == {"ledger.sqlite", "go"}, "ended in order"
