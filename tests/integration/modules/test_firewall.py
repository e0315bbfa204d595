# SPDX-License-Identifier: Apache-2.0
"""gce_firewall against the emulator: every change predicted, made once, and undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import modules_fixtures as m
from tests.support.module_processes import ModuleProcesses, module_processes

BASE: dict[str, Any] = {
    "source_ranges": ["203.0.113.7"],
    "target_tags": ["llm-server"],
    "allowed": [{"protocol": "tcp", "ports": ["8000"]}],
}


@pytest.fixture
def rule() -> str:
    return m.new_name("rule")


def transition(cloud: m.Cloud, **options: Any) -> dict[str, Any]:
    """Check, run, run again: the prediction holds and the second run has nothing to do."""
    predicted = cloud.ok("gce_firewall", check=True, **options)
    untouched = cloud.stored("firewalls")
    assert cloud.ok("gce_firewall", check=True, **options) == predicted
    assert cloud.stored("firewalls") == untouched
    made = cloud.ok("gce_firewall", **options)
    for part in ("changed", "changes", "diff"):
        assert made[part] == predicted[part], part
    again = cloud.ok("gce_firewall", **options)
    assert again["changed"] is False
    assert again["changes"] == []
    assert again["diff"]["before"] == again["diff"]["after"]
    return made


CHANGES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"source_ranges": ["198.51.100.0/24"]}, {"source_ranges": "live"}),
    ({"source_ranges": ["203.0.113.7", "2001:db8::/32"]}, {"source_ranges": "live"}),
    (
        {"source_ranges": [], "source_tags": ["edge"]},
        {"source_ranges": "live", "source_tags": "live"},
    ),
    ({"target_tags": []}, {"target_tags": "live"}),
    ({"target_tags": ["a", "b"]}, {"target_tags": "live"}),
    ({"allowed": [{"protocol": "tcp", "ports": ["8000-8010", "22"]}]}, {"allowed": "live"}),
    ({"allowed": [{"protocol": "icmp"}]}, {"allowed": "live"}),
    ({"priority": 900}, {"priority": "live"}),
    ({"description": "for the office"}, {"description": "live"}),
    ({"source_ranges": ["0.0.0.0/0"], "allow_world": True}, {"source_ranges": "live"}),
]


@pytest.mark.parametrize(("changed", "fields"), CHANGES)
def test_each_field_there_and_back(
    cloud: m.Cloud, rule: str, changed: dict[str, Any], fields: dict[str, str]
) -> None:
    created = transition(cloud, name=rule, **BASE)
    assert [(one["field"], one["how"]) for one in created["changes"]] == [("firewall", "create")]
    there = transition(cloud, name=rule, **{**BASE, **changed})
    assert {one["field"]: one["how"] for one in there["changes"]} == fields
    restored = {
        field: {"source_tags": [], "description": ""}.get(field)
        for field in changed
        if field not in BASE
    }
    back = transition(
        cloud, name=rule, **{**BASE, **{k: v for k, v in restored.items() if v is not None}}
    )
    assert {one["field"] for one in back["changes"]} == set(fields)
    assert back["firewall"]["id"] == created["firewall"]["id"]


def test_network_of_a_rule_needs_a_new_rule(cloud: m.Cloud, rule: str) -> None:
    with cloud.api() as api:
        network = {"name": "other", "autoCreateSubnetworks": True}
        api.post(f"{api.root}/global/networks", "make a network", network)
    first = transition(cloud, name=rule, **BASE)
    moved = transition(cloud, name=rule, network="other", **BASE)
    assert moved["changes"] == [
        {"field": "network", "from": "default", "to": "other", "how": "recreate"}
    ]
    assert moved["firewall"]["id"] != first["firewall"]["id"]


def test_absent_is_predicted_and_done_once(cloud: m.Cloud, rule: str) -> None:
    cloud.ok("gce_firewall", name=rule, **BASE)
    gone = transition(cloud, name=rule, state="absent")
    assert gone["changes"] == [{"field": "firewall", "from": rule, "to": None, "how": "delete"}]
    assert rule not in [one["name"] for one in cloud.stored("firewalls")]


def test_repairs_what_a_person_broke(cloud: m.Cloud, rule: str) -> None:
    cloud.ok("gce_firewall", name=rule, **BASE)
    with cloud.api() as api:
        broken = {"disabled": True, "sourceRanges": ["0.0.0.0/0"]}
        api.patch(f"{api.root}/global/firewalls/{rule}", "break the rule", broken)
    repaired = transition(cloud, name=rule, **BASE)
    assert {one["field"] for one in repaired["changes"]} == {"disabled", "source_ranges"}


def test_takes_over_a_deny_rule_of_that_name(cloud: m.Cloud, rule: str) -> None:
    with cloud.api() as api:
        deny = {
            "name": rule,
            "network": f"{api.root}/global/networks/default",
            "denied": [{"IPProtocol": "tcp"}],
            "sourceRanges": ["203.0.113.7/32"],
        }
        api.post(f"{api.root}/global/firewalls", "make a rule", deny)
    found = transition(cloud, name=rule, **BASE)
    assert {one["field"]: one["how"] for one in found["changes"]}["action"] == "recreate"


@pytest.mark.parametrize(
    "sources",
    [
        {"source_ranges": ["0.0.0.0/0"]},
        {"source_ranges": ["::/0", "10.0.0.0/8"]},
        {"source_ranges": ["0.0.0.0/1", "128.0.0.0/1"]},
        {"source_ranges": []},
        {"source_ranges": None},
    ],
)
def test_world_open_is_refused(cloud: m.Cloud, rule: str, sources: dict[str, Any]) -> None:
    for check in (True, False):
        failed = cloud.fails("gce_firewall", check=check, name=rule, **{**BASE, **sources})
        assert failed["reason"] == "worldOpen"
        assert "allow_world: true" in failed["msg"]
    assert rule not in [one["name"] for one in cloud.stored("firewalls")]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"source_ranges": ["203.0.113.300"]}, ["203.0.113.300", "203.0.113.7/32"]),
        ({"allowed": [{"protocol": "tcp", "ports": ["http"]}]}, ["'http'", "8000-8010"]),
        ({"allowed": [{"protocol": "tcp", "ports": ["90-80"]}]}, ["90-80", "80-90"]),
        ({"network": "nowhere"}, ["nowhere"]),
    ],
)
def test_wrong_input_says_what_would_be_right(
    cloud: m.Cloud, rule: str, wrong: dict[str, Any], words: list[str]
) -> None:
    failed = cloud.fails("gce_firewall", name=rule, **{**BASE, **wrong})
    for word in words:
        assert word in failed["msg"]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleProcesses]:
    with module_processes(tmp_path_factory.mktemp("modules")) as processes:
        yield processes


@pytest.mark.parametrize("other", [{}, {"priority": 900}], ids=["the same", "another"])
def test_two_at_once_make_one_rule(
    cloud: m.Cloud, modules: ModuleProcesses, rule: str, other: dict[str, Any]
) -> None:
    """Both have looked before either has made it."""
    slow = {"method": "POST", "path": "*/firewalls", "latency": 4}
    cloud.admin("PUT", "faults", {"rules": [slow]})
    # Forked: one that starts again might look when the other has made it already.
    runs = [
        modules.start("gce_firewall", {**cloud.options, "name": rule, **BASE, **more})
        for more in ({}, other)
    ]
    results = [run.result() or {} for run in runs]
    assert [one.get("msg") for one in results] == [None, None]
    assert [one["changed"] for one in results] == [True, True]
    [made] = [one for one in cloud.stored("firewalls") if one["name"] == rule]
    assert made["priority"] in (1000, other.get("priority", 1000))
    posts = [
        one
        for one in cloud.stored("operations")
        if one["operationType"] == "insert" and one["targetLink"].endswith(rule)
    ]
    assert len(posts) == 1
