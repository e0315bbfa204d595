# SPDX-License-Identifier: Apache-2.0
"""Finds out why the engine's process failed, which its parent is never told."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any


class CauseRecorder:
    """Keeps the first exception that is logged here or in a process forked from here.

    vLLM's engine logs the exception that ends it, while its parent only learns that it failed.
    A file without a name is shared through the fork; a record factory sees every record,
    also after the child has set up its handlers again. Spawned processes do not take part.
    """

    def __enter__(self) -> CauseRecorder:
        self._file = os.memfd_create("causes")
        self._factory = logging.getLogRecordFactory()
        logging.setLogRecordFactory(self._record)
        return self

    def __exit__(self, *_: object) -> None:
        logging.setLogRecordFactory(self._factory)

    def first(self) -> str | None:
        """The first cause as `Type: first line of the text`, or None."""
        size = os.fstat(self._file).st_size
        return os.pread(self._file, size, 0).decode("utf-8", "replace") or None

    def _record(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._factory(*args, **kwargs)
        if record.levelno >= logging.ERROR and os.fstat(self._file).st_size == 0:
            info = record.exc_info
            error = info[1] if isinstance(info, tuple) else None
            error = error or sys.exc_info()[1]
            if error is not None and str(error).strip():
                line = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
                os.pwrite(self._file, line.encode(), 0)
        return record
