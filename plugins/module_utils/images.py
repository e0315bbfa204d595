# SPDX-License-Identifier: Apache-2.0
"""Images: the newest of a family, and which families there are where it is gone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .errors import ApiError, GceError
from .gce_client import GceClient
from .suggest import closest, did_you_mean, listed

_CUDA = re.compile(r"cu(?:da)?-?(\d+)")
_NUMBERS = re.compile(r"\d+")
_UNUSABLE = frozenset({"DEPRECATED", "OBSOLETE", "DELETED"})


def from_family(client: GceClient, project: str, family: str) -> dict[str, Any]:
    """The image that the family stands for today.

    Raises:
        GceError: no such family; names those that exist.
    """
    what = f"look up the image family {family} in project {project}"
    try:
        return client.get(f"projects/{project}/global/images/family/{family}", what)
    except ApiError as error:
        if error.status != 404:
            raise
        raise _gone(client, project, family, error) from None


def by_name(client: GceClient, project: str, name: str) -> dict[str, Any]:
    """One image.

    Raises:
        GceError: no such image; names those like it.
    """
    what = f"look up the image {name} in project {project}"
    found = client.find(f"projects/{project}/global/images/{name}", what)
    if found:
        return found
    names = [str(image["name"]) for image in _usable(client, project)]
    raise GceError(
        f"Project {project} has no image {name}.{did_you_mean(name, names)}",
        reason="imageNotFound",
        remedy=f"take one of `gcloud compute images list --project {project}`, or name a family.",
        status=404,
        details={"closest": closest(name, names, 5)},
    )


def _gone(client: GceClient, project: str, family: str, error: ApiError) -> GceError:
    if error.reason == "projectNotFound" or error.details.get("missing") == f"projects/{project}":
        return GceError(
            f"There is no project {project} to take images from, or this account may not see it.",
            reason="projectNotFound",
            remedy="correct the image project; Google's own are deeplearning-platform-release, "
            "ubuntu-os-accelerator-images and ubuntu-os-cloud.",
            status=404,
        )
    families = ordered(
        {str(image["family"]) for image in _usable(client, project) if image.get("family")}
    )
    near = nearest(family, families)
    hint = f" The nearest to it is {near[0]}." if near else ""
    return GceError(
        f"Project {project} has no image family {family}; Google removes families without notice."
        f"{hint} Those that exist: {listed(families)}.",
        reason="imageFamilyNotFound",
        remedy=f"name one of them (`gcloud compute images list --project {project}` shows all).",
        status=404,
        details={"families": families, "closest": near},
    )


def _usable(client: GceClient, project: str) -> Iterable[dict[str, Any]]:
    images = client.list(
        f"projects/{project}/global/images",
        f"list the images of project {project}",
        fields="items(name,family,deprecated),nextPageToken",
    )
    return [one for one in images if (one.get("deprecated") or {}).get("state") not in _UNUSABLE]


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
