# SPDX-License-Identifier: Apache-2.0
"""Puts what pip-audit found in one lock into words: `audit_report.py LOCK FOUND.json`.

pip-audit says that nothing is known also where it could not look anything up, as behind a mirror
without PyPI's JSON interface. That must not pass for an answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def report(lock: str, found: dict[str, Any] | None) -> tuple[int, list[str]]:
    """Exit status (0: none known, 1: some are, 2: could not be asked), and lines to print."""
    packages = (found or {}).get("dependencies", [])
    skipped = [one for one in packages if "skip_reason" in one]
    if len(skipped) == len(packages):
        return 2, [
            f"{lock}: none of its packages could be looked up. pip-audit asks the public "
            "Python package index; an offline machine or a mirror without its JSON interface "
            "can't answer. Run make audit where the public index can be reached (HTTPS_PROXY, "
            "if that is by a proxy)."
        ]
    lines = [
        f"{lock}: {one['name']} {one['version']} has {flaw['id']}, "
        f"fixed in {', '.join(flaw['fix_versions']) or 'no release yet'}"
        for one in packages
        for flaw in one.get("vulns", [])
    ]
    status = 1 if lines else 0
    lines.append(
        f"{lock}: {len(packages) - len(skipped)} of {len(packages)} packages looked up"
        + (f", not {', '.join(one['name'] for one in skipped)}" if skipped else "")
    )
    return status, lines


def main() -> int:
    """Entry point."""
    path = Path(sys.argv[2])
    status, lines = report(sys.argv[1], json.loads(path.read_text()) if path.exists() else None)
    print("\n".join(lines))  # noqa: T201
    return status


if __name__ == "__main__":
    sys.exit(main())
