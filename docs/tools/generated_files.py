# SPDX-License-Identifier: Apache-2.0
"""The command line of every program here that writes files: write them, or check them.

Without an option the files are written, and those that no longer belong are removed. With --check
nothing is written: what is outdated is named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def outdated(root: Path, wanted: Mapping[Path, str], owned: Iterable[Path] = ()) -> list[Path]:
    """The files that are missing, have another content, or should not be there.

    Args:
        wanted: Each file's text, by its path below `root`.
        owned: Paths below `root` of files that exist and that no one else writes.
    """
    changed = [
        path
        for path, text in wanted.items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]
    return sorted({*changed, *(set(owned) - set(wanted))})


def write(root: Path, wanted: Mapping[Path, str], paths: Iterable[Path]) -> None:
    """Write these of the wanted files; remove those that are not wanted."""
    for path in paths:
        file = root / path
        if path not in wanted:
            file.unlink()
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(wanted[path], encoding="utf-8")


def main(
    does: str,
    wanted: Mapping[Path, str],
    owned: Iterable[Path] = (),
    *,
    root: Path = ROOT,
    arguments: Sequence[str] | None = None,
) -> int:
    """Entry point of a program that `does` this; returns its exit code."""
    parser = argparse.ArgumentParser(description=does)
    parser.add_argument("--check", action="store_true", help="write nothing, say what is outdated")
    check = parser.parse_args(arguments).check
    found = outdated(root, wanted, owned)
    if not check:
        write(root, wanted, found)
        return 0
    if found:
        sys.stderr.write(f"Outdated, run `make docs`: {', '.join(map(str, found))}\n")
    return 1 if found else 0
