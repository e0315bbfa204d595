# SPDX-License-Identifier: Apache-2.0
"""Tokens that die, accounts that act as others, and secrets that are shown nowhere."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.credentials import (
    Login,
    authorized_session,
)

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Emulator, Json, access_token

BORROWED = "deployer@some-project.iam.gserviceaccount.com"


@pytest.fixture
def cloud(emulator: Emulator) -> m.Cloud:
    emulator.admin("DELETE", "requests")
    return m.Cloud(emulator)


def rules(cloud: m.Cloud, *given: Json) -> None:
    cloud.admin("PUT", "faults", {"rules": list(given)})


def asked(cloud: m.Cloud, ending: str) -> list[Json]:
    """Logged requests whose path ends so."""
    found: list[Json] = cloud.admin("GET", "requests")["requests"]
    return [one for one in found if one["path"].endswith(ending)]


def test_a_token_that_dies_on_the_way_is_renewed_once(cloud: m.Cloud) -> None:
    name = m.new_name("llm")
    rules(cloud, {"path": "*/instances", "method": "POST", "count": 1, "revoke_tokens": True})
    cloud.ok("gce_instance", **m.machine(name))
    inserts = [one for one in asked(cloud, "/instances") if one["method"] == "POST"]
    assert [one["status"] for one in inserts] == [401, 200]
    assert len(asked(cloud, "/token")) == 2


def test_a_token_that_lives_shortly_is_renewed_in_time(cloud: m.Cloud) -> None:
    cloud.admin("PUT", "tokens", {"lifetime": 60})  # google-auth renews minutes ahead
    cloud.ok("gce_instance", **m.machine(m.new_name("llm")))
    found = cloud.admin("GET", "requests")["requests"]
    assert {one["status"] for one in found} <= {200, 404}


@pytest.mark.parametrize(
    "effect",
    [{"status": 503}, {"connection": "drop_before"}, {"connection": "drop_after"}],
    ids=lambda one: str(next(iter(one.values()))),
)
def test_the_token_endpoint_fails_twice(cloud: m.Cloud, effect: Json) -> None:
    rules(cloud, {"path": "/token", "count": 2, **effect})
    cloud.ok("gce_instance_info", zone=m.ZONE, name="x")


@pytest.mark.parametrize("path", ["*/instances", "*/wait", "*/instances/*", "/token"])
def test_an_answer_that_breaks_off_is_asked_for_again(cloud: m.Cloud, path: str) -> None:
    rules(cloud, {"path": path, "connection": "truncate", "count": 2})
    cloud.ok("gce_instance", **m.machine(m.new_name("llm")))
    (rule,) = cloud.admin("GET", "faults")["rules"]
    assert rule["fired"] == 2
    assert len(cloud.stored("instances")) == len(cloud.stored("disks")) == 1


@pytest.mark.parametrize("effect", [{"status": 502}, {"connection": "drop_after"}])
def test_the_wait_for_an_operation_fails(cloud: m.Cloud, effect: Json) -> None:
    rules(cloud, {"path": "*/operations/*", "count": 3, **effect})
    cloud.ok("gce_instance", **m.machine(m.new_name("llm")))


def test_an_answer_that_never_comes_ends_at_the_timeout(cloud: m.Cloud) -> None:
    rules(cloud, {"path": "*/instances/*", "hold": "before"})
    failed = cloud.fails("gce_instance_info", zone=m.ZONE, name="x", timeout=5)
    assert "could not be reached" in failed["msg"]


def test_a_failed_operation_says_googles_reason_and_the_remedy(cloud: m.Cloud) -> None:
    error = {"code": "IP_SPACE_EXHAUSTED", "message": "IP space of 'default' is exhausted."}
    rules(cloud, {"operation": "insert", "operation_error": error, "count": 1})
    failed = cloud.fails("gce_instance", **m.machine(m.new_name("llm")))
    assert failed["reason"] == "IP_SPACE_EXHAUSTED"
    assert "IP space of 'default' is exhausted" in failed["msg"]
    assert "release one that is not used" in failed["remedy"]


def test_another_account_is_impersonated(cloud: m.Cloud) -> None:
    name = m.new_name("rule")
    options: Json = {
        "name": name,
        "source_ranges": ["203.0.113.7"],
        "allowed": [{"protocol": "tcp", "ports": ["8000"]}],
        "impersonate_service_account": BORROWED,
    }
    failed = cloud.fails("gce_firewall", **options)
    assert failed["reason"] == "impersonation"
    assert BORROWED in failed["msg"]
    assert "roles/iam.serviceAccountTokenCreator" in failed["remedy"]
    cloud.admin("PUT", f"service-accounts/{BORROWED}")
    cloud.ok("gce_firewall", **options)
    (made,) = [one for one in cloud.stored("operations") if one["operationType"] == "insert"]
    assert made["user"] == BORROWED
    cloud.admin("DELETE", f"service-accounts/{BORROWED}")


@pytest.mark.parametrize("impersonate", ["", BORROWED])
def test_an_emulators_token_goes_nowhere_else(
    cloud: m.Cloud, monkeypatch: pytest.MonkeyPatch, impersonate: str
) -> None:
    """google-auth looks an account's regions up at an address of Google's, in a thread."""
    cloud.admin("PUT", f"service-accounts/{BORROWED}")
    looked_up: list[Any] = []
    resolve = socket.getaddrinfo
    # What a test before this one has left is none of this one's.
    others = set(threading.enumerate()) - {threading.current_thread()}

    def record(host: Any, *args: Any, **more: Any) -> Any:
        if threading.current_thread() in others:
            return resolve(host, *args, **more)
        looked_up.append(host)
        if host != "127.0.0.1":
            raise OSError(f"{host} is not to be asked")
        return resolve(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", record)
    endpoint = cloud.options["endpoint"]
    before = set(threading.enumerate())
    session = authorized_session(
        Login(cloud.options["service_account_file"], impersonate=impersonate, endpoint=endpoint),
        time.monotonic() + 120,
    )
    with session:
        assert session.get(f"{endpoint}/projects/{cloud.emulator.project}").ok
        for thread in set(threading.enumerate()) - before:
            thread.join(120)
    assert set(looked_up) == {"127.0.0.1"}
    cloud.admin("DELETE", f"service-accounts/{BORROWED}")


@pytest.mark.parametrize("own", ["service_account_file", "access_token"])
def test_impersonation_by_the_environment_and_googles_own_names(cloud: m.Cloud, own: str) -> None:
    """As in production: through the proxy, as iamcredentials and compute .googleapis.com."""
    cloud.admin("PUT", f"service-accounts/{BORROWED}")
    arguments: dict[str, Any] = {"project": cloud.emulator.project, "zone": m.ZONE, "name": "x"}
    environment = cloud.emulator.environment() | m.module_environment()
    environment |= {
        name: value
        for name, value in cloud.emulator.environment().items()
        if name.endswith(("PROXY", "BUNDLE", "FILE"))
    } | {"GCE_VLLM_IMPERSONATE_SERVICE_ACCOUNT": BORROWED}  # fmt: skip
    if own == "access_token":
        environment["GCE_VLLM_ACCESS_TOKEN"] = access_token(cloud.emulator)
    else:
        arguments[own] = str(cloud.emulator.credentials_file)
    cloud.admin("DELETE", "requests")
    run = subprocess.run(
        [sys.executable, "-m", f"{m.MODULES}.gce_instance_info",
         json.dumps({"ANSIBLE_MODULE_ARGS": arguments})],
        env=environment, capture_output=True, text=True, timeout=300, check=False, cwd=m.ROOT,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(run.stdout)["instance"] is None
    assert len(asked(cloud, f"{BORROWED}:generateAccessToken")) == 1
    cloud.admin("DELETE", f"service-accounts/{BORROWED}")


def test_nothing_secret_in_results_or_logs(tmp_path: Path) -> None:
    """Keys and tokens, whole or their telling part, in what modules say and the emulator logs."""
    with (tmp_path / "log").open("w") as log:
        emulator = Emulator(tmp_path / "state", options=("--log-level", "debug"), log=log)
        emulator.start()
        try:
            token = access_token(emulator)
            emulator.admin("PUT", f"service-accounts/{BORROWED}")
            cloud, machine = m.Cloud(emulator), m.machine("llm")
            said = [
                cloud.run("gce_instance", check, **machine, **more)
                for check in (True, False)
                for more in (
                    {},
                    {"access_token": token},
                    {"access_token": f"{token}-not"},
                    {"impersonate_service_account": BORROWED},
                    {"impersonate_service_account": "not-lent@x.iam.gserviceaccount.com"},
                )
            ]
            emulator.admin("PUT", "faults", {"rules": [{"status": 500}]})
            said.append(cloud.run("gce_instance", **machine, timeout=1))
            said.append(cloud.run("gce_instance", **machine, timeout=1, access_token=token))
            text = json.dumps(said) + json.dumps(emulator.admin("GET", "requests"))
        finally:
            emulator.stop()
    key = json.loads(emulator.credentials_file.read_text())["private_key"]
    text += (tmp_path / "log").read_text()
    assert {one.get("failed", False) for one in said} == {True, False}
    for secret in (token, "ya29.", "Bearer", "PRIVATE KEY", key.splitlines()[1]):
        assert secret not in text
