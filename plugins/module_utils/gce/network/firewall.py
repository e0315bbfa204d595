# SPDX-License-Identifier: Apache-2.0
"""Firewall rules: from options and resources to flat fields, and the steps between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import diff
from ...errors import ApiError, GceError, OperationError
from .. import naming
from ..client import GceClient
from ..operations import finish, remove
from .ranges import found_range, normal_range, opens_world

_ALREADY_THERE = frozenset({"alreadyExists", "RESOURCE_ALREADY_EXISTS"})
FIXED = frozenset({"network", "direction", "action"})
PATCH_NAMES = {
    "description": "description",
    "priority": "priority",
    "source_ranges": "sourceRanges",
    "source_tags": "sourceTags",
    "target_tags": "targetTags",
    "allowed": "allowed",
    "disabled": "disabled",
}


def how(field: str, _before: Any, _after: Any) -> diff.How:
    """Network, direction and allow-or-deny are fixed for the life of a rule."""
    return "recreate" if field in FIXED else "live"


def normal_allowed(entries: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Protocols in lower case and ports as text, both sorted, one entry a protocol."""
    ports: dict[str, set[str] | None] = {}
    for entry in entries or []:
        protocol = str(entry.get("protocol") or entry.get("IPProtocol")).lower()
        given = entry.get("ports")
        if not given:
            ports[protocol] = None
            continue
        known = ports.setdefault(protocol, set())
        if known is not None:
            known.update(_normal_port(str(port)) for port in given)
    return [
        {"protocol": protocol, "ports": sorted(which, key=_first_port) if which else []}
        for protocol, which in sorted(ports.items())
    ]


