# SPDX-License-Identifier: Apache-2.0
"""The list of a model folder's files, by which it is known to be whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from .progress import Meter, Progress

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
    with partial.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        # A crash of the machine must not leave an empty one in the place of the model's.
        os.fsync(handle.fileno())
    partial.replace(folder / MANIFEST)


def resolved(folder: Path) -> str:
    """What the source stood for when the folder was filled; empty where nothing tells."""
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["resolved"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def good(folder: Path, wrong: Mapping[str, str]) -> list[str]:
    """Files that may be right still: those that the manifest names and that are not known to be
    wrong, or all where there is no manifest that can be read.
    """
    try:
        names = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return [str(name) for name in names if name not in wrong]
    except (OSError, ValueError, KeyError, TypeError):
        return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def sha256(path: Path, read: Callable[[int], None] = lambda _: None) -> str:
    """Checksum of one file; `read` is told each number of bytes."""
    with path.open("rb") as handle:
        digest = hashlib.sha256()
        while block := handle.read(1 << 20):
            digest.update(block)
            read(len(block))
    return digest.hexdigest()


def differences(
    folder: Path, source: Mapping[str, Any], full: bool, progress: Progress | None = None
) -> dict[str, str]:
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
    size = sum(expected["size"] for expected in files.values()) if full else 0
    with (progress or Progress()).stage("reading", size, len(files)) if full else _quiet() as meter:
        for name, expected in files.items():
            if reason := _difference(folder / name, expected, full, meter.add):
                found[name] = reason
            meter.file_done()
    return found


def _difference(
    path: Path, expected: Mapping[str, Any], full: bool, read: Callable[[int], None]
) -> str:
    if not path.is_file():
        return "missing"
    same = path.stat().st_size == expected["size"]
    if same and full:
        same = sha256(path, read) == expected["sha256"]
    return "" if same else "changed"


def _quiet() -> AbstractContextManager[Meter]:
    return nullcontext(Meter("comparing", 0))
