# SPDX-License-Identifier: Apache-2.0
"""Lists: filter, order, pages, and the aggregated form with its warnings."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from emulator.errors import Json, invalid
from emulator.request.filters import compile_filter

_PAGE = 500
Keyed = list[tuple[str, Json]]


def page(items: Keyed, params: dict[str, Any]) -> tuple[Keyed, str | None]:
    """Filters, orders and cuts (scope, resource) pairs; also the next page's token."""
    matches = compile_filter(params.get("filter"))
    chosen = [pair for pair in items if matches(pair[1])]
    order = params.get("orderBy") or "name"
    if order == "name":
        chosen.sort(key=lambda pair: (pair[0], pair[1]["name"]))
    elif order in {"creationTimestamp", "creationTimestamp desc"}:
        # Operations have no creationTimestamp.
        chosen.sort(
            key=lambda pair: str(pair[1].get("creationTimestamp", pair[1].get("insertTime"))),
            reverse=order.endswith("desc"),
        )
    else:
        raise invalid("orderBy", order, "It must be name or creationTimestamp desc.")
    start = _start(params.get("pageToken"))
    end = start + (params.get("maxResults", _PAGE) or _PAGE)
    return chosen[start:end], (_token(end) if end < len(chosen) else None)


def flat(kind: str, path: str, items: list[Json], params: dict[str, Any]) -> Json:
    """A list's answer; `path` is the collection's selfLink."""
    chosen, token = page([("", item) for item in items], params)
    answer: Json = {"kind": f"compute#{kind}List", "id": _id(path), "selfLink": path}
    if chosen:  # the real API leaves an empty list out
        answer["items"] = [item for _, item in chosen]
    if token:
        answer["nextPageToken"] = token
    return answer


def aggregated(
    kind: str,
    collection: str,
    path: str,
    *,
    scopes: list[str],
    items: Keyed,
    params: dict[str, Any],
) -> Json:
    """An aggregated list's answer: every scope is there, empty ones with a warning."""
    chosen, token = page(items, params)
    found: Json = {scope: {} for scope in scopes}
    for scope, item in chosen:
        found.setdefault(scope, {}).setdefault(collection, []).append(item)
    for scope, entry in found.items():
        if not entry:
            entry["warning"] = {
                "code": "NO_RESULTS_ON_PAGE",
                "message": f"There are no results for scope '{scope}' on this page.",
                "data": [{"key": "scope", "value": scope}],
            }
    answer: Json = {
        "kind": f"compute#{kind}AggregatedList",
        "id": _id(path),
        "selfLink": path,
        "items": found,
    }
    if token:
        answer["nextPageToken"] = token
    return answer


def _id(path: str) -> str:
    return path.split("/compute/v1/", 1)[-1]


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"offset": offset}).encode()).decode()


def _start(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(token))["offset"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise invalid("pageToken", token, "It is not a token of this list.") from error
