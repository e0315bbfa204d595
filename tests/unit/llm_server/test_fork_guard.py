# SPDX-License-Identifier: Apache-2.0
"""Forking out of a serving process: real forks, real sockets. In a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PRELUDE = """
import asyncio, os, signal, socket, sys, threading, time
from llm_server.engine.fork_guard import ForkGuard

def fork(child):
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(0)
    return pid
"""


def run(program: str, python: str = sys.executable) -> str:
    """Runs a program that has the guard at hand; returns what it prints.

    Python 3.12 on warns of a fork beside threads: not here.
    """
    done = subprocess.run(
        [python, "-W", "always::DeprecationWarning", "-c", PRELUDE + textwrap.dedent(program)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "files")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "DeprecationWarning" not in done.stderr
    return done.stdout


def test_a_closed_connection_ends_although_the_child_lives() -> None:
    out = run("""
        async def main():
            here, there = socket.socketpair()
            guard = ForkGuard(asyncio.get_running_loop(), lambda: [here.fileno()])
            guard.install()
            pid = await asyncio.to_thread(fork, lambda: time.sleep(600))
            here.close()
            there.settimeout(60)
            try:
                print("end" if there.recv(1) == b"" else "data", guard.forked.is_set())
            finally:
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
            read, write = os.pipe()
            def child():
                signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
                os.write(write, b"x")
                time.sleep(600)
            pid = await asyncio.to_thread(fork, child)
            await asyncio.to_thread(os.read, read, 1)
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


def test_a_loop_that_is_busy_for_long_is_waited_for() -> None:
    out = run("""
        from llm_server.engine import fork_guard
        fork_guard.SAY_EVERY_S = 0.1
        import logging
        logging.basicConfig(stream=sys.stdout, format="%(levelname)s")
        said = threading.Event()
        class Heard(logging.Handler):
            def emit(self, _):
                said.set()
        logging.getLogger().addHandler(Heard())
        async def main():
            guard = ForkGuard(asyncio.get_running_loop(), list)
            guard.install()
            children = []
            begins = threading.Event()
            def forks():
                begins.set()
                children.append(fork(lambda: None))
            thread = threading.Thread(target=forks, daemon=True)
            thread.start()
            begins.wait()
            said.wait(60)
            print("before", len(children))
            while not children:
                await asyncio.sleep(0.01)
            os.waitpid(children[0], 0)
            print("after", len(children), guard.forked.is_set())
        asyncio.run(main())
    """)
    said = out.split()
    assert said[-5:] == ["before", "0", "after", "1", "True"]
    assert "WARNING" in said[:-5]


def test_a_guard_that_closes_while_a_fork_waits_lets_the_loop_go_on() -> None:
    out = run("""
        from llm_server.engine import fork_guard
        fork_guard.SAY_EVERY_S = 0.1
        async def main():
            guard = ForkGuard(asyncio.get_running_loop(), list)
            guard.install()
            thread = threading.Thread(target=fork, args=(lambda: None,), daemon=True)
            thread.start()
            time.sleep(0.5)
            guard.close()
            await asyncio.sleep(0.5)
            print("goes on", thread.is_alive(), guard.forked.is_set(), flush=True)
            os._exit(0)
        asyncio.run(main())
    """).split("\n")
    assert out[-2] == "goes on True False"


def test_forks_of_two_threads_follow_each_other() -> None:
    out = run("""
        async def main():
            guard = ForkGuard(asyncio.get_running_loop(), list)
            guard.install()
            # Often: the second may begin before the loop has seen the first one's end.
            for _ in range(40):
                one, two = await asyncio.gather(
                    *(asyncio.to_thread(fork, lambda: None) for _ in range(2))
                )
                for pid in (one, two):
                    os.waitpid(pid, 0)
            print("both", guard.forked.is_set())
        asyncio.run(main())
    """)
    assert out.split() == ["both", "True"]


@pytest.mark.parametrize(
    "lock", ["concurrent.futures.thread._global_shutdown_lock", "logging._lock"]
)
def test_the_loop_is_asked_to_stop_before_locks_are_taken_that_it_may_need(lock: str) -> None:
    """A hook of Python's own that held its lock by then would wait for a loop that waits for it."""
    module, _, name = lock.rpartition(".")
    out = run(f"""
        async def main():
            guard = ForkGuard(asyncio.get_running_loop(), list)
            guard.install()
            import {module}
            thread = threading.Thread(target=fork, args=(lambda: None,), daemon=True)
            thread.start()
            time.sleep(0.5)  # the thread waits for this loop by now
            free = {module}.{name}.acquire(timeout=1)
            if free:
                {module}.{name}.release()
            print("free" if free else "held", flush=True)
            await asyncio.sleep(0)
            os._exit(0)
        asyncio.run(main())
    """)
    assert out.split() == ["free"]
