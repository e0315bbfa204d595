# SPDX-License-Identifier: Apache-2.0
"""What is installed in an environment, by what its packages say of themselves."""

from __future__ import annotations

from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any

#: Longer than that a licence is a text, and no name.
LONGEST = 100


def packages(environment: Path) -> list[dict[str, Any]]:
    """Each distribution's `name`, `version` and `license` (empty where it names none), by name.

    Args:
        environment: folder of the environment.
    """
    found = {}
    for info in environment.glob("lib/python3*/site-packages/*.dist-info"):
        one = _package(PathDistribution(info))
        if one is not None:
            found[one["name"].lower()] = one
    return [found[name] for name in sorted(found)]


def _package(distribution: Distribution) -> dict[str, Any] | None:
    """None for what an install that was interrupted left."""
    try:
        metadata = distribution.metadata
        said = {
            name: str(metadata[name] or "").strip()
            for name in ("Name", "Version", "License-Expression", "License")
        }
        classifiers = [str(one) for one in metadata.get_all("Classifier") or []]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if not said["Name"] or not said["Version"]:
        return None
    classified = [one for one in classifiers if one.startswith("License ::")]
    names = [
        said["License-Expression"],
        said["License"],
        classified[-1].rpartition("::")[2].strip() if len(classified) == 1 else "",
    ]
    fitting = [name for name in names if name and len(name) <= LONGEST and "\n" not in name]
    return {
        "name": said["Name"][:LONGEST],
        "version": said["Version"][:LONGEST],
        "license": fitting[0] if fitting else "",
    }
