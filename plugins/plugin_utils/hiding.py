# SPDX-License-Identifier: Apache-2.0
"""Keeps secrets out of what is written for people. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..module_utils.logs.masks import MASK, masked


def without_secrets(value: Any, secrets: Collection[str]) -> Any:
    """A copy without these texts, wherever they stand, and without what looks like a key."""
    longest_first = sorted((one for one in secrets if one), key=len, reverse=True)
    return _without(value, longest_first)


def _without(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return masked(value)
    if isinstance(value, Mapping):
        return {_without(name, secrets): _without(one, secrets) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without(one, secrets) for one in value]
    # A secret may be a number to YAML.
    return MASK if not isinstance(value, bool) and str(value) in secrets else value
