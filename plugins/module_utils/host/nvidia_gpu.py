# SPDX-License-Identifier: Apache-2.0
"""One GPU of `nvidia-smi -q -x` as typed facts."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

# A fact a GPU doesn't have is told in words of these kinds.
ABSENT = ("N/A", "[N/A]", "[Not Supported]", "Not Supported", "None", "")
_NUMBER = re.compile(r"^(-?\d+(?:\.\d+)?)(?: (?:MiB|W|C|MHz|%))?$")
# Where a number or a fact should stand, and the driver could not get it: `[GPU requires reset]`,
# `[Unknown Error]`, `ERR!`. What a GPU lacks, and what needs a right, is said in other words.
_BROKEN = re.compile(r"requires reset|unknown error|\berr!|GPU is lost|\bError\b", re.IGNORECASE)


def text(element: ET.Element, path: str) -> str | None:
    """What stands at a path; None where the GPU has no such fact."""
    found = (element.findtext(path) or "").strip()
    return None if found in ABSENT else found


def number(element: ET.Element, path: str) -> float | None:
    """A number, in the unit that nvidia-smi gives it in (MiB, W, °C, MHz)."""
    match = _NUMBER.match(text(element, path) or "")
    return float(match[1]) if match else None


def whole(element: ET.Element, path: str) -> int | None:
    """A number without a fraction."""
    found = number(element, path)
    return None if found is None else int(found)


# What is looked at for such words: what every driver fills.
_READ = (
    "fb_memory_usage/total", "fb_memory_usage/used", "fb_memory_usage/free", "temperature/gpu_temp",
    "gpu_power_readings/instant_power_draw", "gpu_power_readings/power_draw",
    "gpu_power_readings/current_power_limit", "power_readings/power_draw",
    "power_readings/power_limit", "clocks/sm_clock", "clocks/mem_clock", "utilization/gpu_util",
    "ecc_mode/current_ecc", "performance_state", "fan_speed", "product_name",
)  # fmt: skip


def gpu_facts(element: ET.Element) -> dict[str, Any]:
    """Read one `gpu` element.

    Returns:
        Shapes and units as in the documentation of gpu_info; None for what a GPU lacks.
    """
    return {
        "uuid": text(element, "uuid"),
        "pci_bus_id": text(element, "pci/pci_bus_id"),
        "name": text(element, "product_name"),
        "architecture": text(element, "product_architecture"),
        "memory_mib": {
            key: whole(element, f"fb_memory_usage/{key}")
            for key in ("total", "reserved", "used", "free")
        },
        "ecc": _enabled(element, "ecc_mode/current_ecc"),
        "ecc_pending": _enabled(element, "ecc_mode/pending_ecc"),
        "ecc_errors": {
            "corrected": _sum(element, "correctable"),
            "uncorrected": _sum(element, "uncorrectable"),
        },
        "sram_threshold_exceeded": _yes_below(element, "sram_threshold_exceeded"),
        "row_remap": _row_remap(element),
        "retired_pages": _retired_pages(element),
        "repair": {
            "channel": _yes(element, "ecc_errors/channel_repair_pending"),
            "tpc": _yes(element, "ecc_errors/tpc_repair_pending"),
            "unrepairable": _yes(element, "ecc_errors/unrepairable_memory"),
        },
        "fabric": {
            "state": text(element, "fabric/state"),
            "status": text(element, "fabric/status"),
        },
        "mig": _enabled(element, "mig_mode/current_mig"),
        "mig_pending": _enabled(element, "mig_mode/pending_mig"),
        "mig_devices": len(element.findall("mig_devices/mig_device")),
        "persistence_mode": _enabled(element, "persistence_mode"),
        "recovery_action": text(element, "gpu_recovery_action"),
        "temperature_c": {
            "gpu": whole(element, "temperature/gpu_temp"),
            "memory": whole(element, "temperature/memory_temp"),
        },
        "power_w": _power(element),
        "clocks_mhz": {
            "sm": whole(element, "clocks/sm_clock"),
            "memory": whole(element, "clocks/mem_clock"),
            "max_sm": whole(element, "max_clocks/sm_clock"),
            "max_memory": whole(element, "max_clocks/mem_clock"),
        },
        "throttled_by": _throttled_by(element),
        "broken_fields": _broken_fields(element),
        "mig_memory_mib": [
            whole(device, "fb_memory_usage/total")
            for device in element.findall("mig_devices/mig_device")
        ],
        "processes": [
            {
                "pid": whole(process, "pid") or 0,
                "name": text(process, "process_name"),
                "used_mib": whole(process, "used_memory"),
            }
            for process in element.findall("processes/process_info")
        ],
    }


def _enabled(element: ET.Element, path: str) -> bool | None:
    found = text(element, path)
    return None if found is None else found == "Enabled"


def _yes(element: ET.Element, path: str) -> bool | None:
    found = text(element, path)
    return None if found is None else found == "Yes"


def _sum(element: ET.Element, kind: str) -> int | None:
    """Errors since the driver was loaded, of MIG's instances too; tags differ in how they begin."""
    groups = [
        *element.findall("ecc_errors/volatile"),
        *element.findall("mig_devices/mig_device/ecc_error_count/volatile_count"),
    ]
    counts = [
        count
        for group in groups
        for counter in group
        if kind in counter.tag.split("_", 1)[-1].split("_")
        and (count := whole(group, counter.tag)) is not None
    ]
    return sum(counts) if counts else None


