# SPDX-License-Identifier: Apache-2.0
"""What the demo's monitoring says: the dashboard by its address, the others on the instance."""

from __future__ import annotations

import json
import re
import shlex
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import requests

from tests.demo.commands import TIMEOUT_S, on_instance

_T = TypeVar("_T")
#: A bound against hanging: whoever waits does so for a state.
WAIT_S = 300.0
#: A row of the dashboard's table of keys: requests, tokens in, tokens out, …, refused by reason.
_ROW = re.compile(r'<tr><th scope="row">([^<]+)</th>((?:<td>.*?</td>)+)</tr>')
_DRAWN = re.compile(
    r'<figure class="panel" id="([a-z-]+)">\n<figcaption>(?:(?!</figure>).)*class="serie-0"', re.S
)
_LOOKED = 'timestamp(up{job="llm"})'
#: Metric → the label that tells its series of a key apart.
_COUNTED = {
    "llm_requests_total": "outcome",
    "llm_tokens_total": "direction",
    "llm_refused_total": "reason",
}


def until(found: Callable[[], _T], done: Callable[[_T], bool], seconds: float = WAIT_S) -> _T:
    """The first that is as it should be, or the last that was found."""
    end = time.monotonic() + seconds
    while not done(now := found()) and time.monotonic() < end:
        time.sleep(1)
    return now


@dataclass(frozen=True)
class Used:
    """A key's row on the dashboard."""

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    refused: int = 0

    def since(self, before: Used) -> Used:
        """What was added."""
        return Used(
            self.requests - before.requests,
            self.tokens_in - before.tokens_in,
            self.tokens_out - before.tokens_out,
            self.refused - before.refused,
        )


@dataclass(frozen=True)
class Page:
    """The dashboard as HTML."""

    text: str

    @property
    def at(self) -> float:
        """When it was made, in seconds since 1970."""
        [text] = re.findall(r'<p class="says">([0-9: -]+) UTC', self.text)
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()

    @property
    def remarks(self) -> list[str]:
        """Sources that did not answer, and why."""
        return re.findall(r'<p class="remark">(.*?)</p>', self.text)

    @property
    def drawn(self) -> set[str]:
        """The panels with a line."""
        return set(_DRAWN.findall(self.text))

    @property
    def used(self) -> dict[str, Used]:
        """The keys."""
        table = self.text.partition('<table id="keys">')[2].partition("</table>")[0]
        return {name: _used(cells) for name, cells in _ROW.findall(table)}


def _used(cells: str) -> Used:
    texts = re.findall(r"<td>(.*?)</td>", cells)
    numbers = [int(text.partition("<br>")[0].replace(",", "")) for text in texts[:3] + texts[-1:]]
    return Used(*numbers)


class Dashboard:
    """A browser at the address that the demo names."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._browser = requests.Session()
        self._browser.trust_env = False

    def __enter__(self) -> Dashboard:
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()

    def login(self, key: str) -> int:
        """The status that a key gets."""
        answer = self._browser.post(
            f"{self._url}/login", data={"key": key}, allow_redirects=False, timeout=TIMEOUT_S
        )
        return answer.status_code

    def ask(self) -> requests.Response:
        """The last quarter of an hour."""
        return self._browser.get(
            f"{self._url}/", params={"range": "15m"}, allow_redirects=False, timeout=TIMEOUT_S
        )

    def page(self) -> Page:
        """The page, for who is logged in."""
        answer = self.ask()
        assert answer.status_code == 200, answer.headers
        return Page(answer.text)


def _asked(demo: Mapping[str, Any], url: str) -> Any:
    return json.loads(on_instance(dict(demo), f"curl -sS --fail {shlex.quote(url)}"))


def _series(demo: Mapping[str, Any], query: str) -> list[dict[str, Any]]:
    words = urllib.parse.urlencode({"query": query})
    answer = _asked(demo, f"http://127.0.0.1:9090/api/v1/query?{words}")
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def samples(
    demo: Mapping[str, Any], selector: str, seconds: int
) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
    """The labels of each series, and its raw samples of the last seconds: time and value."""
    return [
        (one["metric"], [(at, float(value)) for at, value in one["values"]])
        for one in _series(demo, f"{selector}[{seconds}s]")
    ]


def looked_at(demo: Mapping[str, Any]) -> float:
    """When Prometheus last asked the server, in seconds since 1970."""
    return max((float(one["value"][1]) for one in _series(demo, _LOOKED)), default=0.0)


def counted(demo: Mapping[str, Any], keys: str) -> Counter[tuple[str, str]]:
    """What Prometheus has of keys, `a|b`: by key and outcome, direction or reason."""
    names = "|".join(_COUNTED)
    found: Counter[tuple[str, str]] = Counter()
    for one in _series(demo, f'{{__name__=~"{names}",key=~"{keys}"}}'):
        labels = one["metric"]
        found[labels["key"], labels[_COUNTED[labels["__name__"]]]] += int(one["value"][1])
    return found


def alerts(demo: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What Alertmanager was told, by the alert's name."""
    return {
        one["labels"]["alertname"]: {
            "state": one["status"]["state"],
            "instance": one["labels"].get("instance", ""),
        }
        for one in _asked(demo, "http://127.0.0.1:9093/api/v2/alerts")
    }
