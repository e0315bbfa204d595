# SPDX-License-Identifier: Apache-2.0
"""Where log lines go: stderr, which the journal stamps; all loggers of this process alike."""

from __future__ import annotations

import logging.config
import os
from pathlib import Path

from .failures import LOG_CONTENT, OfRequests
from .log_lines import LineFormatter
from .log_queue import STDERR, QueuedStderr

#: Has vLLM's logger use the handler below, also in processes that it spawns.
_VLLM_CONFIG = Path(__file__).with_name("vllm_logging.json")
#: Where an operator says otherwise, that is what counts.
_OPERATORS_OWN = ("VLLM_LOGGING_CONFIG_PATH", "VLLM_CONFIGURE_LOGGING")
#: How long the last lines may take to be written.
LAST_LINES_S = 1.0


def configure(level: str, *, content: bool = False) -> None:
    """Sets up this package's and uvicorn's loggers, whatever libraries do to the root logger."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"stderr": {"()": f"{__name__}.make_handler"}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {
                "llm_server": {
                    "handlers": ["stderr"],
                    "level": level.upper(),
                    "propagate": False,
                },
                # One line of JSON for each request, whatever the level of everything else is.
                "llm_server.access": {
                    "handlers": ["stderr"],
                    "level": "INFO",
                    "propagate": False,
                },
                "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            },
        }
    )
    logging.captureWarnings(True)
    logging.getLogger("uvicorn.error").addFilter(_is_not_told_by_the_edge)
    if content:
        os.environ[LOG_CONTENT] = "1"
    else:
        os.environ.pop(LOG_CONTENT, None)
    if not any(name in os.environ for name in _OPERATORS_OWN):
        os.environ["VLLM_LOGGING_CONFIG_PATH"] = str(_VLLM_CONFIG)
    if to_journal():
        # Bars that are drawn over and over are blobs in the journal.
        os.environ.setdefault("TQDM_DISABLE", "1")


def _is_not_told_by_the_edge(record: logging.LogRecord) -> bool:
    # The same with its id and the client's address is a line of JSON.
    return record.msg != "Invalid HTTP request received."


def make_handler() -> QueuedStderr:
    """The one handler of this process, which is made where there is none."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, QueuedStderr):
            return handler
    handler = QueuedStderr()
    handler.addFilter(OfRequests())
    handler.setFormatter(LineFormatter(priorities=to_journal()))
    return handler


def vllm_handler() -> QueuedStderr:
    """The same for vLLM's logger, whose level is what its own variable says."""
    logging.getLogger("vllm").setLevel(os.environ.get("VLLM_LOGGING_LEVEL", "INFO").upper())
    return make_handler()


def to_journal() -> bool:
    """Whether stderr is the journal, which takes priorities; a terminal would show them."""
    try:
        there = os.fstat(STDERR)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def dropped() -> int:
    """How many lines this process could not get rid of."""
    handlers = logging.getLogger().handlers
    return sum(each.dropped for each in handlers if isinstance(each, QueuedStderr))


def finish() -> None:
    """Writes what waits, for a process that ends without Python's own end."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, QueuedStderr):
            handler.write_out(LAST_LINES_S)