def _yes_below(element: ET.Element, tag: str) -> bool | None:
    """A flag whose place differs between drivers."""
    found = next(element.iter(tag), None)
    said = "" if found is None else (found.text or "").strip()
    return None if said in ABSENT else said == "Yes"


def _broken_fields(element: ET.Element) -> list[str]:
    """Paths of what the driver could not read, with the words that stand there."""
    found = []
    for path in _READ:
        said = (element.findtext(path) or "").strip()
        if _BROKEN.search(said):
            found.append(f"{path.rsplit('/', 1)[-1]} is '{said}'")
    return found


def _row_remap(element: ET.Element) -> dict[str, Any]:
    rows = "remapped_rows/remapped_row"
    return {
        "corrected": whole(element, f"{rows}_corr"),
        "uncorrected": whole(element, f"{rows}_unc"),
        # A reset is needed before the remapping counts.
        "pending": _yes(element, f"{rows}_pending"),
        # No spare row is left: the GPU has to be replaced.
        "failed": _yes(element, f"{rows}_failure"),
    }


def _retired_pages(element: ET.Element) -> dict[str, Any]:
    """What GPUs before Ampere do instead of replacing rows."""
    pending = [
        _yes(element, f"retired_pages/pending_{name}") for name in ("blacklist", "retirement")
    ]
    return {
        "single_bit": whole(element, "retired_pages/multiple_single_bit_retirement/retired_count"),
        "double_bit": whole(element, "retired_pages/double_bit_retirement/retired_count"),
        "pending": None if pending == [None, None] else True in pending,
    }


def _power(element: ET.Element) -> dict[str, float | None]:
    """Watts; names changed with driver 535, and that of the draw again after 555."""
    names = {
        "draw": ("instant_power_draw", "power_draw"),
        "limit": ("current_power_limit", "power_limit"),
        "default_limit": ("default_power_limit",),
        "max_limit": ("max_power_limit",),
    }
    return {
        fact: next(
            (
                found
                for group in ("gpu_power_readings", "power_readings")
                for tag in tags
                if (found := number(element, f"{group}/{tag}")) is not None
            ),
            None,
        )
        for fact, tags in names.items()
    }


def _throttled_by(element: ET.Element) -> list[str]:
    """Why the clocks are held down; idling is no reason to note."""
    prefixes = ("clocks_event_reason_", "clocks_throttle_reason_")
    reasons = [
        *element.findall("clocks_event_reasons/*"),
        *element.findall("clocks_throttle_reasons/*"),
    ]
    names = [
        reason.tag.removeprefix(prefixes[0]).removeprefix(prefixes[1])
        for reason in reasons
        if (reason.text or "").strip() == "Active"
    ]
    return [name for name in names if name != "gpu_idle"]
