# SPDX-License-Identifier: Apache-2.0
"""Local SSDs that come with a machine type: Google attaches them by itself. Pure.

Which they are says docs.cloud.google.com/compute/docs/disks/add-local-ssd: every machine type of
Z4D, Z4M, Z3, A5X, A4X, A4, A3 and A2 Ultra, and of other series those that end in `-lssd`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WITH = re.compile(r"^(z4d|z4m|z3|a5x|a4x|a4|a3|a2-ultragpu)-|-lssd$")
_WITHOUT = re.compile(r"-nolssd$")
# Of those that come with machines of this collection's tables.
SIZE_GB = 375


def bundled(machine_type: str) -> bool:
    """Whether local SSDs come with it."""
    return bool(_WITH.search(machine_type)) and not _WITHOUT.search(machine_type)


def attached(resource: Mapping[str, Any]) -> list[str]:
    """Device names of an instance's local SSDs; they have no other name."""
    return [
        str(disk.get("deviceName"))
        for disk in resource.get("disks") or []
        if disk.get("type") == "SCRATCH"
    ]
