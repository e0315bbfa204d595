# SPDX-License-Identifier: Apache-2.0
"""From current and desired state to a list of changes. Pure.

Both are flat: dotted field names (`scheduling.on_host_maintenance`, `labels.owner`) to
values. A field that is not in `desired` is not compared; None means 'should not be
there'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

How = Literal["live", "stop", "recreate", "create", "delete"]
Flat = Mapping[str, Any]
LONGEST_SHOWN = 100
# ssh-keys and its kin are public keys, yet long: they are shortened, not hidden. Scripts, data for
# cloud-init and the environment of containers hold secrets without saying so.
_SECRET = re.compile(
    r"secret|token|passw|credential|private|(?<!ssh-)(?<!ssh)key"
    r"|(?:^|[-_])script|user-data|kube-env|container-declaration",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Change:
    """One field that differs; `how` says what it takes to change it."""

    field: str
    before: Any
    after: Any
    how: How

    def as_dict(self) -> dict[str, Any]:
        """The result's form: field, from, to, how."""
        before, after = shown(self.field, self.before, self.after)
        return {"field": self.field, "from": before, "to": after, "how": self.how}


def changes(current: Flat, desired: Flat, how: Callable[[str, Any, Any], How]) -> list[Change]:
    """Fields of `desired` whose value differs in `current`, in order of their names."""
    return [
        Change(
            field,
            current.get(field),
            desired[field],
            how(field, current.get(field), desired[field]),
        )
        for field in sorted(desired)
        if current.get(field) != desired[field]
    ]


def merged(current: Flat, desired: Flat) -> dict[str, Any]:
    """`current` after `desired` was made true; fields that are None there are gone."""
    both = {**current, **desired}
    return {field: value for field, value in both.items() if value is not None}


def under(flat: Flat, prefix: str) -> dict[str, Any]:
    """Fields below `prefix.`, by the rest of their names."""
    start = prefix + "."
    return {field[len(start) :]: value for field, value in flat.items() if field.startswith(start)}


def before_after(current: Flat, after: Flat, fields: Flat | list[str]) -> dict[str, dict[str, Any]]:
    """Ansible's diff, of `fields` only; secret and long values are not shown."""
    result: dict[str, dict[str, Any]] = {"before": {}, "after": {}}
    for field in sorted(fields):
        old, new = shown(field, current.get(field), after.get(field))
        if old is not None:
            result["before"][field] = old
        if new is not None:
            result["after"][field] = new
    return result


def is_secret(key: str) -> bool:
    """Whether a metadata key's name says that its value is secret."""
    return bool(_SECRET.search(key))


def shown(field: str, before: Any, after: Any) -> tuple[Any, Any]:
    """Both values as a person may see them.

    Metadata whose key sounds like a secret is hidden (a change still shows as a change); metadata
    longer than 100 characters is given by its length and digest.
    """
    if not field.startswith("metadata."):
        return before, after
    if is_secret(field[len("metadata.") :]):
        hidden = None if before is None else "(hidden)"
        if after is None:
            return hidden, None
        return hidden, "(hidden)" if after == before else "(hidden, new value)"
    return _shortened(before), _shortened(after)


def _shortened(value: Any) -> Any:
    text = str(value)
    if value is None or len(text) <= LONGEST_SHOWN:
        return value
    import hashlib  # noqa: PLC0415 - seldom needed

    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"({len(text)} characters, sha256 {digest}…)"
