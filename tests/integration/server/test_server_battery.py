# SPDX-License-Identifier: Apache-2.0
"""A server that was sent everything odd is as it was: healthy, and nothing is left of it."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.odd_bodies import Odd, odd_bodies
from tests.support.server_fixture import KEY, MODEL_NAME, STALL_S, Server

pytestmark = pytest.mark.vllm

#: Seconds of idleness after the bodies: some stall time-outs; more where a longer look is wanted.
IDLE_S = float(os.environ.get("GCE_VLLM_IDLE_SECONDS", str(2 * STALL_S)))


@pytest.fixture
def server(fallen: Server) -> Server:
    """It, healthy: no other test has ended it."""
    fallen.have_healthy()
    return fallen


def tables(server: Server) -> dict[str, int]:
    """The last that it said of them."""
    # The last line may be half written.
    lines = server.log.read_text(errors="replace").split("\n")[:-1]
    said = [line.split("Tables: ")[1] for line in lines if "Tables: " in line]
    found: dict[str, int] = json.loads(said[-1])
    return found


def wait_for_empty_tables(server: Server) -> None:
    server.wait_until_idle()
    deadline = time.monotonic() + 300
    while any(tables(server).values()):
        assert time.monotonic() < deadline, tables(server)
        time.sleep(0.2)


def send(server: Server, odd: Odd) -> int:
    """The status; 0 where the client left, or no answer came."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    leaves = random.Random(odd.body).uniform(0.0, 1.0)  # noqa: S311 - the same in each run
    timeout = httpx.Timeout(leaves) if odd.leaves else httpx.Timeout(600)
    url = f"http://127.0.0.1:{server.port}{odd.path}"
    try:
        return httpx.post(url, content=odd.body, headers=headers, timeout=timeout).status_code
    except httpx.TransportError:
        return 0


def phases(server: Server) -> list[str]:
    return [notice for notice in server.notices if "Stuck" in notice]


def test_odd_bodies_and_then_nothing(server: Server) -> None:
    odd = list(odd_bodies())
    assert len(odd) >= 200
    before = phases(server)
    pid, engine = server.process.pid, server.engine().pid
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda each: send(server, each), odd))
    print(f"{len(odd)} bodies: {dict(Counter(statuses))}")  # noqa: T201 - for the figures
    unanswered = [o for o, status in zip(odd, statuses, strict=True) if not (status or o.leaves)]
    assert unanswered == []
    wait_for_empty_tables(server)
    deadline = time.monotonic() + IDLE_S
    while time.monotonic() < deadline:
        sample = server.health()
        assert sample is not None
        assert (sample.status, sample.body["status"]) == (200, "healthy"), server.tail()
        time.sleep(0.25)
    assert (server.process.pid, server.engine().pid) == (pid, engine)
    assert phases(server) == before
    assert not any(tables(server).values()), tables(server)
    answer = server.authorised.post("/generate", json={"prompt": "Hi", "max_tokens": 2})
    assert answer.status_code == 200


def test_a_slow_grammar_is_no_stuck_engine(server: Server) -> None:
    """It may compile for minutes; others go on, and its client may leave."""
    # As an operator may allow it.
    server.write_access(max_grammar_bytes=4 * 2**20, max_grammar_seconds=600)
    server.reload()
    words = [f"{number:x}" * 40 for number in range(1, 900)]
    body = {"model": MODEL_NAME, "prompt": "a", "max_tokens": 2}
    slow = json.dumps(body | {"structured_outputs": {"choice": words}}).encode()
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(send, server, Odd("/v1/completions", slow))
        deadline = time.monotonic() + 2 * STALL_S
        while time.monotonic() < deadline and not waiting.done():
            assert server.authorised.post("/v1/completions", json=body).status_code == 200
            sample = server.health()
            assert sample is not None
            assert sample.status == 200, sample
        waiting.result()
    wait_for_empty_tables(server)
