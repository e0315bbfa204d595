# SPDX-License-Identifier: Apache-2.0
"""Checks requests by the discovery document: unknown names, types, enums, formats, patterns."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from emulator.errors import ApiError, Json, invalid, required
from emulator.request.discovery import Discovery, Method

_INTEGER_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
# Parameters that every Google API takes and that change nothing here.
_ALWAYS_ALLOWED = {"$alt", "$prettyPrint"}


def parameters(
    doc: Discovery, method: Method, path: Mapping[str, str], query: list[tuple[str, str]]
) -> dict[str, Any]:
    """Typed path and query parameters of a request.

    Raises:
        ApiError: 400 for an unknown, malformed or missing one.
    """
    values: dict[str, Any] = {}
    for name, text in path.items():
        # `zones/-` stands for any zone where a method allows it; the handler decides.
        values[name] = text if text == "-" else _parameter(name, method.parameters[name], text)
    for name, text in query:
        schema = method.parameters.get(name) or doc.common.get(name)
        if schema is None or schema.get("location") == "path":
            if name in _ALWAYS_ALLOWED:
                continue
            raise ApiError(
                400,
                "invalid",
                f'Unknown name "{name}": {method.id} has no such query parameter.',
                location=name,
            )
        value = _parameter(name, schema, text)
        if schema.get("repeated"):
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    for name, schema in method.parameters.items():
        if schema.get("required") and name not in values:
            raise ApiError(400, "required", f"Required parameter: {name}", location=name)
    return values


def _parameter(name: str, schema: Json, text: str) -> Any:
    match schema["type"]:
        case "boolean":
            if text.lower() not in {"true", "false"}:
                raise invalid(name, text, "It must be true or false.")
            return text.lower() == "true"
        case "integer":
            number = _integer(name, schema, text)
            for bound, wrong in (("minimum", int.__lt__), ("maximum", int.__gt__)):
                if bound in schema and wrong(number, int(schema[bound])):
                    raise invalid(name, text, f"The {bound} is {schema[bound]}.")
            return number
    return _string(name, schema, text)


def body(doc: Discovery, method: Method, value: Any) -> Json:
    """A request's body without its nulls.

    Raises:
        ApiError: 400 for what the schema does not allow.
    """
    if method.request is None:
        return {}
    if value is None:
        raise required("resource")
    checked = _value(doc, "resource", {"$ref": method.request}, value)
    assert isinstance(checked, dict)  # noqa: S101 (a schema named by a method is an object)
    return checked


def _value(doc: Discovery, where: str, schema: Json, value: Any) -> Any:
    if "$ref" in schema:
        schema = doc.schemas[schema["$ref"]]
    match schema.get("type"):
        case "object":
            return _object(doc, where, schema, value)
        case "array":
            if not isinstance(value, list):
                raise invalid(where, value, "It must be a list.")
            return [
                _value(doc, f"{where}[{i}]", schema["items"], item) for i, item in enumerate(value)
            ]
        case "string":
            return _string(where, schema, value)
        case "boolean":
            if not isinstance(value, bool):
                raise invalid(where, value, "It must be true or false.")
            return value
        case "integer":
            return _integer(where, schema, value)
        case "number":
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise invalid(where, value, "It must be a number.")
            return value
    return value


def _object(doc: Discovery, where: str, schema: Json, value: Any) -> Json:
    if not isinstance(value, dict):
        raise invalid(where, value, "It must be an object.")
    fields: Json = schema.get("properties", {})
    others: Json | None = schema.get("additionalProperties")
    result: Json = {}
    for name, item in value.items():
        field = fields.get(name, others)
        if field is None:
            raise ApiError(
                400,
                "invalid",
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': "
                "Cannot find field.",
                location=f"{where}.{name}",
            )
        if item is None:  # libcloud sends nulls for what it leaves unset
            continue
        checked = _value(doc, f"{where}.{name}", field, item)
        if not field.get("readOnly"):
            result[name] = checked
    return result


def _integer(where: str, schema: Json, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(where, value, "It must be a whole number.")
    low, high = _INTEGER_RANGES[schema.get("format", "int32")]
    if not low <= value <= high:
        raise invalid(where, value, f"It must be between {low} and {high}.")
    return value


def _string(where: str, schema: Json, value: Any) -> str:
    form = schema.get("format")
    if form in _INTEGER_RANGES:  # 64-bit numbers travel as strings
        return str(_integer(where, schema, value))
    if not isinstance(value, str):
        raise invalid(where, value, "It must be a string.")
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(schema["enum"])
        raise invalid(where, value, f"It must be one of: {allowed}.")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        raise invalid(where, value, f"Must be a match of regex '{schema['pattern']}'")
    if form == "byte":
        try:
            base64.b64decode(
                value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4), validate=True
            )
        except binascii.Error as error:
            raise invalid(where, value, "It must be base64.") from error
    return value
