# SPDX-License-Identifier: Apache-2.0
"""Which release of vLLM a rollback may choose, and whether an earlier one reached its end. Pure.

A release is a dictionary as `vllm_release_info` returns it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .releases import titled

Release = Mapping[str, Any]


def choice(releases: Sequence[Release], serving: str, name: str = "") -> dict[str, Any]:
    """What a rollback has to know.

    Args:
        serving: path of the release that runs.
        name: of the release that was asked for; empty lets the rollback choose.

    Returns:
        `left`, the release that the last rollback left (empty where there is none, or site.yml has
        made another one serve since); `arrived`, whether that rollback's choice serves;
        `targets`, the releases to choose from, best last, each with its `title` for people;
        `current`, the title of the one that the link leads to; `refusal`, why there are no
        targets, to stand behind the host's name.
    """
    left = _left(releases)
    successors = [one for one in releases if left and one["name"] == _successor(left)]
    served = [one for one in releases if one["served_at"]]
    if name:
        targets = [one for one in served if one["name"] == name]
    else:
        # A rollback that was interrupted goes on to where it was going.
        targets = [one for one in successors if one["served_at"]] or [
            one for one in served if not one["current"] and not one["refused"]
        ]
    return {
        "left": left,
        "arrived": any(_arrived(one, serving) for one in successors),
        "targets": [{**one, "title": _title(one)} for one in sorted(targets, key=_when)],
        "current": _titles(one for one in releases if one["current"]),
        "refusal": "" if targets else _refusal(releases, name),
    }


def cut_off(releases: Sequence[Release], path: str, serving: str) -> bool:
    """Whether a rollback left the release at `path`, and has yet to make its choice serve."""
    left = next((one for one in releases if one["path"] == path), None)
    if left is None or not _successor(left):
        return False
    chosen = next((one for one in releases if one["name"] == _successor(left)), None)
    return not (
        chosen
        and chosen["current"]
        and (chosen["path"] == serving or chosen["served_at"] >= left["refused"]["at"])
    )


def lines(releases: Iterable[Release]) -> list[str]:
    """One line for each release."""
    return [_line(one) for one in releases]


def _refusal(releases: Sequence[Release], name: str) -> str:
    named = _titles(one for one in releases if one["name"] == name)
    if name:
        return f"can't go back to {named}, which never served" if named else f"has no release {name}"
    if not releases:
        return "has no release of vLLM"
    others = [one for one in releases if not one["current"]]
    if not others:
        return f"has no other release than {_titles(releases)}, so there is nothing to go back to"
    served = sorted((one for one in others if one["served_at"]), key=_when)
    if not served:
        return f"has no other release that served; never did: {_titles(others)}"
    return (
        f"has no release to go back to by itself; failed or left before: {_titles(served)}. "
        f"-e rollback_to={served[-1]['name']} goes there all the same"
    )


def _when(one: Release) -> str:
    return str(one["served_at"])


def _title(one: Release) -> str:
    return titled(str(one["name"]), str(one["version"]))


def _titles(releases: Iterable[Release]) -> str:
    return ", ".join(map(_title, releases))


def _left(releases: Sequence[Release]) -> Release:
    left = [one for one in releases if _successor(one)]
    if not left:
        return {}
    last = max(left, key=lambda one: str(one["refused"]["at"]))
    since = {one["name"] for one in releases if one["served_at"] > last["refused"]["at"]}
    return {} if since - {_successor(last)} else last


def _successor(one: Release) -> str:
    return str(one["refused"].get("successor") or "")


def _arrived(one: Release, serving: str) -> bool:
    """It serves with all that it is to serve with, and nothing is held against it any more."""
    return bool(
        one["served_at"] and one["current"] and not one["refused"] and one["path"] == serving
    )


def _line(one: Release) -> str:
    text = _title(one)
    text += ", current" if one["current"] else ""
    text += ", running" if one["running"] else ""
    text += f", served (noted {one['served_at']})" if one["served_at"] else ", never served"
    return text + (f", not tried again: {one['refused']['reason']}" if one["refused"] else "")
