# SPDX-License-Identifier: Apache-2.0
"""Keys, their rates, and the file that they are in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from llm_server.errors import ConfigError
from llm_server.keys.access import Access, AccessControl, Key, digest, load_access
from llm_server.limits.rates import KeyRates

SECRET = "a-key-0123456789-0123456789"
GOOD = {"name": "one", "sha256": digest(SECRET)}


def written(folder: Path, data: Any) -> Path:
    path = folder / "access.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_a_key_is_found_by_its_digest(tmp_path: Path) -> None:
    control = AccessControl(load_access(written(tmp_path, {"keys": [GOOD]}), keys_needed=True))
    found = control.find(SECRET)
    assert found is not None
    assert found.name == "one"
    assert control.find(SECRET + "x") is None
    assert control.find(GOOD["sha256"]) is None, "who reads the file has no key yet"
    control.replace(Access())
    assert control.find(SECRET) is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"keys": []}, "holds no key"),
        ({"keys": [GOOD | {"sha256": SECRET}]}, r"keys.0.sha256"),
        ({"keys": [GOOD | {"name": "with space"}]}, r"keys.0.name"),
        ({"keys": [GOOD, GOOD | {"name": "two"}]}, "sha256 .* is there twice"),
        ({"keys": [GOOD, GOOD | {"sha256": "0" * 64}]}, "name one is there twice"),
        ({"keys": [GOOD | {"requests_per_minute": 0}]}, "requests_per_minute"),
        ({"keys": [GOOD], "limits": {"max_request": 1}}, "limits.max_request"),
        ({"keys": [GOOD], "limits": {"max_body_bytes": "1 MB"}}, "max_body_bytes"),
        ([], "the file"),
    ],
)
def test_a_wrong_file_is_refused_without_its_content(tmp_path: Path, data: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        load_access(written(tmp_path, data), keys_needed=True)
    assert SECRET not in str(refused.value)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_requests_a_minute() -> None:
    clock = Clock()
    rates = KeyRates(clock)
    rates.bound(3, None)
    assert [rates.admit() for _ in range(4)] == [0, 0, 0, 20]
    clock.now += 20
    rates.bound(3, None)
    assert [rates.admit(), rates.admit()] == [0, 20]
    clock.now += 3600
    assert [rates.admit() for _ in range(4)] == [0, 0, 0, 20], "what was not used is not saved up"


def test_tokens_a_minute_are_charged_afterwards() -> None:
    clock = Clock()
    rates = KeyRates(clock)
    rates.bound(None, 60)
    assert rates.admit() == 0
    rates.spend(100)
    assert rates.admit() == 41, "40 too many, and one to begin with"
    clock.now += 41
    assert rates.admit() == 0
    rates.bound(None, None)
    rates.spend(10**6)
    assert rates.admit() == 0


def test_tokens_that_are_set_aside_hold_up_others() -> None:
    clock = Clock()
    rates = KeyRates(clock)
    rates.bound(None, 60)
    assert rates.reserve(1000) == 0, "the first may ask for any answer"
    assert rates.reserve(10, more=True) == 0
    assert rates.admit() == 60, "no longer than a minute: it may come back at any time"
    assert rates.reserve(10) == 60
    rates.settle(1010, 20)
    assert rates.admit() == 0
    assert rates.reserve(39) == 0
    assert rates.admit() == 0
    assert rates.reserve(1) == 0
    assert rates.admit() == 1


def test_rates_outlive_a_reload() -> None:
    key = Key(**GOOD, requests_per_minute=1)
    control = AccessControl(Access(keys=(key,)))
    assert control.rates(key).admit() == 0
    control.replace(Access(keys=(key,)))
    assert control.rates(key).admit() > 0
    control.replace(Access())
    control.replace(Access(keys=(key,)))
    assert control.rates(key).admit() == 0


def test_what_is_left_is_told_as_the_openai_api_tells_it() -> None:
    now = [0.0]
    rates = KeyRates(lambda: now[0])
    assert rates.headers() == {}
    rates.bound(60, 1000)
    assert rates.headers() == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "60",
        "x-ratelimit-reset-requests": "0ms",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "1000",
        "x-ratelimit-reset-tokens": "0ms",
    }
    assert rates.admit() == 0
    assert rates.reserve(300) == 0
    told = rates.headers()
    assert told["x-ratelimit-remaining-requests"] == "59"
    assert told["x-ratelimit-reset-requests"] == "1s"
    assert told["x-ratelimit-remaining-tokens"] == "700", "what is set aside is not left"
    assert told["x-ratelimit-reset-tokens"] == "18s"
    now[0] = 0.5
    assert rates.headers()["x-ratelimit-reset-requests"] == "500ms"
    rates.settle(300, 2500)
    told = rates.headers()
    assert told["x-ratelimit-remaining-tokens"] == "0", "never below"
    assert told["x-ratelimit-reset-tokens"] == "2m30s"