def _first_port(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _normal_port(text: str) -> str:
    first, dash, last = text.replace(" ", "").partition("-")
    numbers = [first, last] if dash else [first]
    if not all(number.isdigit() and int(number) <= 65535 for number in numbers):
        raise GceError(
            f"allowed has the port '{text}', which is neither a port nor a range.",
            reason="badPort",
            remedy="write ports as 8000 or 8000-8010, each from 0 to 65535.",
        )
    start, end = int(numbers[0]), int(numbers[-1])
    if start > end:
        raise GceError(
            f"allowed has the port range '{text}', which ends before it begins.",
            reason="badPort",
            remedy=f"write {end}-{start}.",
        )
    return str(start) if start == end else f"{start}-{end}"


def view(resource: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Flat fields of a rule as Google has it."""
    fields: dict[str, Any] = {
        "network": naming.reference(str(resource.get("network", "")), project),
        "direction": resource.get("direction", "INGRESS"),
        "action": "deny" if resource.get("denied") else "allow",
        "disabled": bool(resource.get("disabled", False)),
        "priority": int(resource.get("priority", 1000)),
        "source_ranges": sorted(found_range(one) for one in resource.get("sourceRanges") or []),
        "source_tags": sorted(resource.get("sourceTags") or []),
        "target_tags": sorted(resource.get("targetTags") or []),
        "allowed": normal_allowed(resource.get("allowed")),
    }
    if resource.get("description"):
        fields["description"] = resource["description"]
    return fields


def desired_fields(params: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Flat fields that the options name.

    Raises:
        GceError: a range or port that is none.
    """
    fields: dict[str, Any] = {
        "network": naming.reference(params["network"], project),
        "direction": params["direction"],
        "action": "allow",
        # A rule that someone switched off is not the rule that was asked for.
        "disabled": False,
        "priority": params["priority"],
        "allowed": normal_allowed(params["allowed"]),
    }
    if params["description"] is not None:
        fields["description"] = params["description"] or None
    if params["source_ranges"] is not None:
        fields["source_ranges"] = sorted({normal_range(one) for one in params["source_ranges"]})
    for name in ("source_tags", "target_tags"):
        if params[name] is not None:
            fields[name] = sorted(set(params[name]))
    return fields


def refuse_world(name: str, after: Mapping[str, Any], allow_world: bool) -> None:
    """Stop a rule that lets everyone in, unless that was asked for in so many words.

    Google takes a rule without any source as 'from everywhere', so that counts too.

    Raises:
        GceError: the rule would be open and `allow_world` is off.
    """
    ranges = after.get("source_ranges") or []
    if allow_world or (after.get("source_tags") and not opens_world(ranges)):
        return
    if ranges and not opens_world(ranges):
        return
    which = (
        f"source_ranges {', '.join(ranges)}" if ranges else "no source_ranges and no source_tags"
    )
    raise GceError(
        f"The firewall rule {name} would let the whole internet in ({which}).",
        reason="worldOpen",
        remedy=(
            "name the addresses that may come in (source_ranges: [203.0.113.7/32]), or set "
            "allow_world: true if everyone is really meant to."
        ),
    )


def body(fields: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Flat fields to what the API takes; only those given."""
    result: dict[str, Any] = {}
    for field, name in PATCH_NAMES.items():
        if field in fields:
            value = fields[field]
            result[name] = _allowed_body(value) if field == "allowed" else value
    if "network" in fields:
        network = fields["network"]
        path = network if "/" in network else f"projects/{project}/global/networks/{network}"
        result["network"] = path
    if "direction" in fields:
        result["direction"] = fields["direction"]
    return result


def _allowed_body(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"IPProtocol": one["protocol"], **({"ports": one["ports"]} if one["ports"] else {})}
        for one in entries
    ]


class Firewall:
    """One rule, made so or made gone."""

    def __init__(self, client: GceClient, name: str, check: bool) -> None:
        self.client, self.name, self.check = client, name, check
        self.collection = f"{client.root}/global/firewalls"
        self.path = f"{self.collection}/{name}"

    def present(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Create the rule, or change what differs."""
        desired = desired_fields(params, self.client.project)
        resource = self._fetch()
        current = view(resource, self.client.project) if resource else {}
        after = diff.merged(current, desired)
        refuse_world(self.name, after, params["allow_world"])
        if resource is None:
            found = [diff.Change("firewall", None, self.name, "create")]
        else:
            found = diff.changes(current, desired, how)
        if found and not self.check:
            self._apply(resource, found, after)
            resource = self._fetch()
            after = view(resource or {}, self.client.project)
        return _result(resource, found, diff.before_after(current, after, list(desired)))

    def absent(self) -> dict[str, Any]:
        """Delete the rule; one that is gone is no change."""
        resource = self._fetch()
        if resource is None:
            return _result(None, [], {"before": {}, "after": {}})
        current = view(resource, self.client.project)
        if not self.check:
            self._delete()
        gone = [diff.Change("firewall", self.name, None, "delete")]
        return _result(None, gone, diff.before_after(current, {}, current))

    def _apply(
        self, resource: dict[str, Any] | None, found: list[diff.Change], after: dict[str, Any]
    ) -> None:
        project = self.client.project
        if resource is not None and all(change.how == "live" for change in found):
            patch = {change.field: change.after for change in found}
            # A merge patch clears a field by an empty value.
            if "description" in patch and patch["description"] is None:
                patch["description"] = ""
            what = f"change the firewall rule {self.name} in project {project}"
            finish(self.client, self.client.patch(self.path, what, body(patch, project)), what)
            return
        if resource is not None:
            self._delete()
        what = f"create the firewall rule {self.name} in project {project}"
        content = {"name": self.name, **body(after, project)}
        try:
            finish(self.client, self.client.post(self.collection, what, content), what)
        except (ApiError, OperationError) as error:
            if resource is not None or error.reason not in _ALREADY_THERE:
                raise
            self._after_another(after, error)

    def _after_another(self, after: dict[str, Any], error: GceError) -> None:
        """Another run made it since it was looked for: change what differs in that one."""
        there = self._fetch()
        if there is None:
            raise error
        found = diff.changes(view(there, self.client.project), after, how)
        if found:
            self._apply(there, found, after)

    def _delete(self) -> None:
        what = f"delete the firewall rule {self.name} in project {self.client.project}"
        remove(self.client, self.path, what)

    def _fetch(self) -> dict[str, Any] | None:
        return self.client.find(
            self.path, f"read the firewall rule {self.name} in project {self.client.project}"
        )


def _result(
    resource: dict[str, Any] | None, found: list[diff.Change], difference: dict[str, Any]
) -> dict[str, Any]:
    return {
        "changed": bool(found),
        "changes": [change.as_dict() for change in found],
        "diff": difference,
        "firewall": resource,
    }
