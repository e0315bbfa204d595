# SPDX-License-Identifier: Apache-2.0
"""The ledger and budgets with a real vLLM: what the server keeps is what its clients got."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.server_fixture import MODEL_NAME, Server
from tests.support.usage_load import client, key, wait_for_kept

pytestmark = pytest.mark.vllm

BUDGET = 60
CHAT = "/v1/chat/completions"


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """The shared one, with keys of this test."""
    shared_server.write_access(key("alice"), key("bob"), key("limited", tokens_per_day=BUDGET))
    shared_server.reload()
    yield shared_server
    shared_server.write_access()
    shared_server.reload()


def chat(tokens: int, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Count to {tokens}."}]
    return {"model": MODEL_NAME, "messages": messages, "max_tokens": tokens, **more}


def used(usage: dict[str, int]) -> Counter[str]:
    tokens = {"tokens_in": usage["prompt_tokens"], "tokens_out": usage["completion_tokens"]}
    return Counter({"requests": 1, "ok": 1, **tokens})


def ask(http: httpx.Client, body: dict[str, Any], path: str = CHAT) -> Counter[str]:
    """One that is answered; what its answer says that it used."""
    answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    if not body.get("stream"):
        return used(answer.json()["usage"])
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert events.pop() == "[DONE]"
    return used(json.loads(events[-1])["usage"])


def total(counters: Iterator[Counter[str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in counters:
        found += one
    return found


def test_the_ledger_has_what_clients_got(server: Server) -> None:
    with client(server, "alice") as http, ThreadPoolExecutor(6) as pool:
        bodies = [chat(2 + number, n=1 + number % 2) for number in range(18)]
        alice = total(pool.map(lambda body: ask(http, body), bodies))
    streams = {"stream": True, "stream_options": {"include_usage": True}}
    with client(server, "bob") as http:
        bob = total(ask(http, chat(tokens, **streams)) for tokens in (3, 5, 7))
        bob += ask(http, {"prompt": "Hi", "max_tokens": 4}, "/generate")
        pirate = ask(http, chat(5) | {"model": "pirate"})
        assert http.post(CHAT, json=chat(5) | {"temperature": -1}).status_code == 400
        assert http.post(CHAT, json=chat(5) | {"model": "nobody"}).status_code == 404
        assert http.get("/no/such/path").status_code == 404
        many = {"model": MODEL_NAME, "prompt": ["Hi"] * 100, "n": 2}
        assert http.post("/v1/completions", json=many).status_code == 400
        assert http.get("/v1/models").status_code == 200
        bob += Counter({"requests": 5, "errors": 4, "ok": 1})
    wait_for_kept(server, "alice", {MODEL_NAME: alice})
    wait_for_kept(server, "bob", {MODEL_NAME: bob, "pirate": pirate})
    tokens = server.families()["llm_tokens"]
    assert tokens["alice", "prompt"] == alice["tokens_in"]
    assert tokens["bob", "generation"] == (bob + pirate)["tokens_out"]


def refused_until(resets: datetime, http: httpx.Client, body: dict[str, Any], path: str) -> None:
    """Asks, and sees that it is refused until then."""
    asked = datetime.now(UTC)
    answer = http.post(path, json=body)
    told = datetime.now(UTC)
    assert answer.status_code == 429
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    said = re.search(r"begins at (\S+), in (\d+) s\.", error["message"])
    assert said is not None, error
    assert said[1] == f"{resets:%Y-%m-%dT%H:%M:%SZ}"
    assert said[2] == answer.headers["retry-after"]
    most, least = ((resets - now).total_seconds() for now in (asked, told))
    assert least - 1 <= int(said[2]) <= most + 1
    assert answer.headers["x-should-retry"] == "false"


def test_a_budget_is_used_up_until_the_next_day(server: Server) -> None:
    now = datetime.now(UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if (day - now).total_seconds() < 900:
        pytest.skip("the day may end while a busy machine is at this")
    month = (day - timedelta(days=1)).replace(day=1) + timedelta(days=32)
    spent: Counter[str] = Counter()
    with client(server, "limited") as http:
        while spent["tokens_in"] + spent["tokens_out"] < BUDGET:
            spent += ask(http, chat(4))
        refused_until(day, http, chat(4), CHAT)
        refused_until(day, http, {"prompt": "Hi"}, "/tokenize")
        assert http.get("/v1/models").status_code == 200
        spent += Counter({"requests": 3, "ok": 1, "errors": 2, "budget_day": 2})
        wait_for_kept(server, "limited", {MODEL_NAME: spent})

        # Another budget takes no restart.
        more = {"tokens_per_day": 10 * BUDGET, "tokens_per_month": BUDGET}
        server.write_access(key("limited", **more))
        server.reload()
        refused_until(month.replace(day=1), http, chat(4), CHAT)
        server.write_access(key("limited", tokens_per_day=10 * BUDGET))
        server.reload()
        spent += ask(http, chat(4))

    # Many at once cannot go over it by more than one of them: each sets aside what it may use.
    before = spent["tokens_in"] + spent["tokens_out"]
    server.write_access(key("limited", tokens_per_day=before + 100))
    server.reload()
    with client(server, "limited") as http, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: http.post(CHAT, json=chat(40)), range(8)))
    sizes = [a.json()["usage"]["total_tokens"] for a in answers if a.status_code == 200]
    assert sizes and sum(sizes) < 100 + max(sizes)
    assert len(sizes) < len(answers)
    assert {a.status_code for a in answers} == {200, 429}
