# SPDX-License-Identifier: Apache-2.0
"""What went wrong while a request was served: told once, with its id and without its content.

vLLM logs every exception where it catches it, also what is the client's mistake, and never the one
behind a 500. What it says while a request runs is kept with that request, until its answer tells
whose fault it was.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

from starlette.middleware.exceptions import ExceptionMiddleware

from ..record import RequestRecord, current

logger = logging.getLogger("llm_server.edge")

#: Set where content is logged; processes that vLLM spawns see it too.
LOG_CONTENT = "LLM_SERVER_LOG_CONTENT"
#: Kept of one request.
MOST = 8
#: Exceptions of a chain that are shown.
_CHAIN = 5
#: Texts that come from the machine and hold nothing of a request.
_OF_THE_MACHINE = (
    *(OSError, MemoryError, RecursionError, ImportError),
    *(AttributeError, NameError, UnicodeError),  # of names in code, or a single character
)
_ALSO_BY_NAME = {"OutOfMemoryError", "AcceleratorError", "EngineDeadError", "GenerationError"}
_BEGINNINGS = ("CUDA", "NCCL", "cuBLAS", "cuDNN", "HIP")
_WITHHELD = "(not shown: it may hold what was asked; log_content shows it)"
#: What each of the requests that ran says when the engine has died, which is logged by itself.
_ONCE_IS_ENOUGH = "EngineDeadError"


@dataclass(frozen=True)
class Failure:
    """Something that was logged as an error, or an exception."""

    source: str
    text: str
    error: BaseException | None = None


def keep(error: BaseException) -> None:
    """Keeps an exception for the request that is served now."""
    record = current.get()
    if record is not None and len(record.failures) < MOST:
        record.failures.append(Failure("", "", error))


def remember_errors(app: Any) -> None:
    """Has an app's handlers of exceptions keep each for the log; call it before it serves."""
    layer: Any = app.middleware_stack
    while layer is not None and not isinstance(layer, ExceptionMiddleware):
        layer = getattr(layer, "app", None)
    for kind, handler in app.exception_handlers.items():
        app.exception_handlers[kind] = keeping = _keeping(handler)
        # What vLLM loads may have built the layers already, each with handlers of its own. Built
        # again they would count into metrics that are there already, and so nowhere.
        if layer is not None and kind not in (500, Exception):
            layer.add_exception_handler(kind, keeping)


def _keeping(handler: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    @wraps(handler)
    async def keeping(request: Any, error: Any) -> Any:
        keep(error)
        return await handler(request, error)

    return keeping


class OfRequests(logging.Filter):
    """Keeps back what others log as an error of a request, and content out of what is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged now."""
        if record.name.startswith("llm_server"):
            return True
        request = current.get()
        if request is not None and not request.ended and record.levelno >= logging.ERROR:
            error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
            if len(request.failures) < MOST:
                request.failures.append(Failure(record.name, _template(record), error))
            return False
        if not shows_content() and (request is not None or _names_a_request(record)):
            _withhold(record)
        return True


def _template(record: logging.LogRecord) -> str:
    """What is said without what it is said of."""
    return str(record.msg) if record.args or record.exc_info else record.getMessage()


def _names_a_request(record: logging.LogRecord) -> bool:
    # In the engine's process nothing else tells.
    return record.levelno >= logging.WARNING and "request %s" in str(record.msg).lower()


def _withhold(record: logging.LogRecord) -> None:
    if isinstance(record.args, tuple):
        record.args = tuple(
            safe_text(each) if isinstance(each, BaseException) else each for each in record.args
        )
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        record.msg = f"{record.getMessage()}\n{shown(record.exc_info[1])}"
        record.args, record.exc_info, record.exc_text = (), None, None


def shows_content() -> bool:
    """Whether what was asked may be in the log."""
    return bool(os.environ.get(LOG_CONTENT))


def report(record: RequestRecord) -> None:
    """Tells of a request that has ended what who is on call has to know of it."""
    record.ended = True
    failures, record.failures = record.failures, []
    who = f"request {record.request_id}"
    if record.gone:
        if failures:
            logger.info("%s failed as its client left", who)
    elif record.failed is not None:
        _report_failed(who, record, failures)
    elif record.status is not None and record.status >= 400:
        for failure in failures:
            logger.debug("%s: %s %s", who, failure.source, failure.text)
    else:  # answered, and something was amiss
        for failure in failures:
            kind = "" if failure.error is None else f" ({type(failure.error).__name__})"
            logger.error("%s: %s: %s%s", who, failure.source or "an app", failure.text, kind)


def _report_failed(who: str, record: RequestRecord, failures: list[Failure]) -> None:
    error = next((f.error for f in reversed(failures) if f.error is not None), None)
    said = record.failed if error is None or shows_content() else ""
    text = f"{who} failed with {record.failed_status}" + (f": {said}" if said else "")
    if error is None:
        logger.error("%s", text)
    elif type(error).__name__ == _ONCE_IS_ENOUGH:
        logger.error("%s: %s", text, error)
    else:
        logger.error("%s\n%s", text, shown(error))


def shown(error: BaseException) -> str:
    """A traceback, as Python prints it, without texts that may hold what was asked."""
    parts = [_one(each) for each in _chain(error)]
    return "\nAfter that:\n".join(reversed(parts))


def _one(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"Traceback (most recent call last):\n{frames}{safe_text(error)}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_CHAIN):
        if error is None:
            return
        yield error
        hidden = error.__cause__ is None and error.__suppress_context__
        error = None if hidden else error.__cause__ or error.__context__


def safe_text(error: BaseException) -> str:
    """An exception's type, and its text where that tells of the machine and not of a request."""
    kind, text = type(error).__name__, str(error)
    known = isinstance(error, _OF_THE_MACHINE) or kind in _ALSO_BY_NAME
    safe = not text or known or text.startswith(_BEGINNINGS) or _is_ours(error) or shows_content()
    return f"{kind}: {text if safe else _WITHHELD}" if text else kind


def _is_ours(error: BaseException) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))
    name = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    return str(name).startswith("llm_server.")
