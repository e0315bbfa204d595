# SPDX-License-Identifier: Apache-2.0
"""Makes it safe to fork the engine's process out of one that already serves HTTP.

Forking instead of spawning saves the engine from importing vLLM once more. Two things must
not be shared with that child: the event loop's locks in a half-way state, and the sockets (a
client would wait for the end of a connection that the child still holds).

The process has threads, and Python 3.12 on warns of a fork then: a lock that one of them holds
stays held in the child. Here the loop's thread stands still in a callback and holds none, and the
threads of this server's start wait for the fork; libraries that compute in threads see to theirs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  its hook is to be older than ours: see `install`
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable

logger = logging.getLogger("llm_server.fork_guard")

#: How often it is said that the loop is still busy.
SAY_EVERY_S = 5.0


class ForkGuard:
    """Parks the event loop while another thread forks, and cleans up in the child."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sockets: Callable[[], Iterable[int]]
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        #: Ends the loop's standstill. Each fork has one of its own: the loop may not have seen the
        #: last one's yet when the next begins, and would wait for a fork that waits for it.
        self._release = threading.Event()
        #: One fork at a time; its copy in a child is never asked for.
        self._one = threading.Lock()
        self._thread = threading.get_ident()
        self._pid = os.getpid()
        #: Set once a process was forked: from then on imports cannot leave it a held lock.
        self.forked = threading.Event()
        #: Whether more than one process will be forked: who starts them says when all were.
        self.several = False
        self._closed = threading.Event()

    def close(self) -> None:
        """From now on no engine may begin: a thread that would fork one waits for the exit."""
        self._closed.set()

    def install(self) -> None:
        """Registers the hooks; call it in the loop's thread. They last as long as the process.

        Python runs the youngest `before` hook first. Ours has to be that one: an older one's lock
        is then taken while the loop stands still. Python's thread pool and logging hold such locks;
        taken before the loop is asked to stop, the loop may wait for them and never get there.
        """
        warnings.filterwarnings(
            "ignore", r".*multi-threaded, use of \w+\(\) may lead to deadlocks", DeprecationWarning
        )
        os.register_at_fork(
            before=self._before,
            after_in_parent=self._after_in_parent,
            after_in_child=self._after_in_child,
        )

    def _mine(self) -> bool:
        # The engine forks its workers with the same hooks inherited: not our business there.
        return os.getpid() == self._pid and threading.get_ident() != self._thread

    def _before(self) -> None:
        if not self._mine():
            return
        self._wait_if_closed()
        self._one.acquire()
        parked, self._release = threading.Event(), threading.Event()
        if not self._loop.is_running():
            return
        self._loop.call_soon_threadsafe(self._park, parked, self._release)
        # However long it takes: a hook can't call the fork off, and a copy of a loop that is in
        # the middle of something would hang later, in the child, without a word.
        while not parked.wait(SAY_EVERY_S) and self._loop.is_running():
            logger.warning("The engine's start waits: the event loop is busy with something long")
            self._wait_if_closed()

    def _wait_if_closed(self) -> None:
        while self._closed.is_set():
            time.sleep(1)

    def _park(self, parked: threading.Event, release: threading.Event) -> None:
        if self._closed.is_set():
            return  # no fork follows
        parked.set()
        # Python calls `_after_in_parent` whether the fork came off or not.
        release.wait()

    def _after_in_parent(self) -> None:
        if self._mine():
            self._release.set()
            self._one.release()
            if not self.several:
                self.forked.set()

    def _after_in_child(self) -> None:
        if os.getppid() != self._pid:
            return
        # Signals of the child must not wake the parent's loop through the shared pipe.
        signal.set_wakeup_fd(-1)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, signal.SIG_DFL)
        # Replaced, not closed: the numbers stay taken until their Python objects let go of them.
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for number in self._sockets():
            os.dup2(null, number, inheritable=False)
        os.close(null)
