# SPDX-License-Identifier: Apache-2.0
"""Asks /health again and again from a process of its own, as a load balancer does."""

from __future__ import annotations

import http.client
import json
import signal
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

#: An answer that takes longer than this counts as none.
TIMEOUT_S = 10.0

#: When it was asked on Linux's monotonic clock, which all processes of a machine share; seconds
#: it took; the status, 0 for none.
Sample = tuple[float, float, int]


class Probe:
    """One connection to one server."""

    def __init__(self, url: str, interval: float) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = parts.path or "/health"
        self._interval = interval
        self._connection: http.client.HTTPConnection | None = None
        self.samples: list[Sample] = []
        self._stopped = False

    def stop(self, *_: object) -> None:
        """Ends `run` after the sample that is under way."""
        self._stopped = True

    def run(self, seconds: float) -> None:
        """Asks until stopped or for so many seconds; a refused connection is no sample."""
        began = time.monotonic()
        while not self._stopped and time.monotonic() - began < seconds:
            asked = time.monotonic()
            status = self._ask()
            now = time.monotonic()
            if status is not None:
                self.samples.append((asked, now - asked, status))
            time.sleep(max(0.0, self._interval - (now - asked)))

    def _ask(self) -> int | None:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._host, self._port, TIMEOUT_S)
            self._connection.request("GET", self._path)
            answer = self._connection.getresponse()
            answer.read()
            return answer.status
        except ConnectionRefusedError:
            self._connection = None
            return None
        except (OSError, http.client.HTTPException):
            self._connection = None
            return 0


def summarise(samples: list[Sample]) -> dict[str, Any]:
    """Count, statuses, and the median, 99th percentile and maximum of the times, in ms."""
    from .summary import percentile  # noqa: PLC0415

    times = [took * 1000 for _, took, _ in samples]
    statuses: dict[str, int] = {}
    for _, _, status in samples:
        statuses[str(status)] = statuses.get(str(status), 0) + 1
    return {
        "samples": len(samples),
        "statuses": statuses,
        "p50_ms": percentile(times, 50),
        "p99_ms": percentile(times, 99),
        "max_ms": max(times, default=None),
    }


def watch(url: str, interval: float, seconds: float, out: Path) -> None:
    """Probes until SIGTERM or the time is over, then writes the summary, and all in `series`."""
    probe = Probe(url, interval)
    signal.signal(signal.SIGTERM, probe.stop)
    probe.run(seconds)
    written = summarise(probe.samples) | {"series": probe.samples}
    out.write_text(json.dumps(written) + "\n", encoding="utf-8")
