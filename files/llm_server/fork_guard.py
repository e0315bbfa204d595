# SPDX-License-Identifier: Apache-2.0
"""Makes it safe to fork the engine's process out of one that already serves HTTP.

Forking instead of spawning saves the engine from importing vLLM once more. Two things must
not be shared with that child: the event loop's locks in a half-way state, and the sockets (a
client would wait for the end of a connection that the child still holds).
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable

#: Longest wait for the loop to stand still; it is never busy that long.
PARK_TIMEOUT_S = 5.0


class ForkGuard:
    """Parks the event loop while another thread forks, and cleans up in the child."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sockets: Callable[[], Iterable[int]]
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._parked = threading.Event()
        self._release = threading.Event()
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
        """Registers the hooks; call it in the loop's thread. They last as long as the process."""
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
        while self._closed.is_set():
            time.sleep(1)
        if not self._loop.is_running():
            return
        self._parked.clear()
        self._release.clear()
        self._loop.call_soon_threadsafe(self._park)
        self._parked.wait(PARK_TIMEOUT_S)

    def _park(self) -> None:
        self._parked.set()
        self._release.wait(PARK_TIMEOUT_S)

    def _after_in_parent(self) -> None:
        if self._mine():
            self._release.set()
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
