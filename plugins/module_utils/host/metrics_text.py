# SPDX-License-Identifier: Apache-2.0
"""Prometheus' text format: what a server's metrics say. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?\s*")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def samples(text: str, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Each sample with `name`, `labels` and `value`; what is no sample is left out.

    Args:
        names: which; one that ends with `*` stands for all that begin so. Without any, all.
    """
    exact = {name for name in names if not name.endswith("*")}
    begins = tuple(name[:-1] for name in names if name.endswith("*"))
    every = not exact and not begins
    return [
        one
        for one in _samples(text)
        if every or one["name"] in exact or (begins and one["name"].startswith(begins))
    ]


def _samples(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        match = None if line.startswith("#") else _LINE.fullmatch(line)
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        # JSON has no word for what is not a number, nor for infinity.
        if value - value == 0:
            yield {"name": match[1], "labels": _labels(match[2] or ""), "value": value}


def _labels(text: str) -> dict[str, str]:
    return {
        name: _ESCAPED.sub(lambda one: "\n" if one[1] == "n" else one[1], value)
        for name, value in _LABEL.findall(text)
    }
