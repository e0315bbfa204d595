# SPDX-License-Identifier: Apache-2.0
"""Writes files/grafana: the dashboard's panels for whoever has a Grafana.

    python -m docs.tools.generate_grafana [--check]

Panels and expressions are those of `llm_dashboard.panels`. Keys are those of Grafana's dashboard
schema 36, which every Grafana from 10.0 on reads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path("files") / "grafana"
sys.path.insert(0, str(ROOT / "files"))

from llm_dashboard import panels  # noqa: E402
from llm_dashboard.panels import Panel  # noqa: E402

from docs.tools import generated_files  # noqa: E402
from docs.tools.grafana_queries import (  # noqa: E402
    legend,
    line,
    objective,
    of_hosts,
    share_within,
)

Json = dict[str, Any]
SERVER, HOSTS = "gce-vllm-server", "gce-vllm-hosts"
#: The same name as input and as variable: Grafana asks for the first where a person imports, and
#: knows only the second where it reads files.
INPUT = "DS_PROMETHEUS"
SOURCE = {"type": "prometheus", "uid": f"${{{INPUT}}}"}
#: Unit of a panel → Grafana's name of it.
UNITS = {
    "bytes_per_second": "Bps",
    "celsius": "celsius",
    "count": "short",
    "per_minute": "suffix:/min",
    "per_second": "suffix:/s",
    "seconds": "s",
    "share": "percentunit",
    "teraflops": "tflops",
    "watts": "watt",
}
#: The bucket that is chosen at first for goodput: the next one above the objective's default.
WITHIN = "2.5"
WIDTH, COLUMNS, HEIGHT = 24, 3, 8
#: Id, title and unit of the figures on top.
FIGURES = {
    "requests": ("Requests", "per_second"),
    "refused": ("Refused", "share"),
    "first_token": ("First token, p95", "seconds"),
    "tokens": ("Tokens generated", "per_second"),
}
#: Further columns of the table of hosts: title, panel whose first line it is.
COLUMNS_OF_HOSTS = {
    "KV cache": "kv-cache",
    "GPU utilisation": "gpu-utilisation",
    "GPU memory": "gpu-memory",
    "GPU temperature": "gpu-temperature",
    "Host memory": "memory",
}
PANELS = {panel.id: panel for section in panels.SECTIONS for panel in section.panels}


def target(expr: str, name: str, number: int, **more: Any) -> Json:
    """One expression of a panel."""
    how = {"legendFormat": name, "range": True, "instant": False, **more}
    return {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expr, **how}


def chart(panel: Panel) -> Json:
    """Lines over time."""
    targets = [
        target(line(query), legend(query.name), number)
        for number, query in enumerate(panel.queries)
    ]
    says = panel.says
    if panel.buckets:
        targets = [target(share_within(panel), legend("within $within s"), 0)]
        says = (
            "Share of the requests whose first token came within the seconds chosen above."
            " They are the histogram's buckets."
        )
    overrides = []
    if panel.objective and not panel.buckets:
        targets.append(target(objective(panel), "objective", len(targets)))
        overrides = [dashed("objective")]
    limits = {"min": 0} | ({"max": panel.most} if panel.most else {})
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "spanNulls": False}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": says,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {"unit": UNITS[panel.unit], **limits, "custom": custom},
            "overrides": overrides,
        },
        "options": {
            "legend": {
                "calcs": ["lastNotNull"],
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": targets,
    }


def dashed(name: str) -> Json:
    """What makes a line look like a bound."""
    style = {"fill": "dash", "dash": [10, 10]}
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": "custom.lineStyle", "value": style},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": "text"}},
        ],
    }


def figure(name: str) -> Json:
    """A large number with its trend."""
    title, unit = FIGURES[name]
    return {
        "type": "stat",
        "title": title,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": UNITS[unit], "decimals": 1}, "overrides": []},
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "none",
            "graphMode": "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "auto",
        },
        "targets": [target(of_hosts(panels.FIGURES[name]), "{{instance}}", 0)],
    }


def timeline(title: str, says: str, event: str, name: str) -> Json:
    """When something was so."""
    return {
        "type": "state-timeline",
        "title": title,
        "description": says,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {
                "color": {"mode": "fixed", "fixedColor": "blue"},
                "custom": {"lineWidth": 0, "fillOpacity": 70},
            },
            "overrides": [],
        },
        "options": {
            "mergeValues": True,
            "showValue": "never",
            "alignValue": "left",
            "rowHeight": 0.8,
            "legend": {
                "calcs": [],
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": False,
            },
            "tooltip": {"mode": "single", "sort": "none"},
        },
        "targets": [target(of_hosts(panels.EVENTS[event]), name, 0)],
    }


def table() -> Json:
    """One row a host."""
    columns = [
        (title, UNITS[unit], of_hosts(panels.FIGURES[name]))
        for name, (title, unit) in FIGURES.items()
    ]
    for title, name in COLUMNS_OF_HOSTS.items():
        panel = PANELS[name]
        expr = of_hosts(panel.queries[0].expr)
        columns.append((title, UNITS[panel.unit], f"max by (instance) ({expr})"))
    letters = [chr(ord("A") + number) for number in range(len(columns))]
    renamed = {f"Value #{one}": column[0] for one, column in zip(letters, columns, strict=True)}
    units = [
        {
            "matcher": {"id": "byName", "options": title},
            "properties": [{"id": "unit", "value": unit}, {"id": "decimals", "value": 1}],
        }
        for title, unit, _ in columns
    ]
    link = {"title": "This host", "url": f"/d/{SERVER}?var-instance=${{__value.raw}}"}
    host = {
        "matcher": {"id": "byName", "options": "Host"},
        "properties": [{"id": "links", "value": [link]}],
    }
    return {
        "type": "table",
        "title": "Hosts",
        "description": "Of each host's GPUs and engines, the one with the highest value.",
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {}, "overrides": [host, *units]},
        "options": {"showHeader": True},
        "targets": [
            target(expr, "", number, range=False, instant=True, format="table")
            for number, (_, _, expr) in enumerate(columns)
        ],
        "transformations": [
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {},
                    "renameByName": {"instance": "Host", **renamed},
                },
            },
        ],
    }


def placed(rows: Sequence[tuple[str, Sequence[tuple[Json, int, int]]]]) -> list[Json]:
    """The panels one beside the other below their questions; each with its width and height."""
    found: list[Json] = []
    y = 0
    for question, inside in rows:
        if question:
            row = {"type": "row", "title": question, "collapsed": False, "panels": []}
            found.append(row | {"gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
            y += 1
        x = tallest = 0
        for panel, width, height in inside:
            if x + width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            found.append(panel | {"gridPos": {"x": x, "y": y, "w": width, "h": height}})
            x, tallest = x + width, max(tallest, height)
        y += tallest
    return [{"id": number} | panel for number, panel in enumerate(found, 1)]


def variables(*, buckets: bool) -> list[Json]:
    """What a person chooses above the panels."""
    found: list[Json] = [
        {
            "type": "datasource",
            "name": INPUT,
            "label": "Prometheus",
            "query": "prometheus",
            "refresh": 1,
            "hide": 0,
        },
        asked("instance", "Host", 'label_values(up{job="llm"}, instance)')
        | {
            "includeAll": True,
            "multi": True,
            "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        },
    ]
    if buckets:
        found.append(
            asked(
                "within",
                "First token within, seconds",
                "label_values(vllm:time_to_first_token_seconds_bucket, le)",
            )
            | {"current": {"selected": True, "text": WITHIN, "value": WITHIN}}
        )
    return found


def asked(name: str, label: str, query: str) -> Json:
    """A variable whose values Prometheus knows, in the order of numbers or of letters."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 3 if name == "within" else 1,
        "hide": 0,
    }


