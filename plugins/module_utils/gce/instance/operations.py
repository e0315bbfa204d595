# SPDX-License-Identifier: Apache-2.0
"""What was done to an instance, as Google's operations tell it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ..client import GceClient


def listed(
    client: GceClient, zone: str, name: str, kinds: Collection[str]
) -> Iterator[dict[str, Any]]:
    """The operations of these kinds on an instance in a zone."""
    wanted = "|".join(kind.replace(".", "[.]") for kind in kinds)
    return client.list(
        f"{client.root}/zones/{zone}/operations",
        f"list the operations on the instance {name} in zone {zone}",
        filter=f'(targetLink eq ".*/instances/{name}") (operationType eq "{wanted}")',
    )


def last(
    operations: Iterable[Mapping[str, Any]], name: str, kinds: Collection[str]
) -> Mapping[str, Any] | None:
    """The last of these kinds on an instance; it says why the instance is as it is."""
    end = f"/instances/{name}"
    own = [
        one
        for one in operations
        if str(one.get("targetLink", "")).endswith(end) and one.get("operationType") in kinds
    ]
    return max(own, key=lambda one: moment(one.get("insertTime")), default=None)


def moment(text: object) -> datetime:
    """A time of Google's; what has none is older than all others.

    Raises:
        ValueError: it is no time, or has no zone.
    """
    if text is None:
        return moment("1970-01-01T00:00:00+00:00")
    # Python 3.10 knows no Z.
    found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    if found.tzinfo is None:
        raise ValueError(text)
    return found
