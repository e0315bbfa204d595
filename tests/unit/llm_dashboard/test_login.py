# SPDX-License-Identifier: Apache-2.0
"""Who gets in: keys, sessions, tries, ranges, and what a browser is told."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from llm_dashboard.__main__ import arguments
from llm_dashboard.app import COOKIE, MOST_BODY, Service, allowed
from llm_dashboard.board import Board, Sources
from llm_dashboard.keys import Keys, KeysError
from llm_dashboard.sessions import LIFE_S, MOST_ADDRESSES, TRIES, TRIES_S, Tries
from llm_server.keys.access import load_access
from starlette.testclient import TestClient

from tests.unit.llm_dashboard.test_dashboard_page import NOW, Answers

KEYS = {"ops": "all", "watch": "metrics", "asks": "inference"}
RANGES = [ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32")]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def secret(name: str) -> str:
    return f"the key of {name}, which is long enough"


def written(path: Path, **more: dict[str, Any]) -> Path:
    """An access file with KEYS, and what else a key of that name has."""
    keys = [
        {"name": name, "sha256": hashlib.sha256(secret(name).encode()).hexdigest(), "scope": scope}
        | more.get(name, {})
        for name, scope in KEYS.items()
    ]
    new = path.with_suffix(".new")
    new.write_text(yaml.safe_dump({"keys": keys, "limits": {}}))
    new.replace(path)
    return path


class Place:
    """A service with its own clock, and a browser."""

    def __init__(self, board: Board, folder: Path, *, secure: bool = False) -> None:
        self.now = NOW
        self.access = written(folder / "access.yaml")
        service = Service(board, Keys(self.access), RANGES, secure=secure, clock=lambda: self.now)
        self.app = service.app()
        self.browser = self.client("127.0.0.1", secure=secure)

    def client(self, address: str, *, secure: bool = False) -> TestClient:
        scheme = "https" if secure else "http"
        return TestClient(self.app, f"{scheme}://localhost:8080", client=(address, 5),
                          follow_redirects=False)  # fmt: skip

    def log_in(self, name: str, **headers: str) -> Any:
        return self.browser.post("/login", data={"key": secret(name)}, headers=headers)

    def inside(self) -> bool:
        answer = self.browser.get("/")
        assert answer.status_code in (200, 303)
        return bool(answer.status_code == 200)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """Its own clock stands still: one page is made for all tests."""
    none = tmp_path_factory.mktemp("board") / "none"
    found = Board(Sources(ledger=none, units=("no.service",)), Answers(), lambda: NOW)
    yield found
    found.close()


@pytest.fixture
def place(board: Board, tmp_path: Path) -> Place:
    return Place(board, tmp_path)


@pytest.mark.parametrize(
    ("name", "status"), [("ops", 303), ("watch", 303), ("asks", 401), ("nobody", 401)]
)
def test_a_key_opens_the_page_by_its_scope(place: Place, name: str, status: int) -> None:
    assert place.browser.get("/").headers["location"] == "login"
    answer = place.log_in(name)
    assert answer.status_code == status
    assert place.inside() == (status == 303)
    assert secret(name) not in answer.text


@pytest.mark.parametrize("secure", [False, True])
def test_the_cookie_is_for_this_page_alone(board: Board, tmp_path: Path, secure: bool) -> None:
    place = Place(board, tmp_path, secure=secure)
    cookie = place.log_in("ops").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert ("Secure" in cookie) == secure
    assert place.inside()


@pytest.mark.parametrize("end", ["time", "logout", "removed", "expired", "another", "unreadable"])
def test_a_session_ends(place: Place, end: str) -> None:
    place.log_in("watch")
    assert place.inside()
    if end == "time":
        place.now += LIFE_S
    elif end == "logout":
        assert place.browser.post("/logout").status_code == 303
    elif end == "removed":
        written(place.access, watch={"scope": "inference"})
    elif end == "expired":
        written(place.access, watch={"expires": "2026-11-30T15:00:00Z"})
    elif end == "another":
        written(place.access, watch={"sha256": "0" * 64})
    else:
        place.access.unlink()
    assert not place.inside()


def test_a_logged_out_cookie_is_worth_nothing(place: Place) -> None:
    place.log_in("ops")
    kept = place.browser.cookies[COOKIE]
    place.browser.post("/logout")
    place.browser.cookies.set(COOKIE, kept)
    assert not place.inside()


def test_wrong_keys_are_limited_by_address(place: Place) -> None:
    for _ in range(TRIES):
        assert place.log_in("nobody").status_code == 401
    refused = place.log_in("ops")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= TRIES_S
    other = place.client("192.0.2.7")
    assert other.post("/login", data={"key": secret("ops")}).status_code == 303
    place.now += TRIES_S
    assert place.log_in("ops").status_code == 303


def test_addresses_that_try_take_no_more_memory() -> None:
    tries = Tries(lambda: NOW)
    for number in range(MOST_ADDRESSES + 50):
        tries.wrong(str(number))
    assert len(tries._wrong) == MOST_ADDRESSES


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_no_other_page_logs_in(place: Place, headers: dict[str, str], status: int) -> None:
    assert place.log_in("ops", **headers).status_code == status


@pytest.mark.parametrize(
    "body", ["", "key=", "key=a&key=b", "other=a", "key=" + "a" * MOST_BODY, "\xff\x00", "key=%ff"]
)
def test_odd_forms_are_wrong_keys(place: Place, body: str) -> None:
    answer = place.browser.post("/login", content=body.encode("latin-1"), headers=FORM)
    assert answer.status_code == 401


def test_a_key_in_an_address_opens_nothing(place: Place) -> None:
    parameters = {"key": secret("ops")}
    assert place.browser.get("/", params=parameters).status_code == 303
    assert place.browser.post("/login", params=parameters).status_code == 401
    bearer = {"Authorization": f"Bearer {secret('ops')}"}
    assert place.browser.get("/", headers=bearer).status_code == 303


@pytest.mark.parametrize("path", ["/", "/login", "/style.css", "/refresh.js", "/no-such-page"])
def test_each_answer_says_what_a_browser_may_do(place: Place, path: str) -> None:
    headers = place.browser.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("::1", True), ("192.0.2.9", True), ("::ffff:192.0.2.9", True),
     ("2001:db8::5", True), ("198.51.100.1", False), ("2001:db9::1", False), ("", False),
     ("testclient", False)],
)  # fmt: skip
def test_who_may_ask_at_all(place: Place, address: str, expected: bool) -> None:
    assert allowed(address, RANGES) == expected
    answer = place.client(address).get("/login")
    assert answer.status_code == (200 if expected else 403)


def test_the_page_reads_keys_as_the_server_does(tmp_path: Path) -> None:
    ends = ["2026-11-30", "2026-11-29", "2026-11-30T15:00:00Z", "2026-11-30T15:00:00+02:00", None]
    for end in ends:
        file = written(tmp_path / "access.yaml", watch={"expires": end})
        server = next(
            key for key in load_access(file, keys_needed=True).keys if key.name == "watch"
        )
        ended = server.expires is not None and server.expires.timestamp() <= NOW
        known = {key.name: key.expires for key in Keys(file).known(NOW)}
        assert ("watch" in known) != ended, end
        if not ended and server.expires is not None:
            assert known["watch"] == server.expires.timestamp()


@pytest.mark.parametrize("text", ["[]", "keys: [{name: a}]", "keys: {a: b}", "a: [", "\x00"])
def test_a_file_that_is_none_lets_nobody_in(tmp_path: Path, text: str) -> None:
    file = tmp_path / "access.yaml"
    file.write_text(text)
    with pytest.raises(KeysError, match=r"is no file with keys"):
        Keys(file).known(NOW)
    # It is read again, not remembered as good.
    os.utime(file)
    with pytest.raises(KeysError):
        Keys(file).known(NOW)


def test_ranges_want_tls() -> None:
    with pytest.raises(SystemExit):
        arguments(["--range", "192.0.2.0/24"])
    found = arguments(["--range", "192.0.2.0/24", "--tls-file", "/tls.pem"])
    assert found.ranges == RANGES[:1]
    assert arguments([]).ranges == []
