# SPDX-License-Identifier: Apache-2.0
"""Images: the newest of a family or pattern, and what there is where that is gone."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ApiError, GceError
from ..suggest import closest, did_you_mean, listed
from . import naming
from .client import GceClient

_CUDA = re.compile(r"cu(?:da)?-?(\d+)")
_NUMBERS = re.compile(r"\d+")
_UNUSABLE = frozenset({"DEPRECATED", "OBSOLETE", "DELETED"})


def from_family(client: GceClient, project: str, family: str) -> dict[str, Any]:
    """The image that the family stands for today.

    Raises:
        GceError: no such family, or one without an image in use; names its successors and those
            that exist.
    """
    what = f"look up the image family {family} in project {project}"
    try:
        return client.get(f"projects/{project}/global/images/family/{family}", what)
    except ApiError as error:
        if error.status != 404:
            raise
        raise gone(client, project, family, error) from None


def by_name(client: GceClient, project: str, name: str) -> dict[str, Any]:
    """One image.

    Raises:
        GceError: no such image; names those like it.
    """
    what = f"look up the image {name} in project {project}"
    found = client.find(f"projects/{project}/global/images/{name}", what)
    if found:
        return found
    names = [str(image["name"]) for image in _listed(client, project) if is_usable(image)]
    raise GceError(
        f"Project {project} has no image {name}.{did_you_mean(name, names)}",
        reason="imageNotFound",
        remedy=f"take one of `gcloud compute images list --project {project}`, or name a family.",
        status=404,
        details={"closest": closest(name, names, 5)},
    )


def by_pattern(client: GceClient, project: str, pattern: str) -> dict[str, Any]:
    """The newest image whose name matches a glob (`*`, `?`, `[ab]`); deprecated ones don't count.

    Raises:
        GceError: none matches; names successors of deprecated ones, or names like it.
    """
    everything = list(_listed(client, project))
    matching = [one for one in everything if fnmatch.fnmatchcase(str(one["name"]), pattern)]
    newest = _newest(one for one in matching if is_usable(one))
    if newest:
        return by_name(client, project, str(newest["name"]))
    if matching:
        told = [f"{one['name']} {deprecation(one)}".strip() for one in matching]
        raise GceError(
            f"Every image of project {project} that matches {pattern} is deprecated: "
            f"{listed(told, 3)}.",
            reason="imageNotFound",
            remedy="take a pattern that matches their successors.",
            status=404,
            details={"closest": [str(one["name"]) for one in matching][:5]},
        )
    plain = re.sub(r"[*?\[\]]", "", pattern)
    names = sorted(str(one["name"]) for one in everything if is_usable(one))
    raise GceError(
        f"No image of project {project} matches {pattern}.{did_you_mean(plain, names)}",
        reason="imageNotFound",
        remedy=f"take one of `gcloud compute images list --project {project}`; * stands for "
        "any letters.",
        status=404,
        details={"closest": closest(plain, names, 5)},
    )


def is_usable(image: Mapping[str, Any]) -> bool:
    """Whether Google would still give it to a new instance without a word."""
    return (image.get("deprecated") or {}).get("state") not in _UNUSABLE


def deprecation(image: Mapping[str, Any]) -> str:
    """`is deprecated. Its successor is X` of an image; '' for one in use."""
    state = image.get("deprecated") or {}
    if state.get("state") not in _UNUSABLE:
        return ""
    successor = _replacement(image)
    return f"is {str(state['state']).lower()}" + (
        f", its successor is {successor}" if successor else ""
    )


def _newest(images: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    return max(
        images, key=lambda one: (str(one.get("creationTimestamp")), one["name"]), default=None
    )


def gone(client: GceClient, project: str, family: str, error: ApiError) -> GceError:
    """What to say of a family for which Google knows no image (`error`); asks for those it has.

    The error's details: `successors`, images that replace those of the family; `families`,
    `closest` and `newest`, the newest image of each of the closest.
    """
    if error.reason == "projectNotFound" or error.details.get("missing") == f"projects/{project}":
        return GceError(
            f"There is no project {project} to take images from, or this account may not see it.",
            reason="projectNotFound",
            remedy="correct the image project; Google's own are deeplearning-platform-release, "
            "ubuntu-os-accelerator-images and ubuntu-os-cloud.",
            status=404,
        )
    listed_now = list(_listed(client, project))
    usable = [one for one in listed_now if is_usable(one) and one.get("family")]
    families = ordered({str(image["family"]) for image in usable})
    own = [one for one in listed_now if one.get("family") == family]
    following = successors(own, listed_now)
    heirs = [str(one["family"]) for one in usable if one["name"] in following]
    near = list(dict.fromkeys([*heirs, *nearest(family, families)]))[:3]
    newest = {
        one: str((_newest(image for image in usable if image["family"] == one) or {}).get("name"))
        for one in near
    }
    told = [f"{one} (newest image {image})" for one, image in newest.items()]
    hint = f" The nearest to it: {', '.join(told)}." if near else ""
    what = (
        f"Every image of the family {family} of project {project} is deprecated."
        if own
        else f"Project {project} has no image family {family}; Google removes families without "
        "notice."
    )
    if following:
        what += f" Google names as successor: {', '.join(_with_family(following, listed_now))}."
    return GceError(
        f"{what}{hint} Those that exist: {listed(families)}.",
        reason="imageFamilyNotFound",
        remedy=f"name one of them (`gcloud compute images list --project {project}` shows all).",
        status=404,
        details={
            "successors": following,
            "families": families,
            "closest": near,
            "newest": newest,
        },
    )


def successors(
    images: Iterable[Mapping[str, Any]], known: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Names of the images that replace deprecated ones, newest of those first, each once.

    Args:
        known: images that a successor may itself be found deprecated among.
    """
    by = {str(one["name"]): one for one in known}
    found = []
    newest_first = sorted(images, key=lambda one: str(one.get("creationTimestamp")), reverse=True)
    for image in newest_first:
        name, seen = _replacement(image), {str(image["name"])}
        while name in by and _replacement(by[name]) and name not in seen:
            seen.add(name)
            name = _replacement(by[name])
        if name and name not in seen:
            found.append(name)
    return list(dict.fromkeys(found))


