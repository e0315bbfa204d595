# SPDX-License-Identifier: Apache-2.0
"""Requests against the discovery document, and the rules that it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emulator.errors import ApiError
from emulator.request import validation
from emulator.request.discovery import compute_v1
from emulator.rules import resources as rules

DOC = compute_v1()
Z = "projects/p/zones/us-central1-a"


@pytest.mark.parametrize(
    ("verb", "path", "method"),
    [
        ("GET", "projects/p", "projects.get"),
        ("GET", "projects/p/zones", "zones.list"),
        ("GET", f"{Z}/instances/i", "instances.get"),
        ("POST", f"{Z}/instances", "instances.insert"),
        ("POST", f"{Z}/instances/i/setLabels", "instances.setLabels"),
        ("DELETE", f"{Z}/instances/i", "instances.delete"),
        ("GET", "projects/p/global/images/family/f", "images.getFromFamily"),
        ("GET", "projects/p/global/images/i", "images.get"),
        ("GET", "projects/p/zones/-/imageFamilyViews/f", "imageFamilyViews.get"),
        ("GET", "projects/p/aggregated/instances", "instances.aggregatedList"),
        ("PATCH", "projects/p/global/firewalls/f", "firewalls.patch"),
        ("PUT", "projects/p/global/firewalls/f", "firewalls.update"),
        ("POST", f"{Z}/operations/o/wait", "zoneOperations.wait"),
    ],
)
def test_match(verb: str, path: str, method: str) -> None:
    matched = DOC.match(verb, path)
    assert matched is not None
    assert matched[0].id == f"compute.{method}"


@pytest.mark.parametrize(
    ("verb", "path"), [("PUT", "projects/p"), ("GET", "projects/p/nothing"), ("GET", "elsewhere")]
)
def test_no_match(verb: str, path: str) -> None:
    assert DOC.match(verb, path) is None


def _parameters(method: str, path: dict[str, str], *query: tuple[str, str]) -> dict[str, Any]:
    return validation.parameters(DOC, DOC.methods[f"compute.{method}"], path, list(query))


def test_parameters_are_typed() -> None:
    values = _parameters(
        "instances.aggregatedList",
        {"project": "p-1"},
        ("maxResults", "5"),
        ("includeAllScopes", "True"),
        ("returnPartialSuccess", "true"),
        ("alt", "json"),
    )
    assert values == {
        "project": "p-1",
        "maxResults": 5,
        "includeAllScopes": True,
        "returnPartialSuccess": True,
        "alt": "json",
    }


@pytest.mark.parametrize(
    ("query", "word"),
    [
        (("colour", "red"), "colour"),
        (("maxResults", "many"), "maxResults"),
        (("maxResults", "-1"), "maxResults"),
        (("returnPartialSuccess", "perhaps"), "returnPartialSuccess"),
        (("project", "other"), "project"),
    ],
)
def test_wrong_parameters(query: tuple[str, str], word: str) -> None:
    with pytest.raises(ApiError, match=word) as caught:
        _parameters("instances.list", {"project": "p-1", "zone": "z"}, query)
    assert caught.value.status == 400


def test_wrong_path_parameter() -> None:
    with pytest.raises(ApiError, match="Must be a match of regex"):
        _parameters("instances.get", {"project": "p-1", "zone": "z", "instance": "Not_A_Name"})


def test_missing_parameter() -> None:
    with pytest.raises(ApiError) as caught:
        _parameters("instances.setDiskAutoDelete", {"project": "p-1", "zone": "z", "instance": "i"})
    assert caught.value.reason == "required"


def _body(method: str, value: Any) -> Any:
    return validation.body(DOC, DOC.methods[f"compute.{method}"], value)


def test_body_without_nulls_and_read_only_fields() -> None:
    given = {"name": "vm", "description": None, "id": "12", "disks": [{"diskSizeGb": 50}]}
    assert _body("instances.insert", given) == {"name": "vm", "disks": [{"diskSizeGb": "50"}]}


@pytest.mark.parametrize(
    ("method", "body", "words"),
    [
        ("instances.insert", {"nme": "x"}, '"nme"'),
        ("instances.insert", {"disks": [{"sise": 1}]}, r"resource\.disks\[0\]"),
        ("instances.insert", {"name": "Capital"}, "resource.name"),
        ("instances.insert", {"name": 5}, "It must be a string"),
        ("instances.insert", {"canIpForward": "yes"}, "true or false"),
        ("instances.insert", {"disks": {}}, "It must be a list"),
        ("instances.insert", {"labels": []}, "It must be an object"),
        ("instances.insert", {"labels": {"a": 1}}, r"resource\.labels\.a"),
        ("instances.insert", {"disks": [{"diskSizeGb": "big"}]}, "whole number"),
        ("instances.insert", {"disks": [{"diskSizeGb": str(2**63)}]}, "It must be between"),
        ("instances.insert", {"scheduling": {"onHostMaintenance": "LIVE"}}, "MIGRATE, TERMINATE"),
        ("instances.setTags", {"fingerprint": "*"}, "base64"),
        ("instances.insert", [], "It must be an object"),
        ("firewalls.insert", {"priority": 1.5}, "whole number"),
        ("firewalls.insert", None, "resource"),
    ],
)
def test_wrong_body(method: str, body: Any, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        _body(method, body)
    assert caught.value.status == 400


@pytest.mark.parametrize("fingerprint", ["AAECAwQFBgc=", "-_-_-_-_-_8=", "+/+/+/+/+/8=", "AAE"])
def test_fingerprints_in_both_alphabets(fingerprint: str) -> None:
    assert _body("instances.setTags", {"fingerprint": fingerprint})["fingerprint"] == fingerprint


def _rule(**fields: Any) -> dict[str, Any]:
    return {"name": "r", "allowed": [{"IPProtocol": "tcp", "ports": ["80"]}]} | fields


@pytest.mark.parametrize(
    "rule",
    [
        _rule(),
        _rule(allowed=[{"IPProtocol": "tcp", "ports": ["1-65535"]}, {"IPProtocol": "icmp"}]),
        _rule(allowed=[{"IPProtocol": "all"}]),
        _rule(allowed=[{"IPProtocol": "47"}]),
        _rule(sourceRanges=["0.0.0.0/0", "2001:db8::/32"], targetTags=["a"]),
        _rule(direction="EGRESS", destinationRanges=["192.0.2.0/24"]),
        _rule(priority=0),
    ],
)
def test_firewall_rules_that_are_fine(rule: dict[str, Any]) -> None:
    rules.firewall(rule)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"allowed": [{"IPProtocol": "tcp"}]}, "resource.name"),
        ({"name": "r"}, "either allowed or denied"),
        (_rule(denied=[{"IPProtocol": "tcp"}]), "either allowed or denied"),
        (_rule(allowed=[{"ports": ["80"]}]), "IPProtocol"),
        (_rule(allowed=[{"IPProtocol": "http"}]), "http"),
        (_rule(allowed=[{"IPProtocol": "256"}]), "256"),
        (_rule(allowed=[{"IPProtocol": "icmp", "ports": ["80"]}]), "has no ports"),
        (_rule(allowed=[{"IPProtocol": "tcp", "ports": ["80-"]}]), "80-"),
        (_rule(allowed=[{"IPProtocol": "tcp", "ports": ["90-80"]}]), "90-80"),
        (_rule(allowed=[{"IPProtocol": "tcp", "ports": ["65536"]}]), "65536"),
        (_rule(priority=65536), "65536"),
        (_rule(sourceRanges=["192.0.2.1/24"]), "host bits"),
        (_rule(sourceRanges=["192.0.2.0/33"]), "192.0.2.0/33"),
        (_rule(sourceTags=["Web"]), "Web"),
        (_rule(direction="EGRESS", sourceRanges=["0.0.0.0/0"]), "EGRESS"),
        (_rule(targetTags=["a"], sourceServiceAccounts=["a@x"]), "combined"),
    ],
)
def test_firewall_rules_that_are_not(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError, match=words):
        rules.firewall(rule)


@pytest.mark.parametrize(
    ("check", "value", "fine"),
    [
        (rules.labels, {"app": "llm", "a-b_c1": ""}, True),
        (rules.labels, {"é": "ü"}, True),
        (rules.labels, {"App": "llm"}, False),
        (rules.labels, {"1a": "x"}, False),
        (rules.labels, {"a": "X"}, False),
        (rules.labels, {"a" * 64: "x"}, False),
        (rules.labels, {"a": "x" * 64}, False),
        (rules.labels, {f"k{i}": "" for i in range(65)}, False),
        (rules.tags, ["llm", "web-1"], True),
        (rules.tags, ["web_1"], False),
        (rules.tags, [f"t{i}" for i in range(65)], False),
        (rules.metadata, [{"key": "a", "value": "x"}, {"key": "b"}], True),
        (rules.metadata, [{"value": "x"}], False),
        (rules.metadata, [{"key": "a"}, {"key": "a"}], False),
        (rules.metadata, [{"key": "a", "value": "x" * (256 * 1024 + 1)}], False),
        (rules.metadata, [{"key": f"k{i}", "value": "x" * 200_000} for i in range(3)], False),
    ],
)
def test_small_rules(check: Callable[[Any], None], value: Any, fine: bool) -> None:
    if fine:
        check(value)
    else:
        with pytest.raises(ApiError):
            check(value)
