# SPDX-License-Identifier: Apache-2.0
"""The end of a process is seen at once, by whose child it may be."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from llm_server.process.deaths import Deaths

#: A process whose child is not ours; it says the child's number.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "600"])
print(child.pid, flush=True)
child.wait()
time.sleep(600)
"""


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"])


def test_the_first_death_is_told_once() -> None:
    async def play() -> list[str]:
        told: list[str] = []
        seen = asyncio.Event()

        def died(name: str) -> None:
            told.append(name)
            seen.set()

        deaths = Deaths(died)
        one, two = sleeper(), sleeper()
        deaths.watch({one.pid: "one", two.pid: "two"})
        await asyncio.sleep(0.05)
        assert told == []
        two.kill()
        await asyncio.wait_for(seen.wait(), 120)
        one.kill()
        one.wait()
        await asyncio.sleep(0.05)
        deaths.close()
        two.wait()
        return told

    assert asyncio.run(play()) == ["two"]


def test_a_child_of_a_child() -> None:
    async def play() -> None:
        seen = asyncio.Event()
        deaths = Deaths(lambda _: seen.set())
        parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        deaths.watch({child: "a worker"})
        subprocess.run(["kill", "-KILL", str(child)], check=True)
        await asyncio.wait_for(seen.wait(), 120)
        parent.kill()
        parent.wait()
        parent.stdout.close()

    asyncio.run(play())


def test_one_that_has_ended_before() -> None:
    async def play() -> list[str]:
        told: list[str] = []
        gone = sleeper()
        gone.kill()
        gone.wait()
        Deaths(told.append).watch({gone.pid: "gone"})
        return told

    assert asyncio.run(play()) == ["gone"]


def test_what_ends_after_the_close_shall_end() -> None:
    async def play() -> list[str]:
        told: list[str] = []
        deaths = Deaths(told.append)
        one = sleeper()
        deaths.watch({one.pid: "one"})
        deaths.close()
        one.kill()
        one.wait()
        await asyncio.sleep(0.05)
        return told

    assert asyncio.run(play()) == []
