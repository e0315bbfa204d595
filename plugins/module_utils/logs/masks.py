# SPDX-License-Identifier: Apache-2.0
"""Takes out of log lines what may be a password, whoever wrote it there. Pure."""

from __future__ import annotations

import re

MASK = "********"
# The server writes no key into its log. A client may put one into a path, and other programs of
# the unit may say what they were given.
_WHOLE = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|ya29\.[A-Za-z0-9_-]{16,}|gh[opsur]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}|AIza[A-Za-z0-9_-]{30,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+)"
)
_AFTER = re.compile(
    r"(?P<kept>(?:\bbearer(?:\s|%20|\+)+"
    r"|(?<![A-Za-z0-9])(?:(?:hf|access|auth|bearer)[_-]?token|(?:[a-z]+[_-])?api[_-]?key|secret"
    r"|password|passwd|(?:x-[a-z]+-)?signature)[\"']?\s*[=:]\s*[\"']?))"
    r"(?!None\b|null\b|\*)[^\s\"'&,;)}]{4,}",
    re.IGNORECASE,
)
_USER = re.compile(r"(?P<kept>[a-z][a-z0-9+.-]*://)[^/@\s]+@", re.IGNORECASE)


def masked(text: str) -> str:
    """The text without what looks like a key, a token or a password."""
    text = _USER.sub(rf"\g<kept>{MASK}@", text)
    return _AFTER.sub(rf"\g<kept>{MASK}", _WHOLE.sub(MASK, text))
