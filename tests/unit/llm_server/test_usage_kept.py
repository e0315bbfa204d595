# SPDX-License-Identifier: Apache-2.0
"""One ledger through the lives of a server: its waiting room, its end, a kill, a next start."""

from __future__ import annotations

import contextlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from llm_server.ledger.ledger import WRITE_S

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


def kept(folder: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
        found.update(dict(db.execute("SELECT kind, SUM(number) FROM usage GROUP BY 1")))
    del found["seconds"]
    return found


def live(folder: Path, end: signal.Signals) -> list[int]:
    """One life: a request while it loads, four when it can answer, one without a key."""
    (folder / "go").unlink(missing_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with (
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(port), KEY],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT / 'files'}:{ROOT}"},
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        try:
            statuses = [_ask(http)]
            (folder / "go").touch()
            while http.get("/health").status_code != 200:
                time.sleep(0.02)
            statuses += [_ask(http) for _ in range(4)]
            statuses.append(http.post("/v1/completions").status_code)
            if end is signal.SIGKILL:  # what is lost then is what came since the last write
                time.sleep(2 * WRITE_S)
        finally:
            process.send_signal(end)
        assert process.wait(20) == (0 if end is signal.SIGTERM else -signal.SIGKILL)
    return statuses


def _ask(http: httpx.Client) -> int:
    deadline = time.monotonic() + 30
    while True:
        try:
            headers = {"Authorization": f"Bearer {KEY}"}
            return http.post("/v1/completions", headers=headers).status_code
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.skipif(time.gmtime()[3:5] == (23, 59), reason="the day ends within a minute")
def test_each_request_is_there_once_and_budgets_go_on(tmp_path: Path) -> None:
    assert live(tmp_path, signal.SIGKILL) == [503, 200, 200, 200, 200, 401]
    first = {"ok": 4, "prompt": 28, "generation": 12, "refused/loading": 1, "refused/no_key": 1}
    assert kept(tmp_path) == first
    assert live(tmp_path, signal.SIGTERM) == [503, 200, 200, 429, 429, 401]
    assert kept(tmp_path) == {
        "ok": 6,
        "prompt": 42,
        "generation": 18,
        "refused/loading": 2,
        "refused/no_key": 2,
        "refused/budget_day": 2,
    }
    assert {one.name for one in tmp_path.iterdir()} == {"ledger.sqlite", "go"}, "ended in order"
