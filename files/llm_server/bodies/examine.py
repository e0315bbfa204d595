# SPDX-License-Identifier: Apache-2.0
"""Looks through a body of JSON before vLLM does: what holds up everybody is refused here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ..grammars import grammar_size
from ..keys.access import AccessControl
from ..reasons import Reason
from . import batch, elements, fields, reading, skeleton, unsendable

#: A larger one is looked at in a thread: parsing it takes more than a millisecond.
SMALL_BYTES = 64 * 2**10
#: Up to so many values a body is vLLM's at once.
FEW = 512


@dataclass(frozen=True)
class Wrong:
    """Why a body is refused."""

    status: int
    message: str
    param: str | None
    reason: Reason


@dataclass(frozen=True)
class Fine:
    """What is handed on."""

    body: bytes
    #: The body, parsed; None where it is no JSON, of which vLLM says what is wrong.
    data: Any = None
    #: Fields that the path does not know.
    ignored: list[str] = field(default_factory=list)
    #: Whether it has so many values that it is tried out first; see `trial`.
    many: bool = False


def examine(path: str, body: bytes, control: AccessControl) -> Wrong | Fine:
    """Checks a body that may be JSON; one above `SMALL_BYTES` takes a thread."""
    values = elements.at_most(body)
    if values > FEW:
        counted = elements.count(body)
        if wrong := _too_many(counted, control):
            return wrong
        values = counted.values
    if b"\0" in body[:4]:
        text = "The body is not in UTF-8. JSON that is sent must be."
        return Wrong(400, text, None, "body_encoding")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return Fine(body)
    halves = unsendable.may_hold_halves(body)
    fine = not halves and unsendable.numbers_are_fine(data)
    if not fine and (found := unsendable.find(data, halves=halves)):
        where, what = found
        return Wrong(400, f"{where or 'The body'} {what}.", where or None, "bad_value")
    if not isinstance(data, dict):
        return Fine(body, data)
    if shape := skeleton.misshapen(data, path):
        where, must = shape
        return Wrong(400, f"{where} {must}.", where, "bad_value")
    wrong = _too_large(path, body, data, control)
    return wrong or _known(path, body, data, control, many=values > FEW)


def _too_many(found: elements.Elements, control: AccessControl) -> Wrong | None:
    most = control.limits.max_elements
    if found.values > most:
        text = (
            f"The body has {found.values} values; this server takes {most}"
            " (llm_server_limits.max_elements). Send several requests, or fewer entries."
        )
        return Wrong(400, text, None, "too_many_elements")
    if found.token_ids > control.model.token_ids:
        text = (
            f"The body has {found.token_ids} token ids; this server takes"
            f" {control.model.token_ids}. Send several requests."
        )
        return Wrong(400, text, None, "too_many_tokens")
    return None


def _too_large(
    path: str, body: bytes, data: dict[str, Any], control: AccessControl
) -> Wrong | None:
    limits = control.limits
    if many := batch.too_many(path, data, limits.max_sequences, limits.max_inputs):
        text = (
            f"{many.field} has {many.entries} entries; this server takes {many.most} at once"
            f" (llm_server_limits.{many.setting}). Send several requests."
        )
        return Wrong(400, text, many.field, "too_many_sequences")
    if reading.only_reads(path) and (long := reading.too_long(data, control.model)):
        return Wrong(400, long, None, "too_many_tokens")
    most = limits.max_grammar_bytes
    if len(body) > most and (large := grammar_size.largest(data, most)):
        text = (
            f"{large} holds the answer to more than {most} bytes; this server takes no more"
            " (llm_server_limits.max_grammar_bytes). Make it smaller."
        )
        return Wrong(400, text, large, "grammar_too_large")
    return None


def _known(
    path: str, body: bytes, data: dict[str, Any], control: AccessControl, *, many: bool
) -> Wrong | Fine:
    if data.get("tools") == []:
        # Some clients always send the list. vLLM refuses one that is empty.
        data = {key: value for key, value in data.items() if key != "tools"}
        if data.get("tool_choice") in ("auto", "none"):
            del data["tool_choice"]
        body = json.dumps(data).encode()
    known = control.model.fields.get(path)
    if known is None:
        return Fine(body, data, many=many)
    if mistake := fields.mistaken(data, known):
        name, meant = mistake
        text = f"{path} has no field {name}; did you mean {meant}?"
        return Wrong(400, text, name, "unknown_field")
    return Fine(body, data, fields.ignored(data, known), many)
