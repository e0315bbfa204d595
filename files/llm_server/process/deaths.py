# SPDX-License-Identifier: Apache-2.0
"""Sees at once that a process has ended which the model needs.

vLLM tells of a dead worker only once the engine has waited for the other workers, which takes
seconds; meanwhile requests would be taken that nobody can answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping

logger = logging.getLogger("llm_server.deaths")


class Deaths:
    """Watches processes, wherever they stand in the tree."""

    def __init__(self, died: Callable[[str], None]) -> None:
        """`died` is called once, with the name of the first that has ended."""
        self._died = died
        self._open: dict[int, str] = {}

    def watch(self, processes: Mapping[int, str]) -> None:
        """Begins to watch them, by number; call it in the event loop."""
        loop = asyncio.get_running_loop()
        for pid, name in processes.items():
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                self._seen(name)
                return
            except OSError as error:  # a sandbox may forbid it: vLLM tells of it, later
                logger.warning("The end of %s is not seen at once: %s", name, error)
                continue
            self._open[descriptor] = name
            loop.add_reader(descriptor, self._seen, name)

    def _seen(self, name: str) -> None:
        self.close()
        self._died(name)

    def close(self) -> None:
        """Watches no more: from now on they end because they shall."""
        loop = asyncio.get_running_loop()
        for descriptor in self._open:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self._open.clear()
