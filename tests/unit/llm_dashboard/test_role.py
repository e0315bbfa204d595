# SPDX-License-Identifier: Apache-2.0
"""The dashboard understands what the role starts it with, and the role asks for what it needs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from llm_dashboard.__main__ import arguments

from tests.support.role_values import ROOT, tasks, values

TLS = {
    "monitoring_dashboard_source_ranges": ["192.0.2.0/24", "203.0.113.7/24"],
    "monitoring_server_tls": True,
    "monitoring_hour_price": 3.5,
}
#: Import → the distribution's package.
PACKAGES = {
    "jinja2": "python3-jinja2",
    "pygal": "python3-pygal",
    "starlette": "python3-starlette",
    "uvicorn": "python3-uvicorn",
    "yaml": "python3-yaml",
}


@pytest.mark.parametrize("more", [{}, TLS])
def test_the_dashboard_takes_what_the_role_starts_it_with(more: dict[str, Any]) -> None:
    names = ["__monitoring_dashboard_arguments", "__monitoring_dashboard_packages"]
    given, packages = values("monitoring", names, **more)
    found = arguments([str(one) for one in given])
    assert (found.port, found.scrape_seconds, len(found.units)) == (8080, 15, 3)
    assert found.server == f"http{'s' if more else ''}://127.0.0.1:8000"
    assert found.prometheus == "http://127.0.0.1:9090"
    # The second has bits behind its mask.
    assert [str(one) for one in found.ranges] == (
        ["192.0.2.0/24", "203.0.113.0/24"] if more else []
    )
    assert found.hour_price == (3.5 if more else None)
    assert found.tls_file == (Path("/etc/llm-server/tls.pem") if more else None)
    code = "\n".join(file.read_text() for file in (ROOT / "files/llm_dashboard").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:from|import) ([a-z0-9]+)", code, re.MULTILINE))
    assert {PACKAGES[name] for name in imported & set(PACKAGES)} == set(packages)
    # All else comes with Python.
    assert imported - set(PACKAGES) <= sys.stdlib_module_names


GOOD = ["203.0.113.7/32", "203.0.113.7/24", "10.0.0.0/8", "0.0.0.0/1", "255.255.255.255/30"]
BAD = ["203.0.113.0/99", "203.0.113.0/33", "203.0.113.0/0", "203.0.113.0/08", "300.1.1.1/24",
       "1.1.1/24", "1.1.1.01/24", "1.1.1.1.1/24", "1.1.1.1./24", "203.0.113.7", "anywhere/8",
       "", "2001:db8::/32", "::/1", "1.1.1.1/24 --port=1"]  # fmt: skip


def test_the_role_refuses_ranges_that_the_dashboard_would_not_take() -> None:
    named = "Refuse a dashboard that nobody could use, or that would give keys away"
    [task] = [one for one in tasks("monitoring", "preflight.yml") if one.get("name") == named]
    check = task["ansible.builtin.assert"]
    ranges = GOOD + BAD
    conditions = " and ".join(f"({one})" for one in check["that"])
    # Each range as if it were the only one.
    names = {f"only_{number}": [one] for number, one in enumerate(ranges)}
    asked = [conditions.replace("monitoring_dashboard_source_ranges", name) for name in names]
    *found, text = values("monitoring", [*asked, "told"], told=check["fail_msg"], **names, **TLS)
    assert [one for one, taken in zip(ranges, found, strict=True) if taken] == GOOD
    assert "IPv4 alone" in text
    for one in GOOD:
        assert arguments(["--range", one, "--tls-file", "/tls.pem"]).ranges
    for one in BAD:
        # Bare addresses and everybody are the role's to refuse: it starts nothing with them.
        if one not in ("203.0.113.7", "203.0.113.0/0", "203.0.113.0/08"):
            with pytest.raises(SystemExit):
                arguments(["--range", one, "--tls-file", "/tls.pem"])
