# SPDX-License-Identifier: Apache-2.0
"""Whether Google took a Spot instance away, when, and what was lost with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import naming

PREEMPTED = "compute.instances.preempted"
# What others did to it; the last of all these says why the instance is as it is.
_OTHERS = frozenset({"insert", "start", "stop", "delete", "suspend", "resume"})
DOWN = frozenset({"STOPPING", "TERMINATED", "STOPPED"})


def own_operations(name: str) -> str:
    """Filter for the operations on an instance that `last_preemption` looks at."""
    kinds = "|".join([PREEMPTED.replace(".", "[.]"), *sorted(_OTHERS)])
    return f'(targetLink eq ".*/instances/{name}") (operationType eq "{kinds}")'


def last_preemption(operations: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The operation that took the instance away; None where something else came after it.

    Args:
        operations: of the zones where the instance may have been.
    """
    end = f"/instances/{name}"
    own = [
        one
        for one in operations
        if naming.relative(str(one.get("targetLink", ""))).endswith(end)
        and (one.get("operationType") == PREEMPTED or one.get("operationType") in _OTHERS)
    ]
    last = max(own, key=lambda one: str(one.get("insertTime", "")), default=None)
    return last if last and last.get("operationType") == PREEMPTED else None


def told(operation: Mapping[str, Any], status: str | None) -> dict[str, Any]:
    """When and what was lost, and a line for people.

    Args:
        status: of the instance; None where it is gone.
    """
    name = naming.short(str(operation["targetLink"]))
    zone = naming.relative(str(operation["targetLink"])).split("/")[3]
    at = str(operation.get("insertTime"))
    if status is None:
        kept, lost = "nothing", "the instance and its boot disk with all that was on it"
        after = "the next run makes it anew and fetches software and weights again"
    else:
        kept, lost = "its disks", "what was in memory: requests in flight and the KV cache"
        after = "the next run starts it again where the zone has room"
    return {
        "at": at,
        "zone": zone,
        "lost": lost,
        "kept": kept,
        "line": f"Google took the Spot instance {name} in {zone} away at {at}. "
        f"Lost: {lost}. Kept: {kept}. Then: {after}.",
    }
