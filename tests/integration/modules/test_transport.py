# SPDX-License-Identifier: Apache-2.0
"""What the modules do when credentials, network or Google fail; and how little they ask."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.quota import cloud_quotas

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import access_token
from tests.support.faulty_proxy import Fault, faulty_proxy

RULE: dict[str, Any] = {
    "source_ranges": ["203.0.113.7"],
    "allowed": [{"protocol": "tcp", "ports": ["8000"]}],
}


@pytest.mark.parametrize("fault", [429, 500, 502, 503, 504, 403, "drop", "lose"])
def test_one_failure_of_each_kind_is_survived_and_nothing_is_made_twice(
    cloud: m.Cloud, fault: Fault
) -> None:
    name = m.new_name("rule")
    once = iter([fault])

    def first_change(_number: int, verb: str, path: str) -> Fault:
        return next(once, None) if verb == "POST" and path.endswith("/firewalls") else None

    with faulty_proxy(cloud.emulator.url, first_change) as proxy:
        endpoint = f"{proxy.address}/compute/v1"
        made = cloud.ok("gce_firewall", name=name, endpoint=endpoint, **RULE)
        assert made["changed"] is True
        copies = proxy.mutating()
    assert [one.fault for one in copies] == [fault, None]
    assert copies[0].request_id == copies[1].request_id != ""
    inserts = [one for one in cloud.stored("operations") if one["operationType"] == "insert"]
    assert len([one for one in inserts if one["targetLink"].endswith(f"/{name}")]) == 1
    assert cloud.ok("gce_firewall", name=name, **RULE)["changed"] is False


def test_patience_ends_at_the_timeout_with_googles_word(cloud: m.Cloud) -> None:
    with faulty_proxy(cloud.emulator.url, lambda *_: 503) as proxy:
        begin = time.monotonic()
        failed = cloud.fails(
            "gce_firewall",
            name="x",
            state="absent",
            endpoint=f"{proxy.address}/compute/v1",
            timeout=8,
        )
        took = time.monotonic() - begin
        assert len(proxy.seen) >= 3
    assert took < 120
    assert failed["http_status"] == 503
    assert "status.cloud.google.com" in failed["msg"]


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("gce_quota_info", {"region": m.REGION, "needs": {"GPUS_PER_GPU_FAMILY/NVIDIA_H100": 1}}),
        ("gce_status_info", {"zone": m.ZONE, "name": "x", "price_source": "catalog"}),
    ],
)
def test_one_token_for_all_apis_that_a_run_asks(
    cloud: m.Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, options: m.Json
) -> None:
    monkeypatch.setenv("GCE_VLLM_CACHE_DIR", str(tmp_path))
    asked: list[str] = []
    send = requests.Session.send

    def noted(session: Any, request: Any, **rest: Any) -> Any:
        asked.append(request.path_url.split("?")[0])
        return send(session, request, **rest)

    monkeypatch.setattr(requests.Session, "send", noted)
    cloud.ok(module, **options)
    assert len({path.split("/projects/")[0].split("/services/")[0] for path in asked}) == 3, asked
    assert len([path for path in asked if path.endswith("/token")]) == 1


def test_another_api_gives_up_at_its_own_deadline(
    cloud: m.Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_quotas, "LONGEST_S", 2.0)
    down = {"path": "*/quotaInfos/*", "status": 503}
    cloud.admin("PUT", "faults", {"rules": [down]})
    begin = time.monotonic()
    needs = {"GPUS_PER_GPU_FAMILY/NVIDIA_H100": 1}
    found = cloud.ok("gce_quota_info", region=m.REGION, needs=needs)
    assert time.monotonic() - begin < 60
    assert "Cloud Quotas could not be read" in str(found["warnings"])


def test_no_change_asks_twice_and_changes_nothing(cloud: m.Cloud) -> None:
    name = m.new_name("llm")
    cloud.ok("gce_instance", **m.machine(name))
    with faulty_proxy(cloud.emulator.url, lambda *_: None) as proxy:
        endpoint = f"{proxy.address}/compute/v1"
        again = cloud.ok("gce_instance", endpoint=endpoint, **m.machine(name))
        assert again["changed"] is False
        # The instance, whose metadata records its boot disk, and the image family.
        assert [one.verb for one in proxy.seen] == ["GET", "GET"]


@pytest.mark.parametrize("check", [True, False])
def test_check_mode_sends_nothing_that_changes(cloud: m.Cloud, check: bool) -> None:
    name = m.new_name("llm")
    with faulty_proxy(cloud.emulator.url, lambda *_: None) as proxy:
        options = {"endpoint": f"{proxy.address}/compute/v1", "check": check}
        cloud.ok("gce_instance", **options, **m.machine(name))
        assert bool(proxy.mutating()) is not check


def test_nothing_listens_at_the_endpoint(cloud: m.Cloud) -> None:
    port = m.free_port()
    begin = time.monotonic()
    failed = cloud.fails(
        "gce_instance_info", zone=m.ZONE, name="x", endpoint=f"http://127.0.0.1:{port}/compute/v1"
    )
    assert time.monotonic() - begin < 60
    assert f"nothing answers at http://127.0.0.1:{port}" in failed["msg"]
    assert "GCE_VLLM_ENDPOINT" in failed["msg"]


def test_endpoint_that_is_no_address(cloud: m.Cloud) -> None:
    failed = cloud.fails("gce_instance_info", zone=m.ZONE, name="x", endpoint="localhost:8080")
    assert "localhost:8080" in failed["msg"]
    assert "https://compute.googleapis.com/compute/v1" in failed["msg"]


def without_credentials(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """As on a machine that never saw Google Cloud."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(home / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def test_no_credentials_names_the_three_ways(
    cloud: m.Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_credentials(monkeypatch, tmp_path)
    failed = cloud.fails("gce_instance_info", zone=m.ZONE, name="x", service_account_file="")
    assert failed["reason"] == "noCredentials"
    for way in ("gcloud auth application-default login", "service_account_file", "access_token"):
        assert way in failed["msg"]


