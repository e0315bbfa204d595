# SPDX-License-Identifier: Apache-2.0
"""The emulator fails as it is told to, and only then: rules, preemption, tokens, the log."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
import requests

from tests.support.emulator_fixture import (  # fmt: skip
    ZONE,
    Api,
    Emulator,
    Json,
    access_token,
    instance_body,
)

INSTANCES = f"zones/{ZONE}/instances"


@pytest.fixture(autouse=True)
def _empty_log(emulator: Emulator) -> None:
    emulator.admin("DELETE", "requests")


def rules(emulator: Emulator, *given: Json, seed: int = 0) -> None:
    emulator.admin("PUT", "faults", {"rules": list(given), "seed": seed})


def logged(emulator: Emulator) -> Json:
    return emulator.admin("GET", f"requests?project={emulator.project}")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_status_for_the_next_n(emulator: Emulator, api: Api, status: int) -> None:
    rules(emulator, {"status": status, "count": 2, "retry_after": 3, "path": "*/instances"})
    answers = [api.session.get(f"{api.base}/{INSTANCES}") for _ in range(3)]
    assert [one.status_code for one in answers] == [status, status, 200]
    assert answers[0].headers["Retry-After"] == "3"
    if status == 502:
        assert "html" in answers[0].headers["Content-Type"]
    else:
        assert answers[0].json()["error"]["code"] == status
    (rule,) = emulator.admin("GET", "faults")["rules"]
    assert (rule["matched"], rule["fired"]) == (3, 2)
    assert [one["status"] for one in logged(emulator)["requests"]] == [status, status, 200]


def test_dropped_before_and_after(emulator: Emulator, api: Api) -> None:
    for kind, made in (("drop_before", False), ("drop_after", True)):
        rules(emulator, {"method": "POST", "connection": kind, "count": 1})
        with pytest.raises(requests.ConnectionError, match=r"(?i)reset|aborted"):
            api.call("POST", INSTANCES, instance_body(kind.replace("_", "-")))
        status, _ = api.call("GET", f"{INSTANCES}/{kind.replace('_', '-')}")
        assert (status == 200) == made
    assert logged(emulator)["mutating"] == 2


def test_truncated_answer(emulator: Emulator, api: Api) -> None:
    rules(emulator, {"path": "*/instances", "connection": "truncate", "count": 1})
    with pytest.raises(requests.RequestException):
        api.call("GET", INSTANCES)
    assert api.get(INSTANCES)["kind"] == "compute#instanceList"


def test_latency_and_hold(emulator: Emulator, api: Api) -> None:
    rules(emulator, {"path": "*/instances", "latency": 0.2, "count": 1})
    since = time.monotonic()
    api.get(INSTANCES)
    assert time.monotonic() - since >= 0.2  # a lower bound, not a timing
    rules(emulator, {"path": "*/addresses", "hold": "after", "count": 1})
    with pytest.raises(requests.ReadTimeout):
        api.session.post(
            f"{api.base}/regions/us-central1/addresses", json={"name": "held"}, timeout=(60, 0.3)
        )
    # It may be carried out after that client has gone.
    until = time.monotonic() + 60
    while not logged(emulator)["held"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert api.get("regions/us-central1/addresses/held")["name"] == "held"
    assert [one["held"] for one in logged(emulator)["requests"]] == [False, True, False]


def test_a_failed_operation_leaves_everything_as_it_was(emulator: Emulator, api: Api) -> None:
    api.must("POST", INSTANCES, instance_body("stays"))
    before = api.get(f"{INSTANCES}/stays")
    error = {"code": "INTERNAL_ERROR", "message": "The host burnt down.", "http_status": 500}
    rules(
        emulator,
        {"operation": "stop", "target": "*/stays", "operation_error": error, "count": 1},
        {"operation": "insert", "zone": ZONE, "operation_error": error, "count": 1},
    )
    for verb, path, body in (
        ("POST", f"{INSTANCES}/stays/stop", None),
        ("POST", INSTANCES, instance_body("never")),
    ):
        failed = api.run(verb, path, body)
        assert failed["error"]["errors"] == [
            {"code": "INTERNAL_ERROR", "message": "The host burnt down."}
        ]
        assert failed["httpErrorStatusCode"] == 500
    assert api.get(f"{INSTANCES}/stays") == before
    api.error("GET", f"{INSTANCES}/never")
    api.error("GET", f"zones/{ZONE}/disks/never")
    api.must("POST", f"{INSTANCES}/stays/stop")


@pytest.mark.parametrize("action", ["STOP", "DELETE"])
def test_preemption(emulator: Emulator, api: Api, action: str) -> None:
    scheduling = {
        "provisioningModel": "SPOT", "instanceTerminationAction": action,
        "onHostMaintenance": "TERMINATE", "automaticRestart": False,
    }  # fmt: skip
    api.must("POST", INSTANCES, instance_body("spot", scheduling=scheduling))
    where = {"project": emulator.project, "zone": ZONE, "instance": "spot"}
    operation = api.wait(emulator.admin("POST", "preempt", where))
    assert operation["operationType"] == "compute.instances.preempted"
    assert operation["statusMessage"] == "Instance was preempted."
    assert "error" not in operation
    if action == "DELETE":
        api.error("GET", f"{INSTANCES}/spot")
        api.error("GET", f"zones/{ZONE}/disks/spot")
    else:
        assert api.get(f"{INSTANCES}/spot")["status"] == "TERMINATED"
        api.must("POST", f"{INSTANCES}/spot/start")


def test_only_running_spot_instances_are_preempted(emulator: Emulator, api: Api) -> None:
    api.must("POST", INSTANCES, instance_body("standard"))
    for name, said in (("standard", "Only Spot"), ("missing", "was not found")):
        body = {"project": emulator.project, "zone": ZONE, "instance": name}
        answer = requests.post(f"{emulator.url}/emulator/v1/preempt", json=body, timeout=120)
        assert answer.status_code in (400, 404)
        assert said in answer.json()["error"]["message"]


def test_tokens_die(emulator: Emulator, api: Api) -> None:
    emulator.admin("DELETE", "tokens")
    assert api.error("GET", INSTANCES)["code"] == 401
    url = f"{api.base}/{INSTANCES}"
    for lifetime in (0.2, 2, 20):  # a busy machine takes long to use it
        emulator.admin("PUT", "tokens", {"lifetime": lifetime})
        headers = {"Authorization": f"Bearer {access_token(emulator)}"}
        first = requests.get(url, headers=headers, timeout=120).status_code
        if first == 200:
            break
    assert first == 200
    time.sleep(lifetime + 0.05)
    assert requests.get(url, headers=headers, timeout=120).status_code == 401


def test_revoked_in_the_middle(emulator: Emulator, api: Api) -> None:
    rules(emulator, {"path": "*/instances", "skip": 1, "count": 1, "revoke_tokens": True})
    assert api.get(INSTANCES)
    assert api.error("GET", INSTANCES)["code"] == 401


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("faults", {"rules": {"status": 503}}, "must be a list"),
        ("faults", {"rules": [{"status": 503}, {"status": 1}]}, "rules\\[1\\].status"),
        ("faults", {"rules": [], "sed": 1}, "rules and seed"),
        ("tokens", {"lifetime": 0}, "more than 0"),
    ],
)
def test_bad_settings_are_refused(emulator: Emulator, path: str, body: Any, said: str) -> None:
    answer = requests.put(f"{emulator.url}/emulator/v1/{path}", json=body, timeout=120)
    assert answer.status_code == 400
    assert re.search(said, answer.json()["error"]["message"])
    assert emulator.admin("GET", "faults")["rules"] == []


def test_the_log_keeps_no_secrets(emulator: Emulator, api: Api) -> None:
    api.get(INSTANCES, filter="status=RUNNING")
    text = str(emulator.admin("GET", "requests"))
    assert api.session.headers["Authorization"].split()[1] not in text  # type: ignore[union-attr]
    assert INSTANCES in text
    emulator.admin("DELETE", "requests")
    assert emulator.admin("GET", "requests") == {
        "count": 0,
        "mutating": 0,
        "held": 0,
        "requests": [],
    }
