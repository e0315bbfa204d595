# SPDX-License-Identifier: Apache-2.0
"""The waiter on a clock of its own, and when a request is sent again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import WaitTimeoutError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import operations, retries
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)
from urllib3.response import HTTPResponse


class FakeTime:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


def wait(fake: FakeTime, states: Iterator[str], seconds: float) -> str:
    return operations.wait_until(
        lambda: next(states),
        lambda state: state == "RUNNING",
        seconds=seconds,
        what="the instance x to be RUNNING",
        describe=str,
        clock=operations.Clock(lambda: fake.now, fake.sleep),
    )


def test_ends_as_soon_as_it_is_done(fake: FakeTime) -> None:
    assert wait(fake, iter(["RUNNING"]), 10) == "RUNNING"
    assert fake.pauses == []


def test_pauses_grow_up_to_a_limit(fake: FakeTime) -> None:
    states = iter(["STAGING"] * 12 + ["RUNNING"])
    assert wait(fake, states, 100) == "RUNNING"
    assert fake.pauses[0] == 0.5
    assert fake.pauses == sorted(fake.pauses)
    assert max(fake.pauses) == 5.0


def test_timeout_says_what_was_last_seen(fake: FakeTime) -> None:
    states = iter(["PROVISIONING"] * 3 + ["STAGING"] * 100)
    with pytest.raises(WaitTimeoutError, match=r"Waited 10 s for the instance x.*STAGING"):
        wait(fake, states, 10)
    assert fake.now == pytest.approx(10)


def test_backoff_grows_with_jitter_and_stays_below_its_limit() -> None:
    policy = retries.retry_policy(time.monotonic() + 1e6)
    assert policy.get_backoff_time() == 0
    seen = []
    for _ in range(9):
        policy = policy.increment("GET", "/", error=ProtocolError("reset"))
        seen.append(policy.get_backoff_time())
    for number, pause in enumerate(seen):
        ceiling = min(retries.LONGEST_PAUSE_S, retries.FIRST_PAUSE_S * 2**number)
        assert ceiling / 2 <= pause <= ceiling


def test_no_attempt_after_the_deadline() -> None:
    policy = retries.retry_policy(time.monotonic() - 1)
    with pytest.raises(MaxRetryError):
        policy.increment("POST", "/", error=ProtocolError("reset"))


def test_every_verb_is_sent_again() -> None:
    policy = retries.retry_policy(time.monotonic() + 60)
    for verb in ("GET", "POST", "PATCH", "DELETE"):
        assert policy.is_retry(verb, 503)
        assert not policy.is_retry(verb, 404)
        assert not policy.is_retry(verb, 409)


@pytest.fixture
def clock(fake: FakeTime, monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """The same, for requests that are sent again."""
    monkeypatch.setattr(time, "monotonic", lambda: fake.now)
    monkeypatch.setattr(time, "sleep", fake.sleep)
    return fake


@pytest.mark.parametrize(
    "error",
    [
        ProtocolError("Connection aborted.", ConnectionResetError(104, "reset by peer")),
        ReadTimeoutError(None, "/", "no answer"),  # type: ignore[arg-type]
        ConnectTimeoutError("timed out"),
        None,
    ],
    ids=["reset", "read timeout", "connect timeout", "503"],
)
def test_a_request_is_sent_again_until_the_deadline(
    clock: FakeTime, error: Exception | None
) -> None:
    policy = retries.retry_policy(600)
    answer = None if error else HTTPResponse(status=503)
    with pytest.raises(MaxRetryError):
        while True:
            policy = policy.increment("POST", "/", response=answer, error=error)
            policy.sleep(answer)
    assert 600 - retries.LONGEST_PAUSE_S <= clock.now <= 600
    assert len(clock.pauses) > 12


@pytest.mark.parametrize(
    "error",
    [
        NewConnectionError(None, "[Errno 111] Connection refused"),  # type: ignore[arg-type]
        NameResolutionError("host", None, OSError("not known")),  # type: ignore[arg-type]
    ],
    ids=["refused", "no such name"],
)
def test_a_connection_that_nobody_takes_is_soon_given_up(clock: FakeTime, error: Exception) -> None:
    policy = retries.retry_policy(600)
    with pytest.raises(MaxRetryError):
        while True:
            policy = policy.increment("POST", "/", error=error)
            policy.sleep()
    assert 0 < clock.now < 5


def test_pauses_that_are_not_urllib3s_last_until_the_deadline_too(clock: FakeTime) -> None:
    patience = retries.Patience(600)
    while patience.pause():
        pass
    assert 600 - retries.LONGEST_PAUSE_S <= clock.now <= 600
    few = retries.Patience(1e6, tries=3)
    assert [few.pause(), few.pause(), few.pause()] == [True, True, False]
