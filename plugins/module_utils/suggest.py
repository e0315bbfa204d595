# SPDX-License-Identifier: Apache-2.0
"""'Did you mean …?'"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(name: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` choices that look like `name`, best first; none where nothing comes near."""
    known = {str(choice).lower(): str(choice) for choice in choices}
    found = difflib.get_close_matches(str(name).lower(), known, n=count, cutoff=0.5)
    return [known[match] for match in found]


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """` Did you mean a or b?`, with the space before it, or ''."""
    found = closest(name, choices)
    return f" Did you mean {' or '.join(found)}?" if found else ""


def listed(names: Iterable[str], most: int = 12) -> str:
    """`a, b, c and 4 more`, or `none`."""
    known = list(names)
    if len(known) <= most:
        return ", ".join(known) or "none"
    return f"{', '.join(known[:most])} and {len(known) - most} more"
