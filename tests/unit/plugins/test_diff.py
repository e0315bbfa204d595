# SPDX-License-Identifier: Apache-2.0
"""Current and desired state to changes: a table, and sweeps over many random states."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils import diff
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import change_table

HOW = change_table.how


@pytest.mark.parametrize(
    ("field", "before", "after", "expected"),
    [
        ("labels.owner", None, "me", "live"),
        ("metadata.ssh-keys", "a", None, "live"),
        ("tags.llm-server", None, True, "live"),
        ("external_ip", True, False, "live"),
        ("deletion_protection", False, True, "live"),
        ("boot_disk.size_gb", 50, 100, "live"),
        ("boot_disk.type", "pd-ssd", "pd-balanced", "recreate"),
        ("boot_disk.image", "p/a", "p/b", "recreate"),
        ("boot_disk.image_family", "p/a", "p/b", "recreate"),
        ("network", "default", "other", "recreate"),
        ("subnetwork", "default", "other", "recreate"),
        ("scheduling.provisioning_model", "STANDARD", "SPOT", "recreate"),
        ("scheduling.automatic_restart", True, False, "stop"),
        ("shielded.secure_boot", False, True, "stop"),
        ("service_account.email", None, "a@b", "stop"),
        ("accelerators", [], [{"type": "nvidia-tesla-t4", "count": 1}], "stop"),
        ("machine_type", "g2-standard-4", "g2-standard-8", "stop"),
        ("machine_type", "n1-standard-4", "n1-highmem-4", "stop"),
        ("machine_type", "n1-standard-4", "e2-standard-4", "stop"),
        ("machine_type", "n1-standard-4", "g2-standard-4", "recreate"),
        ("machine_type", "a2-highgpu-1g", "g2-standard-4", "recreate"),
        ("machine_type", "a3-highgpu-8g", "n1-standard-4", "recreate"),
    ],
)
def test_what_a_change_takes(field: str, before: Any, after: Any, expected: str) -> None:
    assert HOW(field, before, after) == expected


FIELDS = [*(f"labels.{c}" for c in "abcdef"), "external_ip", "machine_type", "boot_disk.size_gb"]


def random_flat(source: random.Random, with_none: bool) -> dict[str, Any]:
    values: list[Any] = [10, 20, 30]
    texts: list[Any] = ["x", "y"] + ([None] if with_none else [])
    return {
        field: source.choice(values if field.endswith("size_gb") else texts)
        for field in FIELDS
        if source.random() < 0.6
    }


@pytest.mark.parametrize("seed", range(200))
def test_changes_lead_from_current_to_desired_and_no_further(seed: int) -> None:
    source = random.Random(seed)  # noqa: S311 - the same every time
    current, desired = random_flat(source, False), random_flat(source, True)
    found = diff.changes(current, desired, HOW)
    after = diff.merged(current, desired)
    # Made true, there is nothing left to change.
    assert diff.changes(after, desired, HOW) == []
    # Only named fields change, each from what it was.
    assert {one.field for one in found} <= set(desired)
    assert all(one.before == current.get(one.field) for one in found)
    # What is not named survives.
    assert {k: v for k, v in current.items() if k not in desired}.items() <= after.items()
    # Applying the changes one by one is the same as merging.
    stepwise = dict(current)
    for one in found:
        stepwise[one.field] = one.after
    assert {k: v for k, v in stepwise.items() if v is not None} == after
    # The diff shows exactly the changed fields as different.
    shown = diff.before_after(current, after, desired)
    different = {f for f in desired if shown["before"].get(f) != shown["after"].get(f)}
    assert different == {one.field for one in found}


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("my-token", True),
        ("API_KEY", True),
        ("apikeys", True),
        ("db-password", True),
        ("client-secret", True),
        ("private-thing", True),
        ("credentials", True),
        ("ssh-keys", False),
        ("sshKeys", False),
        ("block-project-ssh-keys", False),
        ("enable-guest-attributes", False),
        ("gce-vllm-image-family", False),
        ("startup-script", True),
        ("windows-startup-script-ps1", True),
        ("user-data", True),
        ("description", False),
        ("subscription", False),
    ],
)
def test_which_metadata_is_secret(key: str, secret: bool) -> None:
    assert diff.is_secret(key) is secret


def test_secret_values_show_that_they_change_but_not_what_they_are() -> None:
    current = {"metadata.hf-token": "old-value", "metadata.same-token": "kept", "metadata.x": "1"}
    after = {**current, "metadata.hf-token": "new-value", "metadata.new-token": "n"}
    shown = diff.before_after(current, after, after)
    assert shown["before"]["metadata.hf-token"] == "(hidden)"
    assert shown["after"]["metadata.hf-token"] == "(hidden, new value)"
    assert shown["before"]["metadata.same-token"] == shown["after"]["metadata.same-token"]
    assert "metadata.new-token" not in shown["before"]
    assert shown["after"]["metadata.x"] == "1"
    change = diff.Change("metadata.hf-token", "old-value", None, "live").as_dict()
    assert change == {"field": "metadata.hf-token", "from": "(hidden)", "to": None, "how": "live"}


def test_long_values_are_shortened_and_still_differ() -> None:
    old, new = "a" * 300, "a" * 299 + "b"
    before, after = diff.shown("metadata.ssh-keys", old, new)
    assert before != after
    assert len(before) < 60
    assert diff.shown("metadata.ssh-keys", "a" * 100, None) == ("a" * 100, None)
    # Labels are never shortened: they are short and public.
    assert diff.shown("labels.x", old, new) == (old, new)
