# SPDX-License-Identifier: Apache-2.0
"""Folders of text files on the controller: their contents, and one digest of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

SKIPPED = "__pycache__"


def read_tree(root: Path) -> dict[str, str]:
    """Relative path → text of every file below a folder, without compiled Python."""
    files = sorted(p for p in root.rglob("*") if p.is_file() and SKIPPED not in p.parts)
    return {p.relative_to(root).as_posix(): p.read_text(encoding="utf-8") for p in files}


def tree_digest(root: Path) -> str:
    """One SHA-256 of every file below a folder: names and contents both count."""
    digest = hashlib.sha256()
    for name, text in read_tree(root).items():
        for part in (name.encode(), text.encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
