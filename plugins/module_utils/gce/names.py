# SPDX-License-Identifier: Apache-2.0
"""Names that Compute Engine takes: checked before anything is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import GceError
from .naming import NAME

# Options that name one resource of Compute Engine, by module option.
_OPTIONS = ("name", "instance")


def refuse_bad(params: Mapping[str, Any]) -> None:
    """Check the options of a module that name a resource.

    Raises:
        GceError: Google would answer with a regular expression.
    """
    for option in _OPTIONS:
        value = params.get(option)
        if isinstance(value, str) and value and not NAME.fullmatch(value):
            raise GceError(
                f"{option} is '{value}' ({len(value)} characters), which is not one that Google "
                "takes. Nothing was done.",
                reason="badName",
                remedy="use lower case letters, digits and '-', a letter first, no '-' last, at "
                "most 63.",
            )
