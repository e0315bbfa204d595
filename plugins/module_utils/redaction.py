# SPDX-License-Identifier: Apache-2.0
"""Resources as they may be shown: secret metadata values are left out."""

from __future__ import annotations

from typing import Any

from .diff import shown


def without_secrets(resource: dict[str, Any] | None) -> dict[str, Any] | None:
    """A copy of an instance's resource, its secret and long metadata values replaced."""
    if not resource or not (resource.get("metadata") or {}).get("items"):
        return resource
    items = [
        {**item, "value": shown(f"metadata.{item['key']}", item.get("value"), item.get("value"))[0]}
        for item in resource["metadata"]["items"]
    ]
    return {**resource, "metadata": {**resource["metadata"], "items": items}}
