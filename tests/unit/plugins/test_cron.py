# SPDX-License-Identifier: Apache-2.0
"""When a schedule last fired, and what an instance that follows it should be."""

from __future__ import annotations

import datetime as dt

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import GceError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import cron

UTC = dt.UTC
# A Wednesday.
NOON = dt.datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("0 8 * * 1-5", dt.datetime(2026, 11, 25, 8, 0, tzinfo=UTC)),
        ("0 19 * * mon-fri", dt.datetime(2026, 11, 24, 19, 0, tzinfo=UTC)),
        ("0 12 * * *", NOON),
        ("*/15 * * * *", NOON),
        ("5/20 11 * * *", dt.datetime(2026, 11, 25, 11, 45, tzinfo=UTC)),
        ("30 6 * * 7", dt.datetime(2026, 11, 22, 6, 30, tzinfo=UTC)),
        ("30 6 * * 0,6", dt.datetime(2026, 11, 22, 6, 30, tzinfo=UTC)),
        ("0 0 1 * *", dt.datetime(2026, 11, 1, tzinfo=UTC)),
        ("0 0 1 jan *", dt.datetime(2026, 1, 1, tzinfo=UTC)),
        # Both kinds of days limited: either will do.
        ("0 0 20 * 2", dt.datetime(2026, 11, 24, tzinfo=UTC)),
        ("0 0 30 2 *", None),
    ],
)
def test_last(text: str, last: dt.datetime | None) -> None:
    assert cron.Cron(text, "start").last(NOON) == last


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 8 * *", "4 fields"),
        ("60 8 * * *", "minute '60'"),
        ("0 8-7 * * *", "hour '8-7'"),
        ("0 8 * * funday", "day of the week 'funday'"),
        ("0 8 */0 * *", "day of the month '*/0'"),
    ],
)
def test_wrong_expressions_say_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(GceError) as raised:
        cron.Cron(text, "stop")
    assert words in raised.value.message
    assert raised.value.message.startswith(f"stop is '{text}'")
    assert "0 8 * * 1-5" in raised.value.remedy


OFFICE = ("0 8 * * 1-5", "0 19 * * 1-5")


@pytest.mark.parametrize(
    ("start", "stop", "zone", "now", "state"),
    [
        (*OFFICE, "UTC", NOON, "running"),
        (*OFFICE, "UTC", NOON.replace(hour=20), "stopped"),
        (*OFFICE, "UTC", NOON.replace(hour=7, minute=59), "stopped"),
        (*OFFICE, "UTC", NOON.replace(day=28), "stopped"),
        # Noon in Greenwich is seven in New York.
        (*OFFICE, "America/New_York", NOON, "stopped"),
        (*OFFICE, "Asia/Tokyo", NOON, "stopped"),
        (None, OFFICE[1], "UTC", NOON, "stopped"),
        (OFFICE[0], None, "UTC", NOON, "running"),
        ("0 0 30 2 *", None, "UTC", NOON, "unknown"),
    ],
)
def test_expected(
    start: str | None, stop: str | None, zone: str, now: dt.datetime, state: str
) -> None:
    assert cron.expected(start, stop, zone, now) == state


def test_a_misspelt_time_zone_names_the_right_one() -> None:
    with pytest.raises(GceError) as raised:
        cron.zone("Europe/Berlni")
    assert "Europe/Berlin" in raised.value.message
