# SPDX-License-Identifier: Apache-2.0
"""Tells that a machine has ended, however that came."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable


class Ends:
    """Watches the first process of each machine, in a thread that costs nothing meanwhile."""

    def __init__(self) -> None:
        self._watched: set[int] = set()
        self._lock = threading.Lock()

    def watch(self, pid: int, ended: Callable[[], None]) -> None:
        """Have `ended` called, from another thread, once the process is gone."""
        with self._lock:
            if pid in self._watched:
                return
            self._watched.add(pid)
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            descriptor = -1

        def wait() -> None:
            if descriptor >= 0:
                select.select([descriptor], [], [])
                os.close(descriptor)
            with self._lock:
                self._watched.discard(pid)
            ended()

        threading.Thread(target=wait, daemon=True, name=f"end of {pid}").start()
