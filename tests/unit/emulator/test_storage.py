# SPDX-License-Identifier: Apache-2.0
"""The store, fingerprints, partial answers, the proxy's guest list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import ApiError
from emulator.request.fields import select
from emulator.serve.proxy import allowed
from emulator.world import fingerprints
from emulator.world.references import Ref
from emulator.world.storage import Store

REF = Ref("p", "zones/z", "instances", "a")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state.sqlite")
    yield opened
    opened.close()


def test_resources_are_copies(store: Store) -> None:
    store.put(REF, {"tags": ["x"]})
    first = store.get(REF)
    assert first is not None
    first["tags"].append("y")
    assert store.get(REF) == {"tags": ["x"]}


def test_items_by_place(store: Store) -> None:
    for project, zone, name in (("p", "z", "b"), ("p", "z", "a"), ("p", "y", "c"), ("q", "z", "d")):
        store.put(Ref(project, f"zones/{zone}", "instances", name), {"name": name})
    assert [b["name"] for _, b in store.items("instances", "p", "zones/z")] == ["a", "b"]
    assert [b["name"] for _, b in store.items("instances", "p")] == ["c", "a", "b"]
    assert len(store.items("instances")) == 4
    assert store.items("disks") == []


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction():
        store.put(REF, {})
        with store.transaction():
            store.put_setting("k", 1)
        raise RuntimeError
    assert store.get(REF) is None
    assert store.setting("k") is None


def test_state_is_there_after_reopening(tmp_path: Path) -> None:
    first = Store(tmp_path / "s")
    first.put(REF, {"name": "a"})
    first.put_setting("quota:p:r:M", 3)
    first.close()
    second = Store(tmp_path / "s")
    assert second.get(REF) == {"name": "a"}
    assert second.settings("quota:p:r:") == {"M": 3}
    second.close()


def test_fingerprints() -> None:
    assert fingerprints.of({"a": 1, "b": 2}) == fingerprints.of({"b": 2, "a": 1})
    assert fingerprints.of({}) != fingerprints.of({"a": 1})
    assert fingerprints.same("-_-_-_-_-_8=", "+/+/+/+/+/8=")
    assert fingerprints.same("-_-_-_-_-_8", "-_-_-_-_-_8=")
    assert not fingerprints.same("", fingerprints.of({}))
    assert not fingerprints.same("x", fingerprints.of({}))


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("kind", {"kind": "k"}),
        ("items/name", {"items": [{"name": "a"}, {"name": "b"}]}),
        ("items(name,zone/id),kind", {"kind": "k", "items": [{"name": "a", "zone": {"id": 1}},
                                                             {"name": "b"}]}),
        ("*", {"kind": "k", "items": [{"name": "a", "zone": {"id": 1, "x": 2}}, {"name": "b"}]}),
        ("missing", {}),
    ],
)  # fmt: skip
def test_partial_answers(mask: str, expected: dict[str, Any]) -> None:
    whole = {"kind": "k", "items": [{"name": "a", "zone": {"id": 1, "x": 2}}, {"name": "b"}]}
    assert select(whole, mask) == expected


def test_a_mask_that_can_not_be_read() -> None:
    with pytest.raises(ApiError):
        select({}, "a)b")


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("compute.googleapis.com", 443, True),
        ("www.googleapis.com", 443, True),
        ("Compute.GoogleAPIs.com", 443, True),
        ("accounts.google.com", 443, True),
        ("compute.googleapis.com", 80, False),
        ("a.b.googleapis.com", 443, False),
        ("evil-googleapis.com", 443, False),
        ("compute.googleapis.com.example.org", 443, False),
        ("google.com", 443, False),
        ("example.org", 443, False),
        ("127.0.0.1", 443, False),
    ],
)
def test_whom_the_proxy_lets_in(host: str, port: int, expected: bool) -> None:
    assert allowed(host, port) is expected
