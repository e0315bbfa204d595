# SPDX-License-Identifier: Apache-2.0
"""From the results of a run in check mode to a list of differences. Pure.

A record is what the callback drift_records kept of one result of one task: host, role, task,
action, outcome (`changed`, `newer image`, `failed` or `unreachable`) and the result itself.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

LAYERS = ("cloud", "host", "service")
LAYER_OF_ROLE = {
    "preflight": "cloud",
    "gce_network": "cloud",
    "gce_instance": "cloud",
    "gpu_host": "host",
    "vllm_venv": "host",
    "data_disk": "host",
    "llm_model": "host",
    "monitoring": "host",
    "llm_server": "service",
}
# The only task outside of roles that can differ is the API key, which is the service's.
OTHER_LAYER = "service"
KIND_OF_MODULE = {
    "gce_address": "address",
    "gce_firewall": "firewall rule",
    "gce_instance_schedule": "schedule",
    "gce_network": "network",
    "gce_subnetwork": "subnetwork",
}
LONGEST = 200
MISSING = object()
Pair = tuple[str, Any, Any]


def layer_of(record: Mapping[str, Any]) -> str:
    """Cloud, host or service."""
    return LAYER_OF_ROLE.get(record["role"], OTHER_LAYER)


def is_blocked_change(record: Mapping[str, Any]) -> bool:
    """A difference that a run may not put right: the module fails, but says what differs."""
    result = record["result"]
    return record["outcome"] == "failed" and bool(result.get("blocked") and result.get("changes"))


def differences(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every difference: layer, host, object, field, is, should_be; in order of the run."""
    found = []
    for record in records:
        if record["outcome"] not in {"changed", "newer image"} and not is_blocked_change(record):
            continue
        for name, field, now, wanted in _of(record):
            found.append(
                {
                    "layer": layer_of(record),
                    "host": record["host"],
                    "object": name,
                    "field": field,
                    "is": _short(now),
                    "should_be": _short(wanted),
                }
            )
    return found