def marks() -> list[Json]:
    """Events on the time axes of all panels."""

    def mark(name: str, colour: str, event: str, title: str, text: str, *, moment: bool) -> Json:
        expr = of_hosts(panels.EVENTS[event])
        # Grafana takes milliseconds.
        value = {"expr": f"1000 * {expr}", "useValueForTime": True} if moment else {"expr": expr}
        look = {"enable": True, "iconColor": colour, "titleFormat": title, "textFormat": text}
        return {"name": name, "datasource": SOURCE, "step": "60s", **look, **value}

    host = "{{instance}}"
    return [
        mark("Starts", "blue", "started", "Start", host, moment=True),
        mark("Alerts", "red", "alert", "{{alertname}}", host, moment=False),
        mark("Xid errors", "purple", "xid", "Xid {{xid}}", f"{host}: GPU {{{{gpu}}}}", moment=True),
    ]


def dashboard(uid: str, title: str, says: str, shown: list[Json], *, buckets: bool) -> Json:
    """The whole of one file."""
    kinds = sorted({panel["type"] for panel in shown} - {"row"})
    return {
        "__inputs": [
            {
                "name": INPUT,
                "label": "Prometheus",
                "description": "",
                "type": "datasource",
                "pluginId": "prometheus",
                "pluginName": "Prometheus",
            }
        ],
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "10.0.0"},
            {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
            *({"type": "panel", "id": kind, "name": kind, "version": ""} for kind in kinds),
        ],
        "uid": uid,
        "title": title,
        "description": says,
        "tags": ["llm", "vllm"],
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": 36,
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "refresh": "30s",
        "annotations": {"list": marks()},
        "templating": {"list": variables(buckets=buckets)},
        "panels": shown,
    }


def dashboards() -> dict[str, Json]:
    """Every dashboard by its file's name."""
    state = timeline("State", "What the server says of itself.", "state", "{{instance}} {{state}}")
    firing = timeline(
        "Alerts", "Those that fire, as long as they do.", "alert", "{{instance}} {{alertname}}"
    )
    wide = WIDTH // COLUMNS
    now = [
        *((figure(name), WIDTH // len(FIGURES), 4) for name in FIGURES),
        (state, WIDTH // 2, 6),
        (firing, WIDTH // 2, 6),
    ]
    sections = [
        (section.question, [(chart(panel), wide, HEIGHT) for panel in section.panels])
        for section in panels.SECTIONS
    ]
    short = [("first-token", "tokens", "requests"), ("kv-cache", "gpu-memory", "gpu-utilisation")]
    lines = [(chart(PANELS[name]), wide, HEIGHT) for row in short for name in row]
    return {
        "llm-server.json": dashboard(
            SERVER,
            "LLM server",
            "State, speed, load, GPUs, users and errors of vLLM servers.",
            placed([("How is it now?", now), *sections]),
            buckets=True,
        ),
        "llm-hosts.json": dashboard(
            HOSTS,
            "LLM hosts",
            "All vLLM servers beside each other.",
            placed([("", [(table(), WIDTH, HEIGHT), (state, WIDTH, 6), *lines])]),
            buckets=False,
        ),
    }


def written() -> Iterator[tuple[Path, str]]:
    """Every file with what belongs into it."""
    for name, content in dashboards().items():
        yield TARGET / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write or check every dashboard."""
    owned = (path.relative_to(ROOT) for path in (ROOT / TARGET).glob("*.json"))
    return generated_files.main("Writes files/grafana.", dict(written()), owned)


if __name__ == "__main__":
    sys.exit(main())
