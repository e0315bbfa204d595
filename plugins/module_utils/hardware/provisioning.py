# SPDX-License-Identifier: Apache-2.0
"""How Google sells machine types: on demand, as Spot, Flex-start, or from a reservation. Pure."""

from __future__ import annotations

import re

STANDARD, SPOT = "STANDARD", "SPOT"
FLEX_START, RESERVATION_BOUND = "FLEX_START", "RESERVATION_BOUND"
MODELS = (STANDARD, SPOT, FLEX_START, RESERVATION_BOUND)

# Machine types that are not sold in every way. By Google's tables of consumption options
# (docs.cloud.google.com/compute/docs/accelerator-optimized-machines and
# docs.cloud.google.com/cluster-director/docs/choose-consumption-option).
_SOLD: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"^a4x-"), (RESERVATION_BOUND,)),
    (re.compile(r"^(a4|a3-ultragpu)-"), (SPOT, FLEX_START, RESERVATION_BOUND)),
    (re.compile(r"^a3-highgpu-[124]g$"), (SPOT, FLEX_START)),
)


def sold_as(machine_type: str) -> tuple[str, ...]:
    """Provisioning models in which the machine type is sold; all where nothing else is known."""
    for pattern, models in _SOLD:
        if pattern.match(machine_type):
            return models
    return MODELS


def not_sold(machine_type: str, model: str) -> str:
    """Why it is not sold so, in words; '' where it is."""
    models = sold_as(machine_type)
    if model in models:
        return ""
    return f"Google sells {machine_type} as {' or '.join(models)}, and not as {model}"
