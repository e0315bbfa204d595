# SPDX-License-Identifier: Apache-2.0
"""A network of another project (Shared VPC), with rights on one of its subnetworks only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Api, Emulator
from tests.support.site_fixture import NAME, Site


@pytest.fixture
def host(emulator: Emulator) -> str:
    """A host project with a network of custom mode and one subnetwork; it may not be read."""
    service, name = emulator.project, m.new_name("host")
    emulator.admin("PUT", f"projects/{name}")
    emulator.project = name
    try:
        api = Api(emulator)
        api.must("POST", "global/networks", {"name": "shared", "autoCreateSubnetworks": False})
        subnetwork = {
            "name": "gpus",
            "network": f"projects/{name}/global/networks/shared",
            "ipCidrRange": "10.20.0.0/20",
        }
        api.must("POST", f"regions/{m.REGION}/subnetworks", subnetwork)
        api.session.close()
    finally:
        emulator.project = service
    # What roles/compute.networkUser on a subnetwork lacks (terraform-provider-google #9520).
    network = f"projects/{name}/global/networks/shared"
    text = f"Required 'compute.networks.get' permission for '{network}'"
    error = {"http_status": 403, "reason": "forbidden", "messages": [text]}
    rule = {"method": "GET", "project": name, "error": error}
    emulator.admin("PUT", "faults", {"rules": [rule]})
    return name


def interface(emulator: Emulator) -> m.Json:
    """The one instance's first interface."""
    (made,) = emulator.admin("GET", "state")["projects"][emulator.project]["instances"]
    found: m.Json = made["networkInterfaces"][0]
    return found


def test_modules_with_rights_on_the_subnetwork_only(emulator: Emulator, host: str) -> None:
    cloud, name = m.Cloud(emulator), m.new_name("llm")
    there = {"network": f"projects/{host}/global/networks/shared", "subnetwork": "gpus"}
    place = {"zone": m.ZONE, "machine_type": "g2-standard-8"}
    planned = cloud.ok("gce_plan_info", places=[place], **there)
    assert f"compute.networks.get on {host}" in " ".join(map(str, planned["warnings"]))
    made = cloud.ok("gce_instance", **m.machine(name, **there))
    assert "can't be told" in " ".join(map(str, made["warnings"]))
    assert interface(emulator)["subnetwork"].endswith(
        f"projects/{host}/regions/{m.REGION}/subnetworks/gpus"
    )
    assert cloud.ok("gce_instance", **m.machine(name, **there))["changed"] is False


def test_roles_by_one_setting_each(emulator: Emulator, api: Api, host: str, tmp_path: Path) -> None:
    site = Site(emulator, api, tmp_path)
    site.variables |= {
        "gce_network_project": host,
        "gce_network_name": "shared",
        "gce_network_manage_rules": False,
        "gce_instance_subnetwork": "gpus",
        "gce_network_api_source_ranges": [],
    }
    site.make()
    assert interface(emulator)["network"].endswith(f"projects/{host}/global/networks/shared")
    projects = emulator.admin("GET", "state")["projects"]
    for project in (host, emulator.project):
        assert not [one for one in projects[project]["firewalls"] if one["name"].startswith(NAME)]
    said = site.ok("site", "--tags", "preflight")
    assert "no firewall rules: they are left to others" in said
    assert f"compute.networks.get on {host}" in said


def test_a_subnetwork_by_path_needs_no_network(
    emulator: Emulator, api: Api, host: str, tmp_path: Path
) -> None:
    site = Site(emulator, api, tmp_path)
    path = f"projects/{host}/regions/{m.REGION}/subnetworks/gpus"
    site.variables |= {"gce_instance_subnetwork": path, "gce_network_manage_rules": False}
    site.make()
    assert interface(emulator)["subnetwork"].endswith(path)
