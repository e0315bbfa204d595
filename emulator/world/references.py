# SPDX-License-Identifier: Apache-2.0
"""Names of resources: full URLs on any host, partial paths and bare names, to and from one form."""

from __future__ import annotations

import re
from dataclasses import dataclass

from emulator.errors import invalid

# google.cloud's modules compare selfLinks literally: this can't follow the server's address.
PREFIX = "https://www.googleapis.com/compute/v1/"
_URL_HEAD = re.compile(r"^https?://[^/]+/(?:compute/(?:v1|beta|alpha)/)?")


@dataclass(frozen=True)
class Ref:
    """A resource's place.

    Attributes:
        scope: `global`, `regions/R` or `zones/Z`.
        collection: as in URLs, for example `machineTypes`.
    """

    project: str
    scope: str
    collection: str
    name: str

    @property
    def path(self) -> str:
        """`projects/P/SCOPE/COLLECTION/NAME`."""
        return f"projects/{self.project}/{self.scope}/{self.collection}/{self.name}"

    @property
    def link(self) -> str:
        """The selfLink."""
        return PREFIX + self.path


def link(path: str) -> str:
    """The selfLink of a path that begins with `projects/`."""
    return PREFIX + path


def relative(text: str) -> str:
    """Strips scheme, host and API version."""
    return _URL_HEAD.sub("", text).removeprefix("compute/v1/").strip("/")


def parse(text: str, *, field: str, project: str, scope: str, collection: str) -> Ref:
    """Reads a reference; what it leaves out comes from the keyword arguments.

    `family/F` of images stays in the name.

    Raises:
        ApiError: 400 when it names another kind of resource.
    """
    parts = relative(text).split("/")
    if parts[0] == "projects" and len(parts) > 2:
        project, parts = parts[1], parts[2:]
    if parts[0] == "global":
        scope, parts = "global", parts[1:]
    elif parts[0] in {"zones", "regions"} and len(parts) > 2:
        scope, parts = "/".join(parts[:2]), parts[2:]
    if len(parts) > 1 and parts[0] == collection:
        parts = parts[1:]
    name = "/".join(parts)
    if not name or ("/" in name and not name.startswith("family/")):
        raise invalid(field, text, f"It does not name one of {collection}.")
    return Ref(project, scope, collection, name)


def last(text: str) -> str:
    """The last segment of a URL or path."""
    return text.rstrip("/").rsplit("/", 1)[-1]


def region_of(zone: str) -> str:
    """`us-central1-a` to `us-central1`."""
    return zone.rsplit("-", 1)[0]