def _replacement(image: Mapping[str, Any]) -> str:
    return naming.short(str((image.get("deprecated") or {}).get("replacement") or ""))


def _with_family(names: Iterable[str], known: Iterable[Mapping[str, Any]]) -> list[str]:
    family = {str(one["name"]): str(one.get("family") or "") for one in known}
    return [f"{one} (family {family[one]})" if family.get(one) else one for one in names]


def _listed(client: GceClient, project: str) -> Iterable[dict[str, Any]]:
    return client.list(
        f"projects/{project}/global/images",
        f"list the images of project {project}",
        fields="items(name,family,deprecated,creationTimestamp),nextPageToken",
    )


def cuda_version(family: str) -> int:
    """`129` of `common-cu129-ubuntu-2204-nvidia-580`; 0 where the name has none."""
    found = _CUDA.search(family)
    return int(found.group(1)) if found else 0


def ordered(families: Iterable[str]) -> list[str]:
    """Families, newest CUDA first, then highest numbers, then by name."""
    return sorted(
        set(families),
        key=lambda name: (-cuda_version(name), [-int(n) for n in _NUMBERS.findall(name)], name),
    )


def nearest(family: str, families: list[str], count: int = 3) -> list[str]:
    """Families that share most words with `family`; among equals the newest CUDA first."""
    words = set(re.split(r"[-.]", family))

    def shared(name: str) -> int:
        return len(words & set(re.split(r"[-.]", name)))

    able = [name for name in ordered(families) if shared(name) >= 2]
    same_start = family.split("-", 1)[0]
    able.sort(key=lambda name: (name.split("-", 1)[0] != same_start, -shared(name)))
    return able[:count] or closest(family, families, count)
