# SPDX-License-Identifier: Apache-2.0
"""Whether Google took a Spot instance away, when, and what was lost with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import naming
from . import operations as done

PREEMPTED = "compute.instances.preempted"
# And what others did to it.
KINDS = (PREEMPTED, "delete", "insert", "resume", "start", "stop", "suspend")
DOWN = frozenset({"STOPPING", "TERMINATED", "STOPPED"})


def last_preemption(operations: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The operation that took the instance away; None where something else came after it.

    Args:
        operations: of the zones where the instance may have been.
    """
    last = done.last(operations, name, KINDS)
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
        after = "the next run recreates it and fetches software and weights again"
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
