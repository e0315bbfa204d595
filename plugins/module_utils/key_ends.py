# SPDX-License-Identifier: Apache-2.0
"""When API keys end, as people write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any


def problems(keys: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each key whose `expires` the server could not read; none repeats a key."""
    return [
        f"llm_server_keys: {key.get('name')}: expires is {key['expires']}, which is no date."
        " Write a day as 2027-01-31, or a time in UTC as 2027-01-31T12:00:00Z."
        for key in keys
        if key.get("expires") and not _is_moment(str(key["expires"]))
    ]


def _is_moment(text: str) -> bool:
    try:
        # So that Python 3.10 reads it as well.
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return moment.year < datetime.max.year
