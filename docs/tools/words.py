# SPDX-License-Identifier: Apache-2.0
"""The project's words: standard terms in place of private ones, and sentences that end in time."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from docs.tools import texts

#: Words that a sentence may have. A name in backticks or markup is one.
MOST_WORDS = 20
#: A private word, as a pattern, and the term of the field that says the same.
TERMS = {
    r"wish(es|ed)?": "desired, requested",
    r"anew": "again; recreate, restart, reload",
    r"foretold|foretell": "planned, plan",
    r"in vain": "without success",
    r"few eyes": "secret",
    r"come to rest": "finished booting and updating, in a stable state",
    r"of no account": "ignored",
    r"(is|are|was|were|be) had": "available, sold, fetched",
    r"planted|plants faults": "injected",
    r"(not|is|are) pressed|presses an endpoint": "load is sent to",
}
#: What says what it said on its day, names these words, or is written by others.
LEFT_ALONE = (
    "CHANGELOG.md",
    "changelogs/",
    "benchmarks/results/",
    "collections/",
    "docs/tools/words.py",
    "tests/fixtures/",
    "tests/unit/docs/",
)
READ = {".py", ".yml", ".yaml", ".md", ".j2", ".html", ".js", ".css", ".sh", ".service", ".toml"}

# `_` is a letter to \b, but ends a word of a name.
_PRIVATE = re.compile(rf"(?<![a-z])({'|'.join(TERMS)})(?![a-z])", re.IGNORECASE)


def long_sentences(root: Path) -> list[str]:
    """Sentences outside of pages that have more words than a reader keeps in mind."""
    return [
        f"{where}: a sentence has {len(one.split())} words ({MOST_WORDS} allowed): {one}"
        for where, text in texts.texts(root)
        for one in texts.sentences(text)
        if len(one.split()) > MOST_WORDS
    ]


def private_words(root: Path) -> list[str]:
    """Where a private word stands, in any text of the repository: code and comments too."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    found = []
    for name in listed:
        path = root / name
        if name.startswith(LEFT_ALONE) or path.suffix not in READ or path.is_symlink():
            continue
        if path.is_file():
            found += [f"{name}:{one}" for one in _in(path.read_text(encoding="utf-8"))]
    return found


def _in(text: str) -> list[str]:
    found = []
    for match in _PRIVATE.finditer(text):
        term = next(say for word, say in TERMS.items() if re.fullmatch(word, match[0], re.I))
        line = text.count("\n", 0, match.start()) + 1
        found.append(f"{line}: '{match[0]}' is no term of the field; say: {term}")
    return found
