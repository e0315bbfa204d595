# SPDX-License-Identifier: Apache-2.0
"""Rules that the discovery document does not hold: labels, ranges, ports, tags, metadata."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from emulator.errors import Json, invalid, required

_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_PROTOCOLS = {"tcp", "udp", "icmp", "esp", "ah", "ipip", "sctp", "all"}
_WITH_PORTS = {"tcp", "udp", "sctp", "6", "17", "132"}
_METADATA_VALUE = 256 * 1024
_METADATA_TOTAL = 512 * 1024


def need(body: Json, *fields: str) -> None:
    """Raises 400 `required` for the first field that is missing or empty."""
    for field in fields:
        if body.get(field) in (None, "", []):
            raise required(f"resource.{field}")


def name(value: str, field: str = "resource.name") -> None:
    """Checks a resource's name."""
    if not _NAME.fullmatch(value):
        raise invalid(field, value, f"Must be a match of regex '{_NAME.pattern}'")


def labels(values: Mapping[str, str], field: str = "resource.labels") -> None:
    """Checks labels: at most 64, keys and values in lower case."""
    if len(values) > 64:
        raise invalid(field, f"{len(values)} labels", "At most 64 are allowed.")
    for key, value in values.items():
        if not _LABEL_KEY.fullmatch(_ascii(key)):
            raise invalid(
                f"{field}.key",
                key,
                "Label keys begin with a lower case letter and hold "
                "lower case letters, digits, '_' and '-', at most 63.",
            )
        if not _LABEL_VALUE.fullmatch(_ascii(value)):
            raise invalid(
                f"{field}.value",
                value,
                "Label values hold lower case letters, digits, '_' and '-', at most 63.",
            )


def _ascii(text: str) -> str:
    """Letters of scripts without case, and lower case ones, count as `a`."""
    return "".join("a" if c.isalpha() and c == c.lower() else c for c in text)


def tags(values: Iterable[str], field: str = "resource.tags.items") -> None:
    """Checks network tags: at most 64, each a name."""
    values = list(values)
    if len(values) > 64:
        raise invalid(field, f"{len(values)} tags", "At most 64 are allowed.")
    for position, tag in enumerate(values):
        if not _NAME.fullmatch(tag):
            raise invalid(
                f"{field}[{position}]", tag, f"Must be a match of regex '{_NAME.pattern}'"
            )


def metadata(items: list[Json], field: str = "resource.metadata.items") -> None:
    """Checks metadata: keys there and unique, sizes within Google's limits."""
    seen: set[str] = set()
    total = 0
    for position, item in enumerate(items):
        key, value = item.get("key"), item.get("value", "")
        if not key:
            raise required(f"{field}[{position}].key")
        if key in seen:
            raise invalid(field, key, "The metadata key occurs more than once.")
        seen.add(key)
        if len(value.encode()) > _METADATA_VALUE:
            raise invalid(f"{field}[{position}].value", f"{key}=...", "At most 262144 bytes.")
        total += len(key) + len(value.encode())
    if total > _METADATA_TOTAL:
        raise invalid(field, f"{total} bytes", f"At most {_METADATA_TOTAL} in all.")


def cidr(text: str, field: str) -> None:
    """Checks an address range; bits beyond the prefix must be zero."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise invalid(
            field, text, f"Must be a valid address range in CIDR form: {error}"
        ) from error


def firewall(rule: Json) -> None:
    """Checks a whole firewall rule."""
    need(rule, "name")
    allowed, denied = rule.get("allowed"), rule.get("denied")
    if bool(allowed) == bool(denied):
        raise invalid("resource.allowed", allowed or "", "Give either allowed or denied.")
    for kind, entries in (("allowed", allowed), ("denied", denied)):
        for position, entry in enumerate(entries or []):
            _protocol(entry, f"resource.{kind}[{position}]")
    if not 0 <= rule.get("priority", 1000) <= 65535:
        raise invalid("resource.priority", rule["priority"], "It must be between 0 and 65535.")
    if rule.get("direction") == "EGRESS":
        for field in ("sourceRanges", "sourceTags", "sourceServiceAccounts"):
            if rule.get(field):
                raise invalid(f"resource.{field}", rule[field], "Not for EGRESS.")
    for field in ("sourceRanges", "destinationRanges"):
        for position, text in enumerate(rule.get(field, [])):
            cidr(text, f"resource.{field}[{position}]")
    for field in ("sourceTags", "targetTags"):
        tags(rule.get(field, []), f"resource.{field}")
    by_tag = rule.get("sourceTags") or rule.get("targetTags")
    if by_tag and (rule.get("sourceServiceAccounts") or rule.get("targetServiceAccounts")):
        raise invalid("resource.targetTags", by_tag, "Tags and service accounts can't be combined.")


def _protocol(entry: Json, field: str) -> None:
    protocol: Any = entry.get("IPProtocol")
    if not protocol:
        raise required(f"{field}.IPProtocol")
    number = protocol.isdigit() and int(protocol) <= 255
    if protocol.lower() not in _PROTOCOLS and not number:
        allowed = ", ".join(sorted(_PROTOCOLS))
        raise invalid(f"{field}.IPProtocol", protocol, f"One of {allowed}, or a number up to 255.")
    for position, text in enumerate(entry.get("ports", [])):
        where = f"{field}.ports[{position}]"
        if protocol.lower() not in _WITH_PORTS:
            raise invalid(where, text, f"Protocol {protocol} has no ports.")
        match = _PORTS.fullmatch(text)
        bounds = [int(part) for part in match.groups() if part] if match else [-1]
        if not match or max(bounds) > 65535 or bounds != sorted(bounds):
            raise invalid(where, text, "A port, or a range like 8000-8010, up to 65535.")
