# SPDX-License-Identifier: Apache-2.0
"""Fields of a body that its path does not know: which are a mistake, and which are only said.

vLLM ignores them all. A client of the OpenAI API may send what is new there, which does no harm;
a limit that is misspelt does.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

#: How alike a name is to one that is known, where it is taken for misspelt.
ALIKE = 0.88
#: Names of limits here and in other APIs, with what says the same, the best first.
_TOKENS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_ELSEWHERE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *_TOKENS,
            "max_new_tokens",
            "max_tokens_to_sample",
            "max_length",
            "num_predict",
            "n_predict",
        ),
        _TOKENS,
    ),
    "best_of": ("n",),
    "num_return_sequences": ("n",),
    "stop_sequences": ("stop",),
    **dict.fromkeys(
        (
            "guided_json",
            "guided_regex",
            "guided_choice",
            "guided_grammar",
            "guided_decoding_backend",
            "guided_whitespace_pattern",
        ),
        ("structured_outputs", "response_format", "text"),
    ),
}
#: What asks for nothing.
_HARMLESS: dict[str, tuple[Any, ...]] = {"best_of": (0, 1), "num_return_sequences": (1,)}
#: Of these names so many are told.
TOLD = 8


def mistaken(data: Mapping[str, Any], known: frozenset[str]) -> tuple[str, str] | None:
    """A field that is taken for a mistake, and what may have been meant; None is none."""
    for name in data.keys() - known:
        if data[name] is None or data[name] in _HARMLESS.get(name, ()):
            continue
        meant = next((other for other in _ELSEWHERE.get(name, ()) if other in known), None)
        if meant is None and name not in _ELSEWHERE:
            meant = next(iter(difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)), None)
        if meant is not None:
            return name, meant
    return None


def ignored(data: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    """Some of the names that the path does not know, as a header can carry them."""
    names = [name for name in data if name not in known and name.isascii()]
    return ["".join(c for c in name if c.isalnum() or c in "_-.")[:64] for name in names[:TOLD]]