def test_application_default_credentials_are_used(
    cloud: m.Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_credentials(monkeypatch, tmp_path)
    key = str(cloud.emulator.credentials_file)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key)
    cloud.ok("gce_instance_info", zone=m.ZONE, name="x", service_account_file="")


def test_access_token_is_used_and_never_shown(cloud: m.Cloud) -> None:
    token = access_token(cloud.emulator)
    options = {"zone": m.ZONE, "name": "x", "service_account_file": None, "access_token": token}
    found = cloud.ok("gce_instance_info", **options)
    assert token not in json.dumps(found)
    failed = cloud.fails("gce_instance_info", **{**options, "access_token": "stale-token"})
    assert failed["reason"] == "unauthorized"
    assert "stale-token" not in json.dumps(failed)
    assert "the access token was refused" in failed["msg"]
    assert "gcloud auth print-access-token" in failed["msg"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read"),
        ("{}", "is not a service account"),
        ("oh no", "is not a service account"),
    ],
)
def test_key_file_that_is_none(
    cloud: m.Cloud, tmp_path: Path, content: str | None, words: str
) -> None:
    key = tmp_path / "key.json"
    if content is not None:
        key.write_text(content)
    failed = cloud.fails("gce_instance_info", zone=m.ZONE, name="x", service_account_file=str(key))
    assert str(key) in failed["msg"]
    assert words in failed["msg"]


def test_refused_key_says_so_and_hides_it(cloud: m.Cloud, tmp_path: Path) -> None:
    key = json.loads(cloud.emulator.credentials_file.read_text())
    key["client_email"] = "nobody@demo-project.iam.gserviceaccount.com"
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    failed = cloud.fails("gce_instance_info", zone=m.ZONE, name="x", service_account_file=str(path))
    assert failed["reason"] == "unauthorized"
    assert "PRIVATE KEY" not in json.dumps(failed)


@pytest.mark.parametrize(
    "module",
    [
        ("gce_instance", m.machine("x")),
        ("gce_firewall", {"name": "x", **RULE}),
        ("gce_machine_type_info", {"zone": m.ZONE, "machine_type": "g2-standard-8"}),
        ("gce_quota_info", {"region": m.REGION}),
        ("gce_guest_attributes_info", {"zone": m.ZONE, "name": "x"}),
    ],
    ids=lambda one: str(one[0]),
)
def test_unknown_and_empty_project(cloud: m.Cloud, module: tuple[str, dict[str, Any]]) -> None:
    name, options = module
    failed = cloud.fails(name, project="no-such-project-1", **options)
    assert "no-such-project-1" in failed["msg"]
    assert "gcloud projects list" in failed["msg"]
    empty = cloud.fails(name, project="", **options)
    assert "project id is empty" in empty["msg"]
