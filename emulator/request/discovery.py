# SPDX-License-Identifier: Apache-2.0
"""Google's own description of the API: which request is which method, and what it may hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import unquote

from emulator.errors import Json


@dataclass(frozen=True)
class Method:
    """One method of the API.

    Attributes:
        id: for example `compute.instances.insert`.
        segments: of the path below the service path; `{zone}` is a parameter.
        parameters: JSON schemas by name; `location` is `path` or `query`.
        request: name of the body's schema, None without a body.
    """

    id: str
    verb: str
    segments: tuple[str, ...]
    parameters: Mapping[str, Json]
    request: str | None


class Discovery:
    """A discovery document, indexed."""

    def __init__(self, document: Json) -> None:
        self.schemas: dict[str, Json] = document["schemas"]
        self.common: dict[str, Json] = document["parameters"]
        self._by_shape: dict[tuple[str, int], list[Method]] = {}
        self.methods: dict[str, Method] = {}
        for raw in _methods(document):
            method = Method(
                id=raw["id"],
                verb=raw["httpMethod"],
                segments=tuple(raw["path"].split("/")),
                parameters=raw.get("parameters", {}),
                request=raw.get("request", {}).get("$ref"),
            )
            self.methods[method.id] = method
            self._by_shape.setdefault((method.verb, len(method.segments)), []).append(method)
        for methods in self._by_shape.values():
            # A literal segment wins over a parameter in the same place.
            methods.sort(key=lambda m: tuple(s.startswith("{") for s in m.segments))

    def match(self, verb: str, path: str) -> tuple[Method, dict[str, str]] | None:
        """The method of a request and its path parameters; `path` begins with `projects/`."""
        given = [unquote(s) for s in path.strip("/").split("/")]
        for method in self._by_shape.get((verb, len(given)), []):
            values = _match(method.segments, given)
            if values is not None:
                return method, values
        return None


def _match(template: tuple[str, ...], given: list[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for wanted, got in zip(template, given, strict=True):
        if wanted.startswith("{"):
            values[wanted.strip("{}+")] = got
        elif wanted != got:
            return None
    return values


def _methods(node: Json) -> Iterator[Any]:
    yield from node.get("methods", {}).values()
    for child in node.get("resources", {}).values():
        yield from _methods(child)


@cache
def compute_v1() -> Discovery:
    """Compute Engine v1 as googleapiclient ships it."""
    return _shipped("compute.v1.json")


@cache
def oslogin_v1() -> Discovery:
    """OS Login v1 as googleapiclient ships it."""
    return _shipped("oslogin.v1.json")


@cache
def secretmanager_v1() -> Discovery:
    """Secret Manager v1 as googleapiclient ships it."""
    return _shipped("secretmanager.v1.json")


def _shipped(name: str) -> Discovery:
    documents = resources.files("googleapiclient.discovery_cache") / "documents"
    return Discovery(json.loads((documents / name).read_text()))