def errors(records: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Why something could not be looked at: layer, host, task, message."""
    return [
        {
            "layer": layer_of(record),
            "host": record["host"],
            "task": record["task"],
            "message": _message(record["result"]),
        }
        for record in records
        if record["outcome"] in {"failed", "unreachable"} and not is_blocked_change(record)
    ]


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Differences in columns, for people."""
    if not rows:
        return []
    heads = ("layer", "host", "object", "field", "is", "should_be")
    cells = [heads, *(tuple(_cell(row[head]) for head in heads) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    return ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in cells]


def _of(record: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    """Object, field, is, should be."""
    result = record["result"]
    action = record["action"].rsplit(".", 1)[-1]
    if record.get("hidden"):
        yield record["task"], "content", "(hidden)", "(hidden, another value)"
        return
    newer = result.get("__gce_instance_newer_image")
    if newer:
        field = newer.get("field", "boot_disk.image")
        yield f"instance {newer['name']}", field, newer["current"], newer["newest"]
        return
    arguments = (result.get("invocation") or {}).get("module_args") or {}
    name = _name(arguments, result)
    if result.get("changes"):
        kind = KIND_OF_MODULE.get(action, "instance")
        for one in result["changes"]:
            yield f"{kind} {name or ''}".strip(), one["field"], one["from"], one["to"]
        return
    if action in {"systemd", "systemd_service", "service"}:
        yield from _service(name or record["task"], result)
        return
    pairs = list(_special(action, result))
    if pairs:
        yield from ((name or record["task"], *pair) for pair in pairs)
        return
    entries = result.get("diff") or []
    said = False
    for entry in [entries] if isinstance(entries, Mapping) else entries:
        where = _header(entry) or name or record["task"]
        for pair in _pairs(where, entry):
            said = True
            yield where, *pair
    if not said:
        yield name or record["task"], "state", "differs", f"as by the task '{record['task']}'"


def _name(arguments: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    for source in (arguments, result):
        for key in ("path", "dest", "venv", "name"):
            if isinstance(source.get(key), str) and source[key]:
                return str(source[key])
    return ""


def _header(entry: Mapping[str, Any]) -> str:
    before = str(entry.get("before_header") or "")
    return before if before.startswith("/") else ""


def _service(name: str, result: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    """State and start at boot. A restart that a changed file asks for is that file's difference."""
    status = result.get("status") or {}
    active, enabled = status.get("ActiveState"), status.get("UnitFileState")
    if active != "active":
        yield name, "state", active or "unknown", "active"
    if enabled != "enabled":
        yield name, "enabled", enabled or "unknown", "enabled"
    if result.get("state") != "restarted" and active == "active" and enabled == "enabled":
        yield name, "state", active, str(result.get("state"))


def _special(action: str, result: Mapping[str, Any]) -> Iterator[Pair]:
    if action == "model_weights":
        for file, reason in (result.get("differences") or {}).items():
            yield str(file), reason, "as it was published"
    if action == "uv_sync":
        if result.get("created"):
            yield "environment", result["created"], "there, as by the lock"
            return
        before: dict[str, str] = {}
        after: dict[str, str] = {}
        for side, into in (("before", before), ("after", after)):
            for line in str((result.get("diff") or {}).get(side, "")).splitlines():
                package, _, version = line.partition("==")
                into[package] = version
        yield from _compared(before, after)


def _pairs(where: str, entry: Mapping[str, Any]) -> Iterator[Pair]:
    """Fields of one before and after that differ."""
    before, after = entry.get("before"), entry.get("after")
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _compared(_flat(before), _flat(after))
        return
    if before is None and after is None:
        if entry.get("prepared"):
            yield "content", "differs", str(entry["prepared"])
        return
    old, new = str(before or ""), str(after or "")
    if not old or not new:
        count = len((old or new).splitlines())
        there = f"{count} lines"
        yield "content", there if old else None, there if new else None
        return
    parse = next((p for ends, p in PARSERS.items() if where.endswith(ends)), None)
    parsed = [parse(text) for text in (old, new)] if parse else [None, None]
    if parsed[0] is not None and parsed[1] is not None:
        found = list(_compared(parsed[0], parsed[1]))
        if found:
            yield from found
            return
    yield from _lines(old.splitlines(), new.splitlines())


def _lines(old: list[str], new: list[str]) -> Iterator[Pair]:
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            yield f"line {a + 1}", "\n".join(old[a:b]) or None, "\n".join(new[c:d]) or None


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Pair]:
    for key in sorted({*before, *after}):
        if before.get(key, MISSING) != after.get(key, MISSING):
            yield key, before.get(key), after.get(key)


def _flat(tree: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _yaml(text: str) -> dict[str, Any] | None:
    import yaml  # noqa: PLC0415 - Ansible has it

    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return _flat(tree) if isinstance(tree, Mapping) else None


def _unit(text: str) -> dict[str, Any] | None:
    """Section.Key to value; Environment by the variable's name; repeated keys as a list."""
    found: dict[str, Any] = {}
    section = ""
    for line in (raw.strip() for raw in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            name = f"{section}.{key.strip()}"
            if key == "Environment":
                variable, _, value = value.strip('"').partition("=")
                name += f".{variable}"
            found.setdefault(name, []).append(value.strip())
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


PARSERS = {".yaml": _yaml, ".yml": _yaml, ".json": _yaml, ".service": _unit}


def _message(result: Mapping[str, Any]) -> str:
    texts = result.get("msg") or result.get("stderr") or "no reason given"
    return "\n".join(map(str, texts)) if isinstance(texts, list) else str(texts)


def _short(value: Any) -> Any:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return value if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _cell(value: Any) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = text.replace("\n", " | ")
    return text if len(text) <= 60 else text[:59] + "…"
