# SPDX-License-Identifier: Apache-2.0
"""Forking out of a serving process: real forks, real sockets. In a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[3]

PRELUDE = """
import asyncio, os, signal, socket, sys, threading, time
from llm_server.fork_guard import ForkGuard

def fork(child):
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(0)
    return pid
"""


def run(program: str) -> str:
    """Runs a program that has the guard at hand; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + textwrap.dedent(program)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "files")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_closed_connection_ends_although_the_child_lives() -> None:
    out = run("""
        async def main():
            here, there = socket.socketpair()
            guard = ForkGuard(asyncio.get_running_loop(), lambda: [here.fileno()])
            guard.install()
            pid = await asyncio.to_thread(fork, lambda: time.sleep(20))
            here.close()
            there.settimeout(3)
            print("end" if there.recv(1) == b"" else "data", guard.forked.is_set())
            os.kill(pid, signal.SIGKILL)
        asyncio.run(main())
    """)
    assert out.split() == ["end", "True"]


def test_the_loop_stands_still_during_the_fork_and_goes_on_after_it() -> None:
    out = run("""
        async def main():
            loop = asyncio.get_running_loop()
            ticks, during = [], []
            def watch():
                start = len(ticks)
                time.sleep(0.3)
                during.append(len(ticks) - start)
            # Of these hooks the first registered runs last: by then the guard has parked the loop.
            os.register_at_fork(before=watch)
            ForkGuard(loop, list).install()
            async def tick():
                while True:
                    ticks.append(1)
                    await asyncio.sleep(0.001)
            ticker = asyncio.create_task(tick())
            await asyncio.sleep(0.05)
            pid = await asyncio.to_thread(fork, lambda: None)
            os.waitpid(pid, 0)
            before = len(ticks)
            await asyncio.sleep(0.05)
            ticker.cancel()
            print(during, len(ticks) > before)
        asyncio.run(main())
    """)
    assert out.strip() == "[0] True"


def test_a_signal_to_the_child_does_not_reach_the_parents_loop() -> None:
    out = run("""
        async def main():
            loop = asyncio.get_running_loop()
            got = []
            loop.add_signal_handler(signal.SIGTERM, got.append, "signal")
            ForkGuard(loop, list).install()
            def child():
                signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
                time.sleep(20)
            pid = await asyncio.to_thread(fork, child)
            await asyncio.sleep(0.3)
            os.kill(pid, signal.SIGTERM)
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            await asyncio.sleep(0.3)
            print(os.waitstatus_to_exitcode(status), got)
        asyncio.run(main())
    """)
    assert out.strip() == "7 []"


def test_a_closed_guard_lets_no_thread_fork() -> None:
    out = run("""
        async def main():
            guard = ForkGuard(asyncio.get_running_loop(), list)
            guard.install()
            guard.close()
            thread = threading.Thread(target=fork, args=(lambda: None,), daemon=True)
            thread.start()
            await asyncio.sleep(1.5)
            print(thread.is_alive(), guard.forked.is_set(), flush=True)
            os._exit(0)
        asyncio.run(main())
    """)
    assert out.split() == ["True", "False"]
