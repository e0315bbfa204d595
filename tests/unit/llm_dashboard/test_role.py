# SPDX-License-Identifier: Apache-2.0
"""The dashboard understands what the role starts it with, and the role asks for what it needs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from llm_dashboard.__main__ import arguments

from tests.support.role_values import ROOT, values

TLS = {
    "monitoring_dashboard_source_ranges": ["192.0.2.0/24", "2001:db8::/32"],
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
    assert [str(one) for one in found.ranges] == more.get("monitoring_dashboard_source_ranges", [])
    assert found.hour_price == (3.5 if more else None)
    assert found.tls_file == (Path("/etc/llm-server/tls.pem") if more else None)
    code = "\n".join(file.read_text() for file in (ROOT / "files/llm_dashboard").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:from|import) ([a-z0-9]+)", code, re.MULTILINE))
    assert {PACKAGES[name] for name in imported & set(PACKAGES)} == set(packages)
    # All else comes with Python.
    assert imported - set(PACKAGES) <= sys.stdlib_module_names
