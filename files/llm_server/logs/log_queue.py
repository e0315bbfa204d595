# SPDX-License-Identifier: Apache-2.0
"""A log handler that never waits for whoever reads the log.

A full pipe, or a journal whose disk is full, would else stop the thread that logs: the event loop,
and with it /health and the watchdog. A thread of its own writes; what it cannot write in time is
dropped and counted.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing.util
import os
import queue
import select
import threading
import time
import weakref
from logging.handlers import QueueHandler

STDERR = 2
#: Bytes that wait to be written.
MOST_BYTES = 4 * 2**20
#: Lines of so many seconds are written together.
TOGETHER_S = 0.02


class QueuedStderr(QueueHandler):
    """Formats in the thread that logs, and writes in another.

    Not the standard library's QueueListener: its end waits for ever where nobody reads.
    """

    def __init__(self, descriptor: int = STDERR, most_bytes: int = MOST_BYTES) -> None:
        self._descriptor = descriptor
        self._most_bytes = most_bytes
        self.dropped = 0
        self._told = 0
        self._thread: threading.Thread | None = None
        self._lines = _Bytes(most_bytes)
        super().__init__(self._lines)
        mine = weakref.ref(self)

        def restart() -> None:
            handler = mine()
            if handler is not None:
                handler._restart()

        # A forked process has the lines that waited, and no thread that writes them.
        os.register_at_fork(after_in_child=restart)
        # Those of multiprocessing end without what `atexit` and `logging` do.
        multiprocessing.util.register_after_fork(self, QueuedStderr._write_at_end)
        self._write_at_end()

    def _write_at_end(self) -> None:
        multiprocessing.util.Finalize(None, self.write_out, args=(1.0,), exitpriority=0)

    def _restart(self) -> None:
        self.queue = self._lines = _Bytes(self._most_bytes)
        self._thread = None
        self.dropped = self._told = 0

    def prepare(self, record: logging.LogRecord) -> bytes:
        """The record as it is written."""
        return (self.format(record) + "\n").encode("utf-8", "backslashreplace")

    def enqueue(self, record: bytes) -> None:  # type: ignore[override]  # what `prepare` made
        """Hands it to the thread; called with the handler's lock held."""
        if self._thread is None:
            self._start()
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def _start(self) -> None:
        thread = threading.Thread(target=self._write_all, args=(self._lines,), name="log")
        thread.daemon = True
        # At Python's own end no thread can begin: what comes then waits for `write_out`.
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def _write_all(self, lines: _Bytes) -> None:
        while True:
            waiting = [lines.get()]
            # To wake this thread for each line would cost the one that logs more than the line.
            time.sleep(TOGETHER_S)
            with contextlib.suppress(queue.Empty):
                while True:
                    waiting.append(lines.get_nowait())
            for data in waiting:
                self._write(data)
                lines.task_done()
            self._tell_dropped()

    def _tell_dropped(self) -> None:
        number = self.dropped - self._told
        if number:
            self._told += number
            text = "%d log lines were dropped: nobody read them in time"
            record = logging.LogRecord(
                "llm_server.log", logging.WARNING, __file__, 0, text, (number,), None
            )
            self._write(self.prepare(record))

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody who shares it has made it so
                select.select((), (self._descriptor,), (), 1.0)
            except OSError:
                self.dropped += 1
                self._told += 1  # nobody is there to be told
                return

    def write_out(self, seconds: float) -> None:
        """Waits until all that waits is written, so many seconds at most."""
        lines = self._lines
        if self._thread is None:
            with contextlib.suppress(queue.Empty):
                while True:
                    self._write(lines.get_nowait())
                    lines.task_done()
        with lines.all_tasks_done:
            lines.all_tasks_done.wait_for(lambda: not lines.unfinished_tasks, seconds)

    def close(self) -> None:
        """Writes what waits. It may be used on: `dictConfig` closes all that there is."""
        self.write_out(1.0)
        super().close()


class _Bytes(queue.Queue[bytes]):
    """Bounded by bytes: `maxsize` is how many may be in it before one more is refused."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._bytes = 0

    def _qsize(self) -> int:
        return self._bytes

    def _put(self, item: bytes) -> None:
        super()._put(item)
        self._bytes += len(item)

    def _get(self) -> bytes:
        item = super()._get()
        self._bytes -= len(item)
        return item
