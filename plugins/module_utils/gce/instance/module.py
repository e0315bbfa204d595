# SPDX-License-Identifier: Apache-2.0
"""The module gce_instance, whose metadata may hold secrets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...diff import is_secret, shown
from ...redacting_module import HIDDEN, QuietModule


class InstanceModule(QuietModule):
    """Hides metadata as the results do."""

    def secrets(self) -> Iterable[str]:
        """Values of metadata whose key says that they are secret."""
        metadata = self.params.get("metadata")
        if isinstance(metadata, dict):
            return [str(value) for key, value in metadata.items() if is_secret(str(key))]
        return [str(metadata)] if metadata else []

    def shown(self) -> dict[str, Any]:
        """The options, secret and long metadata replaced."""
        metadata = self.params.get("metadata")
        if not metadata:
            return dict(self.params)
        seen: Any = HIDDEN
        if isinstance(metadata, dict):
            seen = {key: shown(f"metadata.{key}", v, v)[0] for key, v in metadata.items()}
        return {**self.params, "metadata": seen}
