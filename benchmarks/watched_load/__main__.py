# SPDX-License-Identifier: Apache-2.0
"""Ask the demo for some minutes, restart its service, and look at what the dashboard shows.

usage: python -m benchmarks.watched_load [--clone FOLDER] [--minutes 10] [--out FOLDER]
           [--images FOLDER]

`make demo` has to be up in the clone. A second key is added for the time, and removed at the end.
Exit status 1: a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import requests

from tests.demo.commands import STOCK, TIMEOUT_S, on_instance
from tests.demo.load import NO_KEY
from tests.demo.watched import looked_at, until
from tests.support.browser import open_browser

from . import ROOT, pictures, seen
from .goals import COUNTS, goals, write
from .load import MixedLoad

FIRST, SECOND = "default", "team-chat"
SECONDS_KEY = "a-key-for-a-team-that-chats-0123"
NOBODYS_KEY = "a-key-that-opens-nothing"
#: The worker of the second key asks more often than that: some are refused with 429.
MOST_A_MINUTE = 20
RESTART = "sudo systemctl restart llm-server"


def main() -> int:
    """All of it; says which goals are missed."""
    given = options()
    demo = json.loads((given.clone / ".demo" / "summary.json").read_text())
    first_key = Path(demo["api_key_file"]).read_text().strip()
    keys = {FIRST: first_key, SECOND: SECONDS_KEY, NO_KEY: NOBODYS_KEY}
    load = MixedLoad(demo["endpoint"], keys, FIRST, SECOND)
    given.images.mkdir(parents=True, exist_ok=True)
    with second_key(given.clone, demo):
        seen_by = partial(until, partial(looked_at, demo))
        now = time.time()
        # What was there before has to be known.
        seen_by(lambda at: at > now)
        with open_browser() as browser:
            began = time.time()
            with load:
                time.sleep(30 * given.minutes)
                restarted = time.time()
                on_instance(demo, RESTART)
                until(partial(health, demo), lambda status: status == 200)
                ready = time.time()
                time.sleep(max(0.0, began + 60 * given.minutes - ready))
                during = pictures.take(browser, demo["dashboard"], first_key, given.images)
            ended = time.time()
            seen_by(lambda at: at > ended + 1)
            times = seen.Times(began, restarted, ready, ended)
            counted = seen.counted(demo, tuple(keys), times)
            page = pictures.look(browser, demo["dashboard"], first_key)
    figures = {
        "date": time.strftime("%Y-%m-%d", time.gmtime(began)),
        "minutes": given.minutes,
        "times": vars(times),
        "restart_s": round(ready - restarted, 1),
        "sent": {word: load.total(word) for word in COUNTS},
        "prometheus": {word: total(counted, word) for word in COUNTS},
        "sent_by_key": by_key(load.counted),
        "prometheus_by_key": by_key(counted),
        "unanswered": dict(load.unanswered),
        "alerts": seen.fired(demo, times),
        "under_load": during,
        "page": page,
    }
    found = goals(figures)
    write(given.out, figures, found)
    print((given.out / "README.md").read_text())
    missed = [f"{one.what}: {one.found}, wanted {one.wanted}" for one in found if not one.met]
    print("\n".join(f"MISSED {line}" for line in missed) or "All goals are met.")
    return 1 if missed else 0


def options() -> argparse.Namespace:
    """The command line's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    today = time.strftime("%Y-%m-%d", time.gmtime())
    results = ROOT / "benchmarks/results" / f"watched-load-{today}"
    parser.add_argument("--clone", type=Path, default=ROOT, help="where `make demo` was called")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=results, help="a folder for the figures")
    parser.add_argument("--images", type=Path, default=ROOT / "docs/images")
    return parser.parse_args()


@contextmanager
def second_key(clone: Path, demo: dict[str, Any]) -> Iterator[None]:
    """A key that may ask the model, and not often."""
    key = {"name": SECOND, "key": SECONDS_KEY, "scope": "inference"}
    play(clone, {"llm_server_keys": [key | {"requests_per_minute": MOST_A_MINUTE}]})
    try:
        # The server reads its keys a moment after it was told to.
        until(partial(opened, demo), lambda status: status == 200)
        yield
    finally:
        play(clone, {})


def play(clone: Path, variables: dict[str, Any]) -> None:
    """Run keys.yml with those variables, which no list of processes shows."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(variables, file)
        file.flush()
        subprocess.run(
            [
                *(clone / ".venv/bin/ansible-playbook", "-i", "inventories/demo"),
                *("playbooks/keys.yml", "-e", f"@{file.name}"),
            ],
            cwd=clone,
            env={**os.environ, **STOCK},
            check=True,
        )


def opened(demo: dict[str, Any]) -> int:
    """The status that the second key gets."""
    headers = {"Authorization": f"Bearer {SECONDS_KEY}"}
    url = f"{demo['endpoint']}/v1/models"
    return requests.get(url, headers=headers, timeout=TIMEOUT_S).status_code


def health(demo: dict[str, Any]) -> int:
    """The status of the server's own word; 0 where nobody listens."""
    try:
        return requests.get(f"{demo['endpoint']}/health", timeout=TIMEOUT_S).status_code
    except requests.ConnectionError:
        return 0


def total(counted: Counter[tuple[str, str]], what: str) -> int:
    """That of all keys."""
    return sum(number for (_, word), number in counted.items() if word == what)


def by_key(counted: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """What there is of each key."""
    found: dict[str, dict[str, int]] = {}
    for (key, word), number in sorted(counted.items()):
        found.setdefault(key, {})[word] = number
    return found


if __name__ == "__main__":
    sys.exit(main())
