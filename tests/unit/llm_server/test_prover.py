# SPDX-License-Identifier: Apache-2.0
"""The process that tries grammars out: real processes, that burn, crash, hang and are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
from llm_server.process.prover import FailedError, Prover, ProverError, SlowError

PACKAGE = Path(__file__).parents[3] / "files"


def work(task: dict[str, Any]) -> dict[str, Any]:
    kind = task["kind"]
    if kind == "burn":
        while True:
            pass
    if kind == "sleep":
        time.sleep(600)
    if kind == "raise":
        raise ValueError("it is wrong")
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "eat":
        return {"size": len(bytearray(3 * 2**30))}
    if kind == "deep":
        return work(task)
    if kind == "files":
        return {"files": len(list(Path("/proc/self/fd").iterdir()))}
    return {"is": task["text"] * 2, "parent": os.getppid()}


def run(play: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(play, 180))


async def until_no_tries(prover: Prover) -> None:
    while psutil.Process(prover.pid).children():
        await asyncio.sleep(0.02)


def test_answers() -> None:
    async def play() -> None:
        prover = Prover(lambda: work)
        try:
            long = "x" * 300_000
            tasks = [prover.prove({"kind": "", "text": text}, 5) for text in ("a", "é\n", long)]
            found = await asyncio.gather(*tasks)
            assert [one["is"] for one in found] == ["aa", "é\né\n", long * 2]
            assert {one["parent"] for one in found} == {prover.pid}, "one process serves all"
            assert not prover._waiting
        finally:
            prover.close()

    run(play())


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("burn", SlowError, ""),
        ("sleep", SlowError, ""),
        ("raise", FailedError, "it is wrong"),
        ("crash", FailedError, ""),
        ("eat", FailedError, "memory"),
        ("deep", FailedError, "recursion"),
    ],
)
def test_what_goes_wrong(kind: str, error: type[Exception], text: str) -> None:
    async def play() -> None:
        prover = Prover(lambda: work)
        try:
            with pytest.raises(error, match=text or None):
                await prover.prove({"kind": kind}, 0.2 if error is SlowError else 20)
            await until_no_tries(prover)
            assert (await prover.prove({"kind": "", "text": "a"}, 5))["is"] == "aa"
        finally:
            prover.close()

    run(play())


def test_one_that_is_slow_holds_up_no_other() -> None:
    async def play() -> None:
        prover = Prover(lambda: work)
        try:
            slow = asyncio.ensure_future(prover.prove({"kind": "burn"}, 30))
            assert (await prover.prove({"kind": "", "text": "a"}, 5))["is"] == "aa"
            assert not slow.done()
            slow.cancel()  # its client has left
            await until_no_tries(prover)
            assert not prover._waiting
        finally:
            prover.close()

    run(play())


def test_one_that_was_killed_is_started_again() -> None:
    async def play() -> None:
        prover = Prover(lambda: work)
        try:
            hanging = asyncio.ensure_future(prover.prove({"kind": "sleep"}, 30))
            await asyncio.sleep(0)
            while not prover.pid or not psutil.Process(prover.pid).children():
                await asyncio.sleep(0.02)
            first, (child,) = prover.pid, psutil.Process(prover.pid).children()
            os.kill(first, signal.SIGKILL)
            with pytest.raises(ProverError):
                await hanging
            assert (await prover.prove({"kind": "", "text": "a"}, 5))["is"] == "aa"
            assert prover.pid != first
            while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.02)
        finally:
            prover.close()

    run(play())


def test_it_keeps_nothing_of_the_server_open() -> None:
    async def play() -> None:
        prover = Prover(lambda: work)
        kept = [socket.socket() for _ in range(20)]
        try:
            # 0 to 2, its connection, the two ends of its pipe, and the folder itself.
            assert (await prover.prove({"kind": "files"}, 5))["files"] <= 7
        finally:
            prover.close()
            for one in kept:
                one.close()

    run(play())


CHILD = """
import asyncio, sys, time
from llm_server.process.prover import Prover
def work(task):
    time.sleep(600)
async def main():
    prover = Prover(lambda: work)
    task = asyncio.ensure_future(prover.prove({}, 300))
    while not prover.pid:
        await asyncio.sleep(0.02)
    print(prover.pid, flush=True)
    await task
asyncio.run(main())
"""


def test_nothing_outlives_the_server() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, env={"PYTHONPATH": str(PACKAGE)}
    ) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        prover = psutil.Process(pid)
        until = time.monotonic() + 60
        while not (children := prover.children()):
            assert time.monotonic() < until, "nothing is tried"
            time.sleep(0.02)
        processes = [prover, *children]
        server.kill()
        server.wait()
    deadline = time.monotonic() + 120
    while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes):
        assert time.monotonic() < deadline
        time.sleep(0.05)
