# SPDX-License-Identifier: Apache-2.0
"""'Did you mean …?'"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def closest(name: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` choices that look like `name`, best first; none where nothing comes near.

    Whole words in common count as much as half of the letters: `nvidia-t4` is rather
    `nvidia-tesla-t4` than `nvidia-l4`.
    """
    wanted = str(name).lower()
    known = {str(choice).lower(): str(choice) for choice in choices}
    words = _words(wanted)

    def likeness(candidate: str) -> float:
        letters = difflib.SequenceMatcher(None, candidate, wanted).ratio()
        return letters + len(words & _words(candidate)) / len(words) / 2

    near = difflib.get_close_matches(wanted, sorted(known), n=max(1, len(known)), cutoff=0.5)
    return [known[match] for match in sorted(near, key=lambda one: (-likeness(one), one))[:count]]


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name))


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
