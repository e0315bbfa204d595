# SPDX-License-Identifier: Apache-2.0
"""Between the API's names and ours; pure functions on text and dictionaries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# cloud.google.com/compute/docs/naming-resources.
NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
# An AI zone's last part has more than a letter: us-central1-ai1a
# (docs.cloud.google.com/compute/docs/regions-zones/ai-zones).
REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
ZONE = re.compile(rf"{REGION.pattern}-[a-z][a-z0-9]*")
_QUOTED_RESOURCE = re.compile(r"resource '([^']+)' was not found", re.IGNORECASE)
_SCOPE_PREFIX = "https://www.googleapis.com/auth/"


def relative(link: str) -> str:
    """`projects/…` of a full URL, a partial path, or a path that already is relative."""
    start = link.find("projects/")
    return link[start:] if start >= 0 else link.lstrip("/")


def short(link: str) -> str:
    """Last segment of a link: the resource's name."""
    return link.rstrip("/").rsplit("/", 1)[-1]


def region_of(zone: str) -> str:
    """`us-central1` of `us-central1-a`, and of the AI zone `us-central1-ai1a`."""
    return zone.rsplit("-", 1)[0]


def reference(value: str, project: str) -> str:
    """Canonical name of a network or subnetwork: short in our own project, else the whole path.

    `default`, `global/networks/default` and a full URL in `project` all become `default`.
    """
    path = relative(value)
    if not path.startswith("projects/"):
        return short(path)
    return short(path) if path.split("/")[1] == project else path


def image_reference(value: str, default_project: str) -> str:
    """`PROJECT/IMAGE` of a link, of `PROJECT/IMAGE`, or of a name in `default_project`."""
    path = relative(value)
    if path.startswith("projects/"):
        return f"{path.split('/')[1]}/{short(path)}"
    if path.count("/") == 1:
        return path
    return f"{default_project}/{short(path)}"


def scope(value: str) -> str:
    """Full address of an OAuth scope given in full or by its last part (`cloud-platform`)."""
    return value if value.startswith("https://") else _SCOPE_PREFIX + value


def error_reason(error: Mapping[str, Any]) -> str:
    """The most telling reason in the API's error; '' where it gives none."""
    for entry in error.get("details") or []:
        if isinstance(entry, Mapping) and entry.get("reason") in (
            "SERVICE_DISABLED",
            "BILLING_DISABLED",
        ):
            return str(entry["reason"])
    for entry in error.get("errors") or []:
        if isinstance(entry, Mapping) and entry.get("reason"):
            return str(entry["reason"])
    return str(error.get("status") or "")


def missing_resource(message: str) -> str:
    """Path of the resource that a 404 says is missing; '' where it doesn't say."""
    found = _QUOTED_RESOURCE.search(message)
    return relative(found.group(1)) if found else ""


def items_to_dict(items: list[dict[str, str]] | None) -> dict[str, str]:
    """Metadata `[{key, value}]` to a dictionary."""
    return {item["key"]: item.get("value", "") for item in items or []}


def dict_to_items(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Dictionary to metadata `[{key, value}]`, in order of the keys."""
    return [{"key": key, "value": values[key]} for key in sorted(values)]
