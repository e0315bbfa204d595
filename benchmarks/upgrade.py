# SPDX-License-Identifier: Apache-2.0
"""How long a server does not answer while a command runs, for example an upgrade that fails.

python -m benchmarks.upgrade --url http://HOST:8000 --key KEY --model NAME --out FILE -- COMMAND ...

Asks for /health and for a completion of one token every 100 ms, each on its own, and writes the
longest time between two good answers, and how the command ended.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PERIOD_S = 0.1
REQUEST_TIMEOUT_S = 5.0


class Watch(threading.Thread):
    """Asks again and again until it is told to stop; keeps when the answers were good."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._over = threading.Event()
        self.good: list[float] = []
        self.asked = 0

    def run(self) -> None:
        """Until `finish`."""
        while not self._over.is_set():
            since = time.monotonic()
            self.asked += 1
            if self._ask():
                self.good.append(time.monotonic())
            self._over.wait(max(0.0, since + PERIOD_S - time.monotonic()))

    def finish(self) -> dict[str, Any]:
        """Stop, and sum up: how long it was from one good answer to the next."""
        self._over.set()
        self.join()
        gaps = [b - a for a, b in zip(self.good, self.good[1:], strict=False)]
        longest = max(gaps, default=float("nan"))
        return {
            "asked": self.asked,
            "good": len(self.good),
            "longest_gap_s": round(longest, 2),
            "gaps_over_2s": [
                {"began_after_s": round(before - self.good[0], 1), "gap_s": round(gap, 2)}
                for before, gap in zip(self.good, gaps, strict=False)
                if gap > 2
            ],
        }


def asker(url: str, method: str, path: str, key: str, body: Any = None) -> Callable[[], bool]:
    """A request that says whether it was answered with 200."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    text = json.dumps(body) if body else None

    def ask() -> bool:
        connection = http.client.HTTPConnection(host or "", port, timeout=REQUEST_TIMEOUT_S)
        try:
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return answer.status == 200

    return ask


def main() -> int:
    """Watch the server while the command runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--url", "--key", "--model"):
        parser.add_argument(name, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    prompt = {"model": arguments.model, "prompt": "One", "max_tokens": 1}
    watches = {
        "health": Watch(asker(arguments.url, "GET", "/health", arguments.key)),
        "completion": Watch(asker(arguments.url, "POST", "/v1/completions", arguments.key, prompt)),
    }
    for watch in watches.values():
        watch.start()
    while not all(watch.good for watch in watches.values()):
        time.sleep(PERIOD_S)
    since = time.monotonic()
    done = subprocess.run(arguments.command, capture_output=True, text=True, check=False)
    took = time.monotonic() - since
    time.sleep(10 * PERIOD_S)
    result = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "command_ended_with": done.returncode,
        "command_took_s": round(took, 1),
        **{name: watch.finish() for name, watch in watches.items()},
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(done.stdout, json.dumps(result, indent=2), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
