# SPDX-License-Identifier: Apache-2.0
"""Whether an instance that is down switched itself off, by what Google and it itself say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance.own_stop import (
    OWN,
    told,
)

LINK = "https://www.googleapis.com/compute/v1/projects/p/zones/z/instances/{}"
DOWN = {
    "name": "llm",
    "status": "TERMINATED",
    "lastStartTimestamp": "2026-03-01T08:00:00.000-08:00",
    "lastStopTimestamp": "2026-03-01T12:30:20.000-08:00",
}
AT, SINCE = "2026-03-01T20:30:05Z", "2026-03-01T19:59:10Z"


def operation(kind: str, at: str = "2026-03-01T12:30:10.000-08:00", name: str = "llm") -> Any:
    return {"operationType": kind, "insertTime": at, "targetLink": LINK.format(name)}


def record(**given: Any) -> str:
    return json.dumps({"reason": "idle", "since": SINCE, "at": AT, "idle_minutes": 30} | given)


STARTED = operation("start", "2026-03-01T08:00:00.000-08:00")
ENDED = operation(OWN)


@pytest.mark.parametrize(
    ("operations", "text", "since", "recorded"),
    [
        ([STARTED, ENDED], record(), "2026-03-01T19:59:10+00:00", True),
        # Google does not show what it wrote: by the setting.
        ([STARTED, ENDED], "", "2026-03-01T12:00:10-08:00", False),
        # Google has forgotten the operations.
        ([], record(), "2026-03-01T19:59:10+00:00", True),
        # What it wrote is of another stop, or nonsense.
        ([ENDED], record(at="2026-02-01T20:30:05Z"), "2026-03-01T12:00:10-08:00", False),
        ([ENDED], record(at="2026-04-01T20:30:05Z"), "2026-03-01T12:00:10-08:00", False),
        ([ENDED], record(since="2026-05-01T20:30:05Z"), "2026-03-01T12:00:10-08:00", False),
        ([ENDED], record(since="2026-03-01 19:00"), "2026-03-01T12:00:10-08:00", False),
        ([ENDED], record(reason="else"), "2026-03-01T12:00:10-08:00", False),
        ([ENDED], record(since=["x"]), "2026-03-01T12:00:10-08:00", False),
        ([ENDED], "[]", "2026-03-01T12:00:10-08:00", False),
        ([ENDED], "no json", "2026-03-01T12:00:10-08:00", False),
        ([ENDED], record(more="x" * 2000), "2026-03-01T12:00:10-08:00", False),
    ],
)
def test_it_switched_itself_off(
    operations: list[Any], text: str, since: str, recorded: bool
) -> None:
    found = told(DOWN, operations, text, 30)
    assert found is not None
    assert (found["since"], found["recorded"]) == (since, recorded)
    assert f"stopped: idle since {'' if recorded else 'about '}{since}" in found["line"]
    assert "start.yml" in found["line"]


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        # Stopped, taken away, or failed after it had switched itself off earlier.
        ([ENDED, operation("stop", "2026-03-01T12:31:00.000-08:00")], ""),
        ([STARTED, operation("compute.instances.preempted")], record()),
        ([STARTED, operation("compute.instances.hostError")], record()),
        ([operation("stop")], record()),
        # Nobody can tell.
        ([], ""),
        ([], record(at="2026-02-01T20:30:05Z")),
        ([operation(OWN, name="other-llm")], ""),
    ],
)
def test_others_stopped_it_or_nobody_can_tell(operations: list[Any], text: str) -> None:
    assert told(DOWN, operations, text, 30) is None
