# SPDX-License-Identifier: Apache-2.0
"""What a killed server leaves is ended: forked, spawned, stopped, and without its parent."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]

#: A server with a guardian; says its guardian's number and those of its family, and waits.
SERVER = """
import fcntl, multiprocessing, os, signal, subprocess, sys, termios, threading, time
from llm_server.process.guardian import Guardian

def heard(guardian):
    # When it reads the second line it has looked around because of the first.
    for _ in range(2):
        guardian.serves()
        while fcntl.ioctl(guardian._pipe, termios.FIONREAD, bytes(4)) != bytes(4):
            time.sleep(0.01)

def engine(say):
    worker = subprocess.Popen(["sleep", "600"])  # knows nothing of any guardian
    say.send([os.getpid(), worker.pid])
    time.sleep(600)

if __name__ == "__main__":
    kind, serves, then = sys.argv[1:]
    guardian = Guardian.open()
    context = multiprocessing.get_context(kind)
    ours, theirs = context.Pipe()
    # As the server does: by a thread that ends long before the engine.
    thread = threading.Thread(
        target=lambda: context.Process(target=engine, args=(theirs,), daemon=False).start()
    )
    thread.start()
    thread.join()
    family = ours.recv()
    if serves == "serves":
        heard(guardian)
    if then == "stopped":
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
    if then == "orphaned":
        heard(guardian)  # by then it has seen the worker, which nobody tells it of
        os.kill(family[0], signal.SIGKILL)
    print(guardian.pid, *family, flush=True)
    if then == "ends":
        os._exit(0)
    time.sleep(600)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "server.py"
    path.write_text(SERVER)
    return path


@pytest.fixture
def left() -> Iterator[list[psutil.Process]]:
    """Processes of a test; ended after it, should it fail."""
    found: list[psutil.Process] = []
    yield found
    for each in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def begin(script: Path, left: list[psutil.Process], *words: str) -> subprocess.Popen[str]:
    """Starts a server; `left` gets its guardian first, then the family, as far as they live."""
    server = subprocess.Popen(
        [sys.executable, str(script), *words],
        env={"PYTHONPATH": str(ROOT / "files"), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    for word in server.stdout.readline().split():
        with contextlib.suppress(psutil.NoSuchProcess):
            left.append(psutil.Process(int(word)))
    return server


@pytest.mark.parametrize(
    ("kind", "serves", "then"),
    [
        ("fork", "loads", "runs"),
        ("spawn", "loads", "runs"),
        ("fork", "serves", "stopped"),
        ("spawn", "loads", "stopped"),
        ("fork", "serves", "orphaned"),
        ("spawn", "serves", "orphaned"),
        ("fork", "serves", "ends"),
    ],
)
def test_nothing_outlives_the_server(
    script: Path, left: list[psutil.Process], kind: str, serves: str, then: str
) -> None:
    server = begin(script, left, kind, serves, then)
    if then != "ends":
        server.kill()
    server.communicate(timeout=180)
    deadline = time.monotonic() + 120
    while alive(left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(left) == []


def test_the_guardian_stays_while_the_server_does(script: Path, left: list[psutil.Process]) -> None:
    server = begin(script, left, "fork", "serves", "runs")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        left[0].send_signal(number)
    time.sleep(0.2)
    assert alive(left) == left
    server.kill()
    server.communicate(timeout=180)
