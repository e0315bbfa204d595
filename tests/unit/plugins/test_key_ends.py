# SPDX-License-Identifier: Apache-2.0
"""Ends of API keys: what the role lets through the server can read, and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.key_ends import problems
from llm_server.keys.access import Key, digest
from pydantic import ValidationError


@pytest.mark.parametrize(
    "expires",
    [
        None,
        "2027-01-31",
        date(2027, 1, 31),
        "2027-01-31T12:00:00Z",
        "2027-01-31 12:00:00+02:00",
        datetime(2027, 1, 31, 12, tzinfo=UTC),
        "2027-02-30",
        "tomorrow",
        "31.1.2027",
        "9999-12-31",
        True,
        5,
    ],
)
def test_the_role_and_the_server_agree(expires: Any) -> None:
    found = problems([{"name": "one", "key": "secret-0123456789", "expires": expires}])
    try:
        Key(name="one", sha256=digest("x"), expires=expires)
    except ValidationError:
        assert len(found) == 1
        assert "llm_server_keys: one: expires" in found[0]
        assert "secret" not in found[0]
    else:
        assert found == []
