# SPDX-License-Identifier: Apache-2.0
"""How many operations a second GPUs can do at most: a table, and its look-up in Prometheus."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peak:
    """One kind of GPU.

    Attributes:
        name: what people call it.
        models: what its driver calls it, as a regular expression.
        teraflops: NVIDIA's figure for dense matrices of bfloat16; half of what data sheets give
            with sparsity.
    """

    name: str
    models: str
    teraflops: int


#: GPUs of Compute Engine whose data sheet is plain. A T4 has no bfloat16: it is its float16.
PEAKS = (
    Peak("T4", "Tesla T4", 65),
    Peak("L4", "NVIDIA L4", 121),
    Peak("A100", "NVIDIA A100-SXM4-(40|80)GB", 312),
    Peak("H100", "NVIDIA H100 80GB HBM3", 989),
    Peak("H200", "NVIDIA H200", 989),
    Peak("B200", "NVIDIA B200", 2250),
)
#: The host's GPU in operations a second; nothing for one that is not in the table.
EXPRESSION = " or ".join(
    f'0 * max(DCGM_FI_DEV_FB_TOTAL{{modelName=~"{one.models}"}}) + {one.teraflops}e12'
    for one in PEAKS
)


def words() -> str:
    """The table in one line."""
    return ", ".join(f"{one.name} {one.teraflops:,}" for one in PEAKS)
