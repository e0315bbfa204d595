# SPDX-License-Identifier: Apache-2.0
"""A small process that tries work on grammars out before the engine is asked to do it.

What compiles a grammar cannot be stopped: not in a thread, and the engine has few of those. So it
is done once in a process of its own, with bounds of time and memory, that can be killed. It is
forked when the first grammar comes: all that it needs is imported here by then, and shared.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import itertools
import json
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

#: What the work gets: plain data in, plain data out; whatever it raises is its answer too.
Work = Callable[[dict[str, Any]], dict[str, Any]]
#: Makes ready, once in the new process, what all of the work needs.
Prepare = Callable[[], Work]
#: How often the processor time of what runs is looked at.
LOOK_S = 0.05
#: How many times longer than its processor time it may take by the clock, on a busy machine.
PATIENCE = 10.0
#: Memory that one try may take beside what is shared.
MEMORY_BYTES = 2 * 2**30
#: The longest answer.
LINE_BYTES = 4 * 2**20
_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


class ProverError(Exception):
    """The process is not there, or answered nonsense."""


class SlowError(Exception):
    """The work took longer than it may."""


class FailedError(Exception):
    """The work raised this, or ended its process."""


class Prover:
    """The server's end of it."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self.pid = 0

    async def prove(self, task: dict[str, Any], seconds: float) -> dict[str, Any]:
        """What the work gives for a task. Being cancelled ends the work.

        Raises:
            SlowError: it took more processor time than `seconds`.
            FailedError: it raised an error, whose text this has, or ended its process.
            ProverError: there is no process to do it.
        """
        async with self._starting:
            if self._writer is None:
                await self._start()
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._say({"id": number, "task": task, "seconds": seconds})
            answer = await future
        finally:
            del self._waiting[number]
            if not future.done() or future.cancelled():
                self._say({"cancel": number})
        if "slow" in answer:
            raise SlowError
        if "error" in answer:
            raise FailedError(answer["error"])
        return answer["result"]  # type: ignore[no-any-return]

    def close(self) -> None:
        """Ends the process."""
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _say(self, message: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def _start(self) -> None:
        mine, its = socket.socketpair()
        # No signal for the server may be taken by a handler of its in the new process.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _live(its, self._prepare)
        except OSError as error:
            mine.close()
            raise ProverError(str(error)) from None
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        its.close()
        self.pid = pid
        reader, self._writer = await asyncio.open_connection(sock=mine, limit=LINE_BYTES)
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            async for line in reader:
                answer = json.loads(line)
                future = self._waiting.get(answer["id"])
                if future is not None and not future.done():
                    future.set_result(answer)
        finally:
            # It has died: whoever waits hears of it, and the next grammar starts a new one.
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ProverError("its process ended"))
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)


def _live(connection: socket.socket, prepare: Prepare) -> NoReturn:
    """The new process."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_NAME, b"llm-grammars")
        gc.disable()  # it would write to all that is shared
        _close_all_but(connection.fileno())
        os.nice(5)
        _Loop(connection, prepare()).run()
    finally:
        os._exit(0)


def _close_all_but(kept: int) -> None:
    """Connections of clients, the port, the engine's sockets: they are the server's."""
    os.closerange(3, kept)
    os.closerange(kept + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _prctl(option: int, value: int | bytes) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


@dataclass
class _Try:
    number: int
    pid: int
    pipe: int
    seconds: float
    began: float = field(default_factory=time.monotonic)
    said: bytes = b""

    def is_slow(self) -> bool:
        waited = time.monotonic() - self.began
        return waited > self.seconds * PATIENCE or (
            waited > self.seconds and _processor_seconds(self.pid) > self.seconds
        )


class _Loop:
    """Forks a process for each task, and ends those that take too long."""

    def __init__(self, connection: socket.socket, work: Work) -> None:
        self._connection = connection
        self._work = work
        self._tries: dict[int, _Try] = {}
        self._heard = b""

    def run(self) -> None:
        while True:
            server = self._connection.fileno()
            ready, _, _ = select.select(
                [server, *self._tries], [], [], LOOK_S if self._tries else None
            )
            for pipe in ready:
                if pipe != server:
                    self._hear(self._tries[pipe])
            if server in ready and not self._take():
                return
            for one in [one for one in self._tries.values() if one.is_slow()]:
                self._end(one, {"slow": True})

    def _take(self) -> bool:
        data = self._connection.recv(2**20)
        if not data:  # the server has gone
            for one in list(self._tries.values()):
                os.kill(one.pid, signal.SIGKILL)
            return False
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "cancel" in message:
                for one in list(self._tries.values()):
                    if one.number == message["cancel"]:
                        self._end(one, None)
            else:
                self._begin(message)
        return True

    def _begin(self, message: dict[str, Any]) -> None:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            _try(write, self._work, message)
        os.close(write)
        self._tries[read] = _Try(message["id"], pid, read, message["seconds"])

    def _hear(self, one: _Try) -> None:
        data = os.read(one.pipe, 2**16)
        one.said += data
        if not data:
            try:
                answer = json.loads(one.said)
            except ValueError:
                answer = {"error": ""}
            self._end(one, answer)

    def _end(self, one: _Try, answer: dict[str, Any] | None) -> None:
        del self._tries[one.pipe]
        os.close(one.pipe)
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
        os.waitpid(one.pid, 0)
        if answer is not None:
            line = json.dumps({"id": one.number, **answer})
            self._connection.sendall(line.encode() + b"\n")


def _try(pipe: int, work: Work, message: dict[str, Any]) -> NoReturn:
    """The process of one task."""
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _bound(message["seconds"])
        try:
            answer: dict[str, Any] = {"result": work(message["task"])}
        except MemoryError:
            answer = {"error": "it takes too much memory"}
        except Exception as error:
            answer = {"error": str(error)[:2000]}
        data = json.dumps(answer).encode()
        while data:
            data = data[os.write(pipe, data) :]
    finally:
        os._exit(0)


def _bound(seconds: float) -> None:
    """What holds also where nobody looks."""
    whole = int(seconds * 2) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    used = next(int(line.split()[1]) for line in lines if line.startswith("VmData"))
    most = used * 1024 + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _processor_seconds(pid: int) -> float:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0
