# SPDX-License-Identifier: Apache-2.0
"""The model that a body asks for, by a look at its ends: for the log, before anybody parses it."""

from __future__ import annotations

import re

#: Clients write it first or last.
_END_BYTES = 4096
_MODEL = re.compile(rb'"model"\s*:\s*"([\w./:@+-]{1,128})"')


def model_asked(body: bytes) -> str | None:
    """The model or adapter; None where none is seen."""
    ends = (body,) if len(body) <= 2 * _END_BYTES else (body[:_END_BYTES], body[-_END_BYTES:])
    found = next((match for match in map(_MODEL.search, ends) if match), None)
    return None if found is None else found[1].decode("ascii", "replace")
