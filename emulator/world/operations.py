# SPDX-License-Identifier: Apache-2.0
"""Long-running operations: begun by a request, done by a worker thread, kept in the store."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from emulator.errors import ApiError, Json
from emulator.world.backend import MachineError
from emulator.world.references import Ref, last, link
from emulator.world.storage import Store

_log = logging.getLogger(__name__)
_WORKERS = 32


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_id() -> str:
    """A resource's numeric id."""
    return str(secrets.randbits(62) | 1 << 61)


class Operations:
    """Begins, finishes and awaits operations.

    Attributes:
        delay: seconds that every operation takes at least.
    """

    def __init__(self, store: Store, delay: float) -> None:
        self.delay = delay
        self._store = store
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="operation")

    def begin(
        self,
        kind: str,
        target: str,
        *,
        project: str,
        scope: str,
        user: str,
        work: Callable[[], None],
        target_id: str | None = None,
    ) -> Json:
        """Records a RUNNING operation and hands its work to a thread.

        Args:
            kind: operationType.
            target: the target's path from `projects/` on.
            work: does it; an ApiError or MachineError becomes the operation's error.
        """
        stamp = now()
        milliseconds = time.time_ns() // 10**6
        name = f"operation-{milliseconds}-{secrets.token_hex(6)}-{secrets.token_hex(4)}"
        ref = Ref(project, scope, "operations", name)
        operation: Json = {
            "kind": "compute#operation",
            "id": new_id(),
            "name": name,
            "operationType": kind,
            "targetLink": link(target),
            "targetId": target_id or new_id(),
            "status": "RUNNING",
            "user": user,
            "progress": 0,
            "insertTime": stamp,
            "startTime": stamp,
            "selfLink": ref.link,
        }
        if scope != "global":
            operation[scope.split("/", maxsplit=1)[0].removesuffix("s")] = link(
                f"projects/{project}/{scope}"
            )
        self._store.put(ref, operation)
        self._pool.submit(self._run, ref, work)
        return operation

    def _run(self, ref: Ref, work: Callable[[], None]) -> None:
        with self._store.transaction():
            pass  # the request that began this has been written
        if self.delay:
            time.sleep(self.delay)
        failure: ApiError | None = None
        try:
            work()
        except ApiError as error:
            failure = error
        except MachineError as error:
            failure = ApiError(500, "internalError", str(error), code="INTERNAL_ERROR")
        except Exception as error:  # a client polls for this one: it must end
            _log.exception("operation %s failed", ref.name)
            failure = ApiError(500, "internalError", repr(error), code="INTERNAL_ERROR")
        self.finish(ref, failure)

    def finish(self, ref: Ref, failure: ApiError | None) -> None:
        """Marks an operation DONE."""
        with self._store.transaction():
            operation = self._store.get(ref)
            if operation is None:
                return
            operation |= {"status": "DONE", "progress": 100, "endTime": now()}
            if failure is not None:
                operation |= failure.operation_fields()
            self._store.put(ref, operation)
        with self._changed:
            self._changed.notify_all()

    def wait(self, ref: Ref, seconds: float) -> Json | None:
        """The operation once it is DONE, or as it is after `seconds`; None if there is none."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                operation = self._store.get(ref)
                left = deadline - time.monotonic()
                if operation is None or operation["status"] == "DONE" or left <= 0:
                    return operation
                self._changed.wait(left)

    def interrupted(self) -> list[tuple[Ref, Json]]:
        """Operations that a former process left unfinished."""
        return [
            (ref, body) for ref, body in self._store.items("operations") if body["status"] != "DONE"
        ]

    def close(self) -> None:
        """Waits for what is under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def target_name(operation: Json) -> str:
    """The name of an operation's target."""
    return last(operation["targetLink"])
