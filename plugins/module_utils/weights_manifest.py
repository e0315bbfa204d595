# SPDX-License-Identifier: Apache-2.0
"""The list of a model folder's files, by which it is known to be whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


def build(
    folder: Path, source: Mapping[str, Any], resolved: str, known: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Describe every file of a folder.

    Args:
        source: what the files were asked from.
        resolved: what that was at the time (a commit, a file's name).
        known: SHA-256 of files that were read just now.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name != MANIFEST:
            digest = (known or {}).get(name) or sha256(path)
            files[name] = {"size": path.stat().st_size, "sha256": digest}
    return {"source": dict(source), "resolved": resolved, "files": files}


def write(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Put the manifest into its folder, whole."""
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    partial = folder / f".{MANIFEST}"
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / MANIFEST)


def resolved(folder: Path) -> str:
    """What the source stood for when the folder was filled; empty where nothing tells."""
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["resolved"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def good(folder: Path, wrong: Mapping[str, str]) -> list[str]:
    """Files that a manifest names and that are not known to be wrong; none without a manifest."""
    try:
        names = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in names if name not in wrong]


def sha256(path: Path) -> str:
    """Checksum of one file."""
    with path.open("rb") as handle:
        digest = hashlib.sha256()
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def differences(folder: Path, source: Mapping[str, Any], full: bool) -> dict[str, str]:
    """Compare a folder with its manifest and with what is asked for.

    Args:
        full: read every file and compare checksums; else names and sizes only.

    Returns:
        file -> what is wrong; '.' stands for the folder. Empty where all is well. Files that the
        manifest doesn't name are left alone.
    """
    if not folder.exists():
        return {".": "missing"}
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {MANIFEST: "missing or unreadable"}
    if manifest.get("source") != source:
        return {".": f"is from {manifest.get('source')}"}
    found: dict[str, str] = {}
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            found[name] = "missing"
        elif path.stat().st_size != expected["size"] or (
            full and sha256(path) != expected["sha256"]
        ):
            found[name] = "changed"
    return found
