# SPDX-License-Identifier: Apache-2.0
"""List filters as clients send them."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.errors import ApiError
from emulator.request.filters import compile_filter

VM = {
    "name": "llm-a",
    "status": "RUNNING",
    "zone": "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a",
    "labels": {"app": "llm", "team.name": "ml", "empty": ""},
    "tags": {"items": ["llm", "web"]},
    "scheduling": {"automaticRestart": True},
    "disks": [{"boot": True, "diskSizeGb": "50"}, {"boot": False, "diskSizeGb": "500"}],
    "priority": 1000,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, True),
        ("", True),
        ("  ", True),
        ("name = llm-a", True),
        ("name=llm-a", True),
        ('name="llm-a"', True),
        ("name = 'llm-a'", True),
        ("name = llm", False),
        ("name != llm-a", False),
        ("name != other", True),
        ("name = llm-*", True),
        ("name : llm", True),
        ("name:LLM", True),
        ("labels.app = llm", True),
        ("labels.app:*", True),
        ("labels.missing:*", False),
        ("labels.missing = x", False),
        ("labels.missing != x", True),
        ("labels.team.name = ml", True),
        ("labels:app", True),
        ("tags.items = web", True),
        ("tags.items:web", True),
        ("scheduling.automaticRestart = true", True),
        ("scheduling.automaticRestart = false", False),
        ("disks.boot = false", True),
        ("disks.diskSizeGb > 100", True),
        ("disks.diskSizeGb < 50", False),
        ("priority >= 1000", True),
        ("priority > 999 AND priority < 1001", True),
        ("(status = RUNNING) (labels.app = llm)", True),
        ("(status = RUNNING) (labels.app = other)", False),
        ("status = RUNNING labels.app = llm", True),
        ("(status = STOPPED) OR (labels.app = llm)", True),
        ("status = STOPPED OR status = RUNNING AND name = other", False),
        ("name = other AND status = STOPPED OR status = RUNNING", False),
        ("NOT status = RUNNING", False),
        ("-status = RUNNING", False),
        ("NOT (status = STOPPED OR name = other)", True),
        ("name eq llm-a", True),
        ("name eq llm", False),
        ("name eq llm.*", True),
        ("name ne .*-a", False),
        ("name eq '(llm|web)-[ab]'", True),
        ("name eq (llm|web)-a", True),
        ('(name eq "llm.*")(status eq "RUNNING")', True),
        ('(name eq "llm.*") (status ne "RUNNING")', False),
        ('(zone eq ".*us-central1-a")', True),
    ],
)
def test_match(text: str | None, expected: bool) -> None:
    assert compile_filter(text)(VM) is expected


@pytest.mark.parametrize(
    "text",
    [
        "name",
        "name =",
        "= llm",
        "(name = llm-a",
        "name = llm-a)",
        "name = llm-a AND",
        "name = 'open",
        "(name eq llm-a) (status = RUNNING)",
        "name eq [",
    ],
)
def test_unreadable(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        compile_filter(text)(VM)
    error: dict[str, Any] = caught.value.body()["error"]
    assert error["code"] == 400
    assert error["errors"][0]["reason"] == "invalid"
    assert text in error["message"]
