# SPDX-License-Identifier: Apache-2.0
"""What each GPU of Compute Engine can hold and compute: data, and its look-up. Pure."""

from __future__ import annotations

from dataclasses import dataclass

# NVIDIA's CUDA C++ programming guide, table of arithmetic by compute capability; a T4 (7.5) has
# no bfloat16.
BFLOAT16_FROM = 8.0
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        memory: bytes that CUDA reports as total, which is what vLLM takes its share of.
        capability: compute capability, for example 9.0.
        small_batches: whether vLLM takes its smaller defaults for batches (under 70 GiB, and A100).
        measured: whether `memory` was read on such a GPU; the others are published readings.
    """

    name: str
    memory: int
    capability: float
    small_batches: bool = False
    measured: bool = False

    @property
    def bfloat16(self) -> bool:
        """Whether it computes in bfloat16."""
        return self.capability >= BFLOAT16_FROM


# Accelerator type of Compute Engine to its facts. CUDA's readings are up to 3 % below what
# nvidia-smi shows, which counts what the driver keeps; of several published ones this is the
# lowest, rounded down.
GPUS: dict[str, Gpu] = {
    one.name: one
    for one in (
        Gpu("nvidia-tesla-t4", 14_913 * MIB, 7.5, small_batches=True),
        Gpu("nvidia-l4", 22_478 * MIB, 8.9, small_batches=True),
        Gpu("nvidia-tesla-a100", 40_326 * MIB, 8.0, small_batches=True),
        Gpu("nvidia-a100-80gb", 81_037 * MIB, 8.0, small_batches=True),
        Gpu("nvidia-h100-80gb", 81_079 * MIB, 9.0, measured=True),
        Gpu("nvidia-h100-mega-80gb", 81_079 * MIB, 9.0),
        Gpu("nvidia-h200-141gb", 143_156 * MIB, 9.0, measured=True),
        Gpu("nvidia-b200", 182_000 * MIB, 10.0),
        Gpu("nvidia-rtx-pro-6000", 97_000 * MIB, 12.0),
    )
}
# No build of vLLM has code for these (below compute capability 7.5): known to be refused before
# they are rented.
TOO_OLD: dict[str, Gpu] = {
    one.name: one
    for one in (
        Gpu("nvidia-tesla-p4", 7_606 * MIB, 6.1, small_batches=True),
        Gpu("nvidia-tesla-p100", 16_270 * MIB, 6.0, small_batches=True),
        Gpu("nvidia-tesla-v100", 16_130 * MIB, 7.0, small_batches=True),
    )
}
# Other names for them, for people who type them.
ALIASES = {
    "p4": "nvidia-tesla-p4",
    "p100": "nvidia-tesla-p100",
    "v100": "nvidia-tesla-v100",
    "t4": "nvidia-tesla-t4",
    "nvidia-t4": "nvidia-tesla-t4",
    "l4": "nvidia-l4",
    "a100": "nvidia-tesla-a100",
    "nvidia-a100-40gb": "nvidia-tesla-a100",
    "h100": "nvidia-h100-80gb",
    "h200": "nvidia-h200-141gb",
    "b200": "nvidia-b200",
}


def find(name: str) -> Gpu | None:
    """The GPU of that accelerator type or alias; None where the table has none.

    A virtual workstation (`-vws`) is the same GPU with a licence for graphics.
    """
    plain = name.lower().removesuffix("-vws")
    named = ALIASES.get(plain, plain)
    return GPUS.get(named) or TOO_OLD.get(named)
