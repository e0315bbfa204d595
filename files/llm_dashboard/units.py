# SPDX-License-Identifier: Apache-2.0
"""How a value is written for people. Pure."""

from __future__ import annotations

from collections.abc import Callable

#: In the place of a value that there is not.
NONE = "\N{EN DASH}"


def number(value: float) -> str:
    """Three digits, or whole thousands with their commas."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def seconds(value: float) -> str:
    """As ms, s or min."""
    if abs(value) >= 120:
        return f"{number(value / 60)} min"
    return f"{number(value)} s" if abs(value) >= 1 or not value else f"{number(1000 * value)} ms"


def share(value: float) -> str:
    """As percent."""
    percent = 100 * value
    return f"{percent:.1f} %" if 0 < abs(percent) < 10 else f"{percent:.0f} %"


def money(value: float) -> str:
    """US dollars."""
    return f"${value:,.2f}" if abs(value) >= 0.1 or not value else f"${value:.3g}"


def size(value: float) -> str:
    """Bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{number(value)} {unit}"
        value /= 1000
    return f"{number(value)} TB"


#: Unit of a panel → how a value of it is written.
UNITS: dict[str, Callable[[float], str]] = {
    "bytes_per_second": lambda value: f"{size(value)}/s",
    "celsius": lambda value: f"{number(value)} °C",
    "count": number,
    "per_minute": lambda value: f"{number(value)}/min",
    "per_second": lambda value: f"{number(value)}/s",
    "seconds": seconds,
    "share": share,
    "teraflops": lambda value: f"{number(value)} TFLOP/s",
    "watts": lambda value: f"{number(value)} W",
}
