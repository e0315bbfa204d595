# SPDX-License-Identifier: Apache-2.0
"""A small process that outlives the server by a moment, to end what the server left.

A server that is killed can't end its engine, and the engine does not notice: it and its workers
would keep the GPU's memory for good where no systemd stands above. The kernel's own signal for it
(PR_SET_PDEATHSIG) comes when the *thread* ends that forked, and the thread that loads ends early.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing.util
import os
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import psutil

from ..logs import log

logger = logging.getLogger("llm_server.guardian")

#: How often processes are looked for of which nobody tells: later they hardly ever come.
LOADING_S, SERVING_S = 1.0, 10.0
#: How often those that were killed are looked at, and for how long: forking takes a moment.
KILL_AGAIN_S, KILL_FOR_S = 0.1, 5.0
_SERVES = b"serves\n"


class Guardian:
    """The server's end of it."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pipe = pipe

    @classmethod
    def open(cls) -> Guardian:
        """Forks; call it before anything else is open, while there is one thread."""
        read, write = os.pipe()
        server = os.getpid()
        family = Family(server)  # here: in the child it could be gone already
        pid = os.fork()
        if pid == 0:
            os.close(write)
            _live(server, read, family)
        os.close(read)
        os.set_blocking(write, False)
        made = cls(pid, write)
        os.register_at_fork(after_in_child=made._tell_child)
        made._tell_spawned()
        return made

    def serves(self) -> None:
        """The model is loaded: all processes that it needs are there."""
        self._tell(_SERVES)

    def _tell_child(self) -> None:
        # In every process forked from here: it is known before it does anything, and it does not
        # hold the pipe whose end says that the server is gone.
        if self._pipe >= 0:
            self._tell(b"%d\n" % os.getpid())
            os.close(self._pipe)
            self._pipe = -1

    def _tell_spawned(self) -> None:
        # No hook of Python's is called for these. One whose number was not told yet has not been
        # told what to do either, and ends where nobody tells it.
        inner = multiprocessing.util.spawnv_passfds

        def spawnv_passfds(*arguments: Any) -> int:
            pid = inner(*arguments)
            self._tell(b"%d\n" % pid)
            return pid

        vars(multiprocessing.util)["spawnv_passfds"] = spawnv_passfds

    def _tell(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # it was killed: the server goes on without it
            os.write(self._pipe, line)


def _live(server: int, pipe: int, family: Family) -> NoReturn:
    """The child: watches until the server has gone, and ends what is left."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text("llm-guardian", encoding="ascii")
        _watch(server, pipe, family)
        family.end()
    except Exception:
        logger.exception("Nobody ends what this server may leave")
    finally:
        log.finish()
        os._exit(0)


def _watch(server: int, pipe: int, family: Family) -> None:
    """Returns when the server has gone, and all that it told is heard."""
    pause = LOADING_S
    rest = b""
    while True:
        lives = os.getppid() == server
        if select.select([pipe], [], [], pause if lives else 0)[0]:
            said = os.read(pipe, 4096)
            if not said:
                return
            *lines, rest = (rest + said).split(b"\n")
            family.add(int(line) for line in lines if line.isdigit())
            if _SERVES.strip() in lines:
                pause = SERVING_S
        elif not lives:
            return
        if lives:
            family.look()


class Family:
    """The processes below the server, also those whose parent has gone meanwhile."""

    def __init__(self, server: int) -> None:
        # It remembers when the process began: another one with its number is not it.
        self._server = psutil.Process(server)
        self._known: dict[int, psutil.Process] = {}

    def add(self, pids: Iterable[int]) -> None:
        """These belong to it."""
        for pid in pids:
            known = self._known.get(pid)
            if pid != os.getpid() and (known is None or not known.is_running()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._known[pid] = psutil.Process(pid)

    def look(self) -> None:
        """Finds new ones, and forgets those that have ended."""
        self._known = {pid: each for pid, each in self._known.items() if _lives(each)}
        self.add(_below(self._server))

    def end(self) -> None:
        """Kills all of it, also what is stopped, until nothing is left."""
        deadline = time.monotonic() + KILL_FOR_S
        while time.monotonic() < deadline:
            # What is below them is found by them: their own parent is gone.
            for each in list(self._known.values()):
                self.add(_below(each))
            self._known = {pid: each for pid, each in self._known.items() if _lives(each)}
            if not self._known:
                return
            for each in self._known.values():
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    each.kill()
            time.sleep(KILL_AGAIN_S)


def _below(process: psutil.Process) -> list[int]:
    try:
        return [child.pid for child in process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
