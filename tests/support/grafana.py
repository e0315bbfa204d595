# SPDX-License-Identifier: Apache-2.0
"""What a Grafana would ask of Prometheus for a dashboard's file.

    python3 grafana.py http://127.0.0.1:9090 FILE...

It asks all of it, prints JSON of what had data and what had none, and exits with 3 where Prometheus
refuses an expression. It needs nothing but Python, so that it runs on a host too.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: What Grafana puts in for all hosts, the bucket that is chosen at first, and one hour.
FILLED = {
    "$__rate_interval": "1m",
    "$__interval": "15s",
    "$__range": "3600s",
    "$instance": ".*",
    "$within": "2.5",
}


def expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every expression of panels and marks, ready for Prometheus, with its place in words."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", filled(target["expr"])
    for mark in dashboard["annotations"]["list"]:
        yield f"mark {mark['name']}", filled(mark["expr"])


def filled(expr: str) -> str:
    """An expression without Grafana's variables."""
    for name, value in FILLED.items():
        expr = expr.replace(name, value)
    return expr


def ask(prometheus: str, expr: str, seconds: int) -> int:
    """How many series there are of it in the last seconds.

    Raises:
        ValueError: Prometheus refuses it.
    """
    end = int(time.time())
    query = {"query": expr, "start": end - seconds, "end": end, "step": 15}
    url = f"{prometheus}/api/v1/query_range?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=300) as answer:  # noqa: S310 - one of the tests'
            return len(json.load(answer)["data"]["result"])
    except urllib.error.HTTPError as error:
        # Any other may answer later.
        if error.code not in (400, 422):
            raise
        raise ValueError(error.read().decode()) from error


def main(prometheus: str, *files: str) -> int:
    """Asks everything of the files."""
    refused: dict[str, str] = {}
    counts: dict[str, int] = {}
    for file in files:
        for name, expr in expressions(json.loads(Path(file).read_text(encoding="utf-8"))):
            place = f"{Path(file).stem}: {name}"
            try:
                counts[place] = ask(prometheus, expr, 300)
            except ValueError as error:
                refused[place] = f"{expr}: {error}"
    empty = sorted(place for place, count in counts.items() if not count)
    drawn = sorted(place for place, count in counts.items() if count)
    json.dump({"refused": refused, "drawn": drawn, "empty": empty}, sys.stdout)
    return 3 if refused else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
