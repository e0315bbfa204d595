# SPDX-License-Identifier: Apache-2.0
"""Which release a rollback chooses, by what is noted of each."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.venv import rollback

DAY = "2026-01-0{}T00:00:00Z"


def release(name: str, served: int = 0, current: bool = False, **refused: Any) -> dict[str, Any]:
    """A release as the module tells it; `at` and `served` are days."""
    if refused:
        refused = {
            "reason": "it fell",
            "fingerprint": "",
            **refused,
            "at": DAY.format(refused["at"]),
        }
    return {
        "name": name,
        "path": f"/r/{name}",
        "passed": True,
        "served_at": DAY.format(served) if served else "",
        "refused": refused,
        "version": "",
        "current": current,
        "running": current,
        "used": 0.0,
    }


# name: releases, what runs, the name asked for; targets, left, arrived
CASES: dict[str, tuple[list[dict[str, Any]], str, str, list[str], str, bool]] = {
    "nothing there": ([], "", "", [], "", False),
    "the current one alone": ([release("a", 1, True)], "a", "", [], "", False),
    "what served before, newest last": (
        [release("a", 1), release("b", 3), release("c", 2), release("d", 4, True)],
        *("d", "", ["a", "c", "b"], "", False),
    ),
    "what never served": ([release("a"), release("b", 2, True)], "b", "", [], "", False),
    "what failed": ([release("a", 1, at=2), release("b", 3, True)], "b", "", [], "", False),
    "by name, though it failed": (
        [release("a", 1, at=2), release("b", 3, True)],
        *("b", "a", ["a"], "", False),
    ),
    "by a name that never served": ([release("a"), release("b", 2, True)], "b", "a", [], "", False),
    "gone back already": (
        [release("a", 4, True), release("b", 2, at=3, successor="a")],
        *("a", "", ["a"], "b", True),
    ),
    "cut off on the way back": (
        [release("a", 1), release("b", 2, True, at=3, successor="a"), release("c", 2)],
        *("b", "", ["a"], "b", False),
    ),
    "switched, and not started": (
        [release("a", 1, True), release("b", 2, at=3, successor="a")],
        *("b", "", ["a"], "b", False),
    ),
    "another release serves since": (
        [release("a", 1), release("b", 2, at=3, successor="a"), release("c", 4, True)],
        *("c", "", ["a"], "", False),
    ),
    "the last of two rollbacks": (
        [
            release("a", 1, True),
            release("b", 2, at=5, successor="a"),
            release("c", 3, at=4, successor="b"),
        ],
        *("a", "", ["a"], "b", True),
    ),
    "its choice was removed": (
        [release("b", 2, True, at=3, successor="a"), release("c", 1)],
        *("b", "", ["c"], "b", False),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_choice(case: str) -> None:
    releases, serving, name, targets, left, arrived = CASES[case]
    found = rollback.choice(releases, f"/r/{serving}" if serving else "", name)
    assert [one["name"] for one in found["targets"]] == targets
    assert found["left"].get("name", "") == left
    assert found["arrived"] is arrived


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("nothing there", "has no release of vLLM"),
        ("the current one alone", "has no other release than a, so there is nothing to go back to"),
        ("what never served", "has no other release that served; never did: a"),
        (
            "what failed",
            "has no release to go back to by itself; failed or left before: a. "
            "-e rollback_to=a goes there all the same",
        ),
        ("by a name that never served", "can't go back to a, which never served"),
        ("by a name that nothing has", "has no release nope"),
        ("by the name of the only one", ""),
    ],
)
def test_where_there_is_nothing_to_go_back_to_it_says_why(case: str, said: str) -> None:
    named = {
        "by a name that nothing has": ([release("a", 1, True)], "a", "nope"),
        "by the name of the only one": ([release("a", 1, True)], "a", "a"),
    }
    releases, serving, name = named[case] if case in named else CASES[case][:3]
    assert rollback.choice(releases, f"/r/{serving}", name)["refusal"] == said


def test_releases_have_their_version_of_vllm() -> None:
    releases = [
        {**release("a", 1), "version": "0.32.0"},
        {**release("b", 2, True), "version": "0.33.0"},
    ]
    found = rollback.choice(releases, "/r/b")
    assert found["targets"][0]["title"] == "a (vLLM 0.32.0)"
    assert found["current"] == "b (vLLM 0.33.0)"
    assert rollback.lines(releases)[1].startswith("b (vLLM 0.33.0), current, running, served")
    alone = rollback.choice(releases[1:], "/r/b")
    assert "no other release than b (vLLM 0.33.0)" in alone["refusal"]
    assert rollback.choice([release("a", 1)], "")["current"] == ""


@pytest.mark.parametrize(
    ("successor", "serving", "expected"),
    [
        (None, "b", True),  # it is gone
        (release("a", 1), "b", True),  # nothing was switched
        (release("a", 1, True), "b", True),  # switched, and not started
        (release("a", 1, True), "a", False),  # started
        (release("a", 3, True), "", False),  # it served since, and is down
    ],
)
def test_a_rollback_is_cut_off_until_its_choice_serves(
    successor: dict[str, Any] | None, serving: str, expected: bool
) -> None:
    left = release("b", 2, not (successor or {}).get("current"), at=3, successor="a")
    releases = [left] if successor is None else [successor, left]
    assert rollback.cut_off(releases, "/r/b", f"/r/{serving}") is expected


def test_what_failed_by_itself_was_not_left_by_a_rollback() -> None:
    releases = [release("a", 1, True), release("b", 0, at=2)]
    assert not rollback.cut_off(releases, "/r/b", "/r/a")
    assert not rollback.cut_off(releases, "/r/none", "/r/a")


def test_lines() -> None:
    assert rollback.lines([release("a", 1, True), release("b", at=2)]) == [
        "a, current, running, served (noted 2026-01-01T00:00:00Z)",
        "b, never served, not tried again: it fell",
    ]
