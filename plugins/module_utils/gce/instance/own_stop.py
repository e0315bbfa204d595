# SPDX-License-Identifier: Apache-2.0
"""Whether an instance that is down switched itself off as nobody used it. Pure, but for `look`.

Google notes who ended an instance: `compute.instances.guestTerminate` is one that its own system
shut down (docs.cloud.google.com/compute/docs/troubleshooting/troubleshooting-reboots). The server
writes its reason into guest attributes too, which Google may not show while an instance is down.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ...errors import ApiError
from .. import naming
from ..client import GceClient
from . import operations as done
from .guest_attributes import attributes
from .operations import moment
from .preemption import DOWN, KINDS

OWN = "compute.instances.guestTerminate"
_HOST_ERROR = "compute.instances.hostError"
# What else says why the instance is as it is, if it came last.
_KINDS = (*KINDS, _HOST_ERROR, OWN)
_NAMESPACE, _KEY = "gce-vllm", "stopped"
#: What any process on the instance may write, and how far its clock may be from Google's.
_LONGEST, _SLACK = 1000, timedelta(minutes=10)


def look(client: GceClient, resource: Mapping[str, Any], minutes: int) -> dict[str, Any] | None:
    """The stop of an instance, where that is its own; see `told`.

    Args:
        minutes: after which its server switches it off; 0 is never.
    """
    if minutes <= 0 or resource.get("status") not in DOWN:
        return None
    name = str(resource["name"])
    where = naming.short(str(resource["zone"]))
    operations = done.listed(client, where, name, _KINDS)
    try:
        path = f"{client.root}/zones/{where}/instances/{name}/getGuestAttributes"
        what = f"read why the instance {name} is down"
        found = client.find(path, what, queryPath=f"{_NAMESPACE}/{_KEY}") or {}
    except ApiError as error:
        if error.status not in (400, 403, 404):
            raise
        found = {}
    text = attributes(found).get(_NAMESPACE, {}).get(_KEY, "")
    return told(resource, operations, text, minutes)


def told(
    resource: Mapping[str, Any], operations: Iterable[Mapping[str, Any]], text: str, minutes: int
) -> dict[str, Any] | None:
    """When it switched itself off, since when nobody had used it, and a line for people.

    Args:
        resource: of an instance that is down.
        operations: on it, in its zone.
        text: what it wrote of the reason; '' where that can't be read.

    Returns:
        None where others stopped it, or nobody can tell.
    """
    last = done.last(operations, str(resource["name"]), _KINDS)
    if last is not None and last.get("operationType") != OWN:
        return None
    record = _record(resource, text)
    if last is None and record is None:
        return None
    at = moment(last.get("insertTime") if last else resource.get("lastStopTimestamp"))
    since = record or at - timedelta(minutes=minutes)
    # Without its own word it is reckoned from the setting.
    about = "" if record else "about "
    return {
        "reason": "idle",
        "at": _said(at),
        "since": _said(since),
        "recorded": record is not None,
        "line": f"stopped: idle since {about}{_said(since)}. It switched itself off at {_said(at)}"
        f" (llm_server_idle_stop_minutes is {minutes}). start.yml and site.yml start it.",
    }


def _record(resource: Mapping[str, Any], text: str) -> datetime | None:
    """Since when it was idle by its own word, where that is well-formed and of this stop."""
    if not text or len(text) > _LONGEST:
        return None
    try:
        given = json.loads(text)
        if given["reason"] != "idle":
            return None
        since, at = moment(given["since"]), moment(given["at"])
    except (ValueError, TypeError, KeyError):
        return None
    stopped = moment(resource.get("lastStopTimestamp"))
    started = moment(resource.get("lastStartTimestamp") or resource.get("creationTimestamp"))
    fits = started <= at <= stopped + _SLACK and at >= stopped - _SLACK
    return since if fits and started - _SLACK <= since <= at else None


def _said(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
