# SPDX-License-Identifier: Apache-2.0
"""What the demo's inventory needs to know of this run, as files under .demo."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml
from jinja2 import Environment

from demo import paths

PROJECT = "demo-project"
ZONE = "us-central1-a"
INSTANCE = "llm-server"
OWNER = "demo"


@dataclass
class Settings:
    """Chosen once, kept until the demo is destroyed.

    Attributes:
        dashboard_port: of this machine, from which a tunnel leads to the dashboard.
        gateway: address that this machine has on the instances' network.
        packages: what `package_sources` found out about this machine's pip.
    """

    port: int
    tls_port: int
    proxy_port: int
    dashboard_port: int = 0
    gateway: str = ""
    packages: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Base URL of the emulator."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def dashboard(self) -> str:
        """Where the dashboard is while the tunnel is there."""
        return f"http://127.0.0.1:{self.dashboard_port}"


def load() -> Settings | None:
    """The settings of the demo that is there; None where there is none."""
    try:
        return Settings(**json.loads(paths.SETTINGS.read_text())["ports"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(settings: Settings) -> None:
    """Write what `load` and the demo's inventory read."""
    document = {
        "ports": asdict(settings),
        "endpoint": f"{settings.url}/compute/v1",
        "credentials_file": str(paths.EMULATOR_STATE / "credentials.json"),
        "proxy": f"http://127.0.0.1:{settings.proxy_port}",
        "ca_file": str(paths.EMULATOR_STATE / "ca.pem"),
        "inventory": str(paths.INVENTORY),
        "project": PROJECT,
        "zone": ZONE,
        "instance": INSTANCE,
        "source_range": f"{settings.gateway}/32",
        "packages": settings.packages,
    }
    paths.SETTINGS.write_text(json.dumps(document, indent=2) + "\n")
    paths.INVENTORY.parent.mkdir(exist_ok=True)
    paths.INVENTORY.write_text(yaml.safe_dump(_inventory(), sort_keys=False))


def image_packages() -> list[str]:
    """The packages of the role monitoring, which the instance's image brings along."""
    found = yaml.safe_load((paths.ROOT / "roles/monitoring/vars/main.yml").read_text())
    names: list[str] = [unit["name"] for unit in found["__monitoring_units"]]
    return [*names, *found["__monitoring_dashboard_packages"]]


def instance_dashboard_port() -> int:
    """Where the dashboard listens on the instance: the role's default, or what the demo sets."""
    defaults = yaml.safe_load((paths.ROOT / "roles/monitoring/defaults/main.yml").read_text())
    demo = yaml.safe_load((paths.ROOT / "inventories/demo/group_vars/all.yml").read_text())
    port = (defaults | demo)["monitoring_dashboard_port"]
    return int(Environment(autoescape=True).from_string(str(port)).render(demo))


def _inventory() -> dict[str, Any]:
    """Production's own inventory source, with the demo's project and key."""
    production = paths.ROOT / "inventories" / "gcp" / "gcp_compute.yml"
    document: dict[str, Any] = yaml.safe_load(production.read_text())
    document["projects"] = [PROJECT]
    document["auth_kind"] = "serviceaccount"
    document["service_account_file"] = str(paths.EMULATOR_STATE / "credentials.json")
    return document
