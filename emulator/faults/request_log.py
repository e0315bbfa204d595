# SPDX-License-Identifier: Apache-2.0
"""What was asked of the API, for tests that count; neither headers nor bodies are kept."""

from __future__ import annotations

import re
import threading
from collections import deque

from emulator.errors import Json

_KEPT = 20_000


class RequestLog:
    """The latest requests, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Json] = deque(maxlen=_KEPT)

    def begin(self, method: str, path: str, project: str, fault: str) -> Json:
        """Notes a request as it comes in; its `status` is 0 until it is handled."""
        entry: Json = {
            "method": method, "path": path, "project": project, "fault": fault,
            "mutating": _mutating(method, path), "status": 0, "held": False,
        }  # fmt: skip
        with self._lock:
            self._entries.append(entry)
        return entry

    def clear(self) -> None:
        """Forgets them."""
        with self._lock:
            self._entries.clear()

    def shown(self, project: str | None) -> Json:
        """All, or those of one project."""
        with self._lock:
            found = [dict(e) for e in self._entries if project in (None, e["project"])]
        return {
            "count": len(found),
            "mutating": sum(e["mutating"] for e in found),
            "held": sum(e["held"] for e in found),
            "requests": found,
        }


def _mutating(method: str, path: str) -> bool:
    if method == "GET" or not path.startswith(("/compute/v1/", "/v1/projects")):
        return False
    return not path.endswith(("/wait", "/batch/compute/v1", ":generateAccessToken"))


def project_of(path: str) -> str:
    """The project that a URL's path names; '' for none."""
    found = re.search(r"/projects/([^/]+)", path)
    return found[1] if found else ""
