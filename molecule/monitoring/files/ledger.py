# SPDX-License-Identifier: Apache-2.0
"""Writes usage of a key with the server's own code, and keeps the file open as the server does."""

import pathlib
import threading
import time

from store import Store

hour = int(time.time() // 3600)
ledger = Store(pathlib.Path("/var/lib/monitoring-test/ledger.sqlite"))
ledger.write(
    "a test",
    1,
    {
        (hour, "team-search", "test-model", "prompt"): 1234567,
        (hour, "team-search", "test-model", "ok"): 89,
        (hour, "", "test-model", "seconds"): 3600,
    },
    hour,
)
threading.Event().wait()
