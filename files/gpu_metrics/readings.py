# SPDX-License-Identifier: Apache-2.0
"""Which values are read of a GPU, and how. A table; `nvml` is the module pynvml or one like it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

MIB = 1024**2
#: More than any GPU has so far; NVML says of each whether it is there.
MOST_LINKS = 36


@dataclass(frozen=True)
class Reading:
    """One value of a GPU.

    Attributes:
        name: the metric's, as DCGM calls it.
        text: what it is, with its unit.
        read: asks NVML; raises its NVMLError where a GPU has no such value.
    """

    name: str
    text: str
    read: Callable[[Any, Any], float]


def _memory(part: str) -> Callable[[Any, Any], float]:
    # Of the second version, which does not count what the driver keeps for itself as used.
    return lambda nvml, gpu: (
        getattr(nvml.nvmlDeviceGetMemoryInfo(gpu, version=nvml.nvmlMemory_v2), part) / MIB
    )


def _clock(kind: str) -> Callable[[Any, Any], float]:
    return lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, getattr(nvml, kind))


def _ecc(error: str, counter: str) -> Callable[[Any, Any], float]:
    return lambda nvml, gpu: nvml.nvmlDeviceGetTotalEccErrors(
        gpu, getattr(nvml, error), getattr(nvml, counter)
    )


def _remapped(place: int) -> Callable[[Any, Any], float]:
    return lambda nvml, gpu: nvml.nvmlDeviceGetRemappedRows(gpu)[place]


def _retired(cause: str) -> Callable[[Any, Any], float]:
    return lambda nvml, gpu: len(nvml.nvmlDeviceGetRetiredPages(gpu, getattr(nvml, cause)))


def _field(name: str) -> Callable[[Any, Any], float]:
    return lambda nvml, gpu: field(nvml, gpu, getattr(nvml, name))


def _links(error: str) -> Callable[[Any, Any], float]:
    return lambda nvml, gpu: sum(
        nvml.nvmlDeviceGetNvLinkErrorCounter(gpu, link, getattr(nvml, error))
        for link in up_links(nvml, gpu)
    )


def field(nvml: Any, gpu: Any, number: Any) -> float:
    """A value that NVML keeps under a number, or under a pair of number and scope."""
    answer = nvml.nvmlDeviceGetFieldValues(gpu, [number])[0]
    if answer.nvmlReturn:
        raise nvml.NVMLError(answer.nvmlReturn)
    kind = {
        nvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
        nvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
        nvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
        nvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
        nvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
        nvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    }[answer.valueType]
    return float(getattr(answer.value, kind))


def up_links(nvml: Any, gpu: Any) -> list[int]:
    """The NVLinks that carry data; raises NVMLError where the GPU has none at all."""
    found = []
    for link in range(MOST_LINKS):
        try:
            if nvml.nvmlDeviceGetNvLinkState(gpu, link) == nvml.NVML_FEATURE_ENABLED:
                found.append(link)
        except nvml.NVMLError:
            if link == 0:
                raise
            break
    return found


def _table(*rows: tuple[str, str, Callable[[Any, Any], float]]) -> tuple[Reading, ...]:
    return tuple(Reading(f"DCGM_FI_DEV_{name}", text, read) for name, text, read in rows)


SINGLE, DOUBLE = "NVML_MEMORY_ERROR_TYPE_CORRECTED", "NVML_MEMORY_ERROR_TYPE_UNCORRECTED"
VOLATILE, AGGREGATE = "NVML_VOLATILE_ECC", "NVML_AGGREGATE_ECC"
READINGS = _table(
    (
        "GPU_UTIL",
        "Percent of the time in which a kernel ran.",
        lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
    ),
    (
        "MEM_COPY_UTIL",
        "Percent of the time in which memory was read or written.",
        lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).memory,
    ),
    ("FB_TOTAL", "Memory, in MiB.", _memory("total")),
    ("FB_USED", "Memory that is in use, in MiB.", _memory("used")),
    ("FB_FREE", "Memory that is free, in MiB.", _memory("free")),
    ("FB_RESERVED", "Memory that the driver keeps for itself, in MiB.", _memory("reserved")),
    (
        "POWER_USAGE",
        "Power, in W.",
        lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    ),
    (
        "ENFORCED_POWER_LIMIT",
        "The most power that it may take, in W.",
        lambda nvml, gpu: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000,
    ),
    (
        "TOTAL_ENERGY_CONSUMPTION",
        "Energy since the driver was loaded, in mJ.",
        lambda nvml, gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu),
    ),
    (
        "GPU_TEMP",
        "Temperature, in degrees Celsius.",
        lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
    ),
    (
        "MEMORY_TEMP",
        "Temperature of the memory, in degrees Celsius.",
        _field("NVML_FI_DEV_MEMORY_TEMP"),
    ),
    (
        "SLOWDOWN_TEMP",
        "Temperature from which the clocks go down, in degrees Celsius.",
        lambda nvml, gpu: nvml.nvmlDeviceGetTemperatureThreshold(
            gpu, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        ),
    ),
    ("SM_CLOCK", "Clock of the multiprocessors, in MHz.", _clock("NVML_CLOCK_SM")),
    ("MEM_CLOCK", "Clock of the memory, in MHz.", _clock("NVML_CLOCK_MEM")),
    (
        "CLOCK_THROTTLE_REASONS",
        "Why the clocks are lower than they could be, as bits.",
        lambda nvml, gpu: nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu),
    ),
    ("ECC_SBE_VOL_TOTAL", "Corrected errors since the driver was loaded.", _ecc(SINGLE, VOLATILE)),
    (
        "ECC_DBE_VOL_TOTAL",
        "Errors since the driver was loaded that could not be corrected.",
        _ecc(DOUBLE, VOLATILE),
    ),
    ("ECC_SBE_AGG_TOTAL", "Corrected errors of its whole life.", _ecc(SINGLE, AGGREGATE)),
    (
        "ECC_DBE_AGG_TOTAL",
        "Errors of its whole life that could not be corrected.",
        _ecc(DOUBLE, AGGREGATE),
    ),
    ("CORRECTABLE_REMAPPED_ROWS", "Rows replaced after corrected errors.", _remapped(0)),
    ("UNCORRECTABLE_REMAPPED_ROWS", "Rows replaced after errors not corrected.", _remapped(1)),
    ("ROW_REMAP_PENDING", "1 where a row is replaced at the next reset.", _remapped(2)),
    ("ROW_REMAP_FAILURE", "1 where a row could not be replaced.", _remapped(3)),
    (
        "RETIRED_SBE",
        "Pages retired after corrected errors.",
        _retired("NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS"),
    ),
    (
        "RETIRED_DBE",
        "Pages retired after errors not corrected.",
        _retired("NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR"),
    ),
    (
        "RETIRED_PENDING",
        "1 where a page is retired at the next reset.",
        lambda nvml, gpu: nvml.nvmlDeviceGetRetiredPagesPendingStatus(gpu),
    ),
    (
        "PCIE_REPLAY_COUNTER",
        "Packets that were sent again over PCIe.",
        lambda nvml, gpu: nvml.nvmlDeviceGetPcieReplayCounter(gpu),
    ),
    (
        "NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL",
        "Checksum errors of control data, of all links.",
        _links("NVML_NVLINK_ERROR_DL_CRC_FLIT"),
    ),
    # Those of data are left out: on two H200 NVML counted hundreds a minute on links that were well
    # and carried nothing, and nvidia-smi showed none of them.
    (
        "NVLINK_REPLAY_ERROR_COUNT_TOTAL",
        "Packets that were sent again, of all links.",
        _links("NVML_NVLINK_ERROR_DL_REPLAY"),
    ),
    (
        "NVLINK_RECOVERY_ERROR_COUNT_TOTAL",
        "Links that were retrained, of all links.",
        _links("NVML_NVLINK_ERROR_DL_RECOVERY"),
    ),
)

#: The bits of CLOCK_THROTTLE_REASONS that slow a GPU down against its will.
THROTTLES = {
    "power_cap": "nvmlClocksEventReasonSwPowerCap",
    "thermal": "nvmlClocksEventReasonSwThermalSlowdown",
    "hw_slowdown": "nvmlClocksEventReasonHwSlowdown",
    "hw_thermal": "nvmlClocksEventReasonHwThermalSlowdown",
    "hw_power_brake": "nvmlClocksEventReasonHwPowerBrakeSlowdown",
    "sync_boost": "nvmlClocksEventReasonSyncBoost",
}


def throttles(nvml: Any, gpu: Any) -> Iterator[tuple[str, bool]]:
    """Each reason, and whether it holds now."""
    bits = nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu)
    for reason, name in THROTTLES.items():
        yield reason, bool(bits & getattr(nvml, name))


#: Of all links together.
_ALL = 0xFFFFFFFF


def nvlink_kib(nvml: Any, gpu: Any) -> Iterator[tuple[str, float]]:
    """Each direction, and the KiB of data that went over all links."""
    up_links(nvml, gpu)  # of a GPU without links NVML may say zero
    for direction in ("tx", "rx"):
        number = getattr(nvml, f"NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_{direction.upper()}")
        yield direction, field(nvml, gpu, (number, _ALL))
