# SPDX-License-Identifier: Apache-2.0
"""Answers to reads, kept in a folder for as long as hosts of one play ask the same."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..diff import is_secret

Json = dict[str, Any]
# Collections of which one list answers for every member that a deployment has. Of others a project
# may hold far more than are asked for.
_IN_SCOPES = ("instances", "addresses", "resourcePolicies", "subnetworks")
_GLOBAL = ("firewalls", "networks")
_MEMBER = re.compile(
    rf"(projects/[^/]+)/(?:(?:zones|regions)/[^/]+/({'|'.join(_IN_SCOPES)})"
    rf"|global/({'|'.join(_GLOBAL)}))/[^/]+"
)


class SharedReads:
    """One folder of answers; whoever asks first asks Google, the others wait for that answer.

    What is read so is good for one thing only: to find that nothing has to be done.

    Args:
        folder: made here, for its owner alone; its parent has to be there.
        asker: tells apart who may see what, for example the path of a key.
    """

    def __init__(self, folder: str, asker: str) -> None:
        self.folder, self.asker = Path(folder), asker
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def answer(self, path: str, query: Mapping[str, Any], ask: Callable[[], Json]) -> Json:
        """What `ask` returns, or returned to whoever was first; an error is nobody else's."""
        key = json.dumps([self.asker, path, sorted((k, str(v)) for k, v in query.items())])
        place = self.folder / hashlib.sha256(key.encode()).hexdigest()
        with place.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if place.exists():
                kept: Json = json.loads(place.read_text(encoding="utf-8"))
                return kept
            found = ask()
            unfinished = place.with_suffix(".new")
            unfinished.write_text(json.dumps(_harmless(found)), encoding="utf-8")
            unfinished.rename(place)
            return found


def whole_list(path: str) -> tuple[str, str] | None:
    """The list that has the resource in it, and the collection; '' for one that has no scopes.

    >>> whole_list("projects/p/zones/z/instances/i")
    ('projects/p/aggregated/instances', 'instances')
    >>> whole_list("projects/p/global/firewalls/f")
    ('projects/p/global/firewalls', '')
    >>> whole_list("projects/p/zones/z/disks/d")
    """
    match = _MEMBER.fullmatch(path)
    if match is None:
        return None
    root, scoped, everywhere = match.groups()
    return (
        (f"{root}/aggregated/{scoped}", scoped) if scoped else (f"{root}/global/{everywhere}", "")
    )


def _harmless(page: Json) -> Json:
    """A page without the metadata values that are secret: they need not lie on a disk.

    Where a task names one of them, it finds a difference here, and looks for itself.
    """
    scopes = page.get("items")
    if not isinstance(scopes, dict):
        return page
    return {**page, "items": {name: _without_secrets(found) for name, found in scopes.items()}}


def _without_secrets(scope: Json) -> Json:
    if not scope.get("instances"):
        return scope
    return {**scope, "instances": [_hidden(one) for one in scope["instances"]]}


def _hidden(instance: Json) -> Json:
    metadata = instance.get("metadata") or {}
    items = [
        {**item, "value": "(hidden)"} if is_secret(str(item["key"])) else item
        for item in metadata.get("items", [])
    ]
    return {**instance, "metadata": {**metadata, "items": items}} if items else instance
