# SPDX-License-Identifier: Apache-2.0
"""What the demo takes from elsewhere, and what it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo import paths, settings
from tests.support.role_values import values


def test_the_image_has_what_the_role_would_install() -> None:
    wanted = {"prometheus", "prometheus-alertmanager", "prometheus-node-exporter"}
    assert wanted | {"python3-starlette", "python3-pygal"} <= set(settings.image_packages())


def test_settings_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SETTINGS", tmp_path / "settings.json")
    monkeypatch.setattr(paths, "INVENTORY", tmp_path / "inventory" / "demo.gcp_compute.yml")
    assert settings.load() is None
    kept = settings.Settings(1, 2, 3, dashboard_port=4, gateway="10.0.0.1", packages={"a": []})
    settings.save(kept)
    assert settings.load() == kept
    # One of an earlier version has no port for the dashboard yet.
    assert settings.Settings(1, 2, 3).dashboard_port == 0


def test_the_tunnel_leads_where_the_role_has_the_dashboard() -> None:
    [port] = values("monitoring", ["monitoring_dashboard_port"])
    assert settings.instance_dashboard_port() == int(port)
