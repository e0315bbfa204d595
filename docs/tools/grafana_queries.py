# SPDX-License-Identifier: Apache-2.0
"""The page's expressions as Grafana asks them: of the chosen hosts, each with lines of its own.

The page shows one host, so its expressions name none. A Grafana may show a fleet. Pure.
"""

from __future__ import annotations

import re

from llm_dashboard.panels import Panel, Query

#: Grafana's own variables: over how long rates are taken, the time shown, and its step.
WINDOW, RANGE, STEP = "$__rate_interval", "$__range", "$__interval"
#: Names of series that a host has; objectives are no host's.
_SERIES = re.compile(r"\b((?:llm_|vllm:|DCGM_FI_DEV_|node_)\w+|up|process_start_time_seconds)\b")
_ALERTS = re.compile(r"\bALERTS\b")
_SUMMED_BY = re.compile(r"\b(sum|max|min|avg|count) by \(")
_SUMMED = re.compile(r"\b(sum|max|min|avg|count)\(")
_QUOTED = re.compile(r'("[^"]*")')


def of_hosts(expr: str) -> str:
    """The expression for the hosts of the variable `instance`, its sums apart for each."""
    # What stands in quotes is no name.
    parts = _QUOTED.split(expr)
    return "".join(
        part if number % 2 else _of_hosts(part) for number, part in enumerate(parts)
    ).replace("WINDOW", WINDOW)


def _of_hosts(text: str) -> str:
    text = _SERIES.sub(r'\1{instance=~"$instance"}', text)
    # Some alerts are of no host: that there is no series at all, say.
    text = _ALERTS.sub('ALERTS{instance=~"$instance|"}', text)
    # What the expression asks for itself comes behind.
    text = text.replace('"}{', '",')
    text = text.replace("on () ", "on (instance) ")
    text = _SUMMED_BY.sub(r"\1 by (instance, ", text)
    return _SUMMED.sub(r"\1 by (instance) (", text)


def line(query: Query) -> str:
    """A line's expression; one that is quiet is left out where it is zero all the time."""
    expr = of_hosts(query.expr)
    if not query.quiet:
        return expr
    return f"({expr}) and max_over_time(({expr})[{RANGE}:{STEP}] @ end()) > 0"


def legend(name: str) -> str:
    """What a line is called, with its host."""
    return "{{instance}} " + re.sub(r"{(\w+)}", r"{{\1}}", name)


def share_within(panel: Panel) -> str:
    """The share of a histogram's observations up to the bucket of the variable `within`."""
    buckets = of_hosts(panel.buckets)
    chosen, all_of_them = (
        buckets.replace(
            '_bucket{instance=~"$instance"', f'_bucket{{instance=~"$instance",le="{le}"'
        )
        for le in ("$within", "+Inf")
    )
    return f"{chosen} / ignoring (le) ({all_of_them} > 0)"


def objective(panel: Panel) -> str:
    """The bound, as one line also where several Prometheus write into one."""
    return f"max({panel.objective})"
