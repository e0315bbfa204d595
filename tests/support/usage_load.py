# SPDX-License-Identifier: Apache-2.0
"""Clients with keys of their own that count what they get, beside what the server's ledger has."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from typing import Any, Self

import httpx

from tests.support.module_runs import run_module
from tests.support.server_fixture import Server

COUNTS = ("requests", "ok", "client_gone", "tokens_in", "tokens_out")
#: To a client they are one: it gets an error.
ERRORS = ("client_error", "server_error", "refused")


def secret(name: str) -> str:
    """The key of that name."""
    return f"key-of-{name}-0123456789"


def key(name: str, **more: Any) -> dict[str, Any]:
    """As access.yaml has it."""
    return {"name": name, "sha256": hashlib.sha256(secret(name).encode()).hexdigest(), **more}


def client(server: Server, name: str) -> httpx.Client:
    """Asks with the key of that name."""
    return httpx.Client(
        base_url=server.open.base_url,
        timeout=120,
        headers={"Authorization": f"Bearer {secret(name)}"},
        trust_env=False,
    )


def kept(server: Server, name: str) -> dict[str, Counter[str]]:
    """What the ledger has of a key, by model."""
    options = {"path": str(server.ledger), "first": "2020-01", "by": "day"}
    answer = run_module("llm_usage_info", options)
    found: dict[str, Counter[str]] = {}
    for row in answer["rows"]:
        if row["key"] == name:
            counted = found.setdefault(row["model"], Counter())
            counted.update({count: row[count] for count in COUNTS if row[count]})
            counted["errors"] += sum(row[count] for count in ERRORS)
            budgets = {k: n for k, n in row["refusals"].items() if k.startswith("budget_")}
            counted.update(budgets)
    return found


def wait_for_kept(server: Server, name: str, expected: dict[str, Counter[str]]) -> None:
    """Until the ledger has exactly that; it is written once a second."""
    deadline = time.monotonic() + 120
    while (found := kept(server, name)) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found == expected


class Steady:
    """A context in which one client asks one thing after the other, whether it is answered or not.

    It keeps when each answer was whole.
    """

    def __init__(self, server: Server, name: str) -> None:
        self.answered: list[float] = []
        self._client = client(server, name)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        body = {"prompt": "Hi", "max_tokens": 2}
        while not self._end.is_set():
            try:
                answer = self._client.post("/generate", json=body)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code == 200:
                self.answered.append(time.monotonic())
            else:
                time.sleep(0.05)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def end(self) -> None:
        """Asks no more."""
        self._end.set()
        self._thread.join(120)

    def __exit__(self, *_: object) -> None:
        self.end()
        self._client.close()
