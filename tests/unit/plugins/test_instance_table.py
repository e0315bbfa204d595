# SPDX-License-Identifier: Apache-2.0
"""The table of fields, the options and their documentation speak of the same things."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import GceError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    argspec as instance_options,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance.change_table import (
    FIELDS,
    how,
    row,
    way,
)
from ansible_collections.llmops.gce_vllm.plugins.modules import gce_instance

# They say which instance, what for, and what is allowed; they are no fields of it.
NO_FIELDS = {
    *("zone", "placements", "name", "state", "allow_stop", "allow_recreate", "delete_disks"),
    *("report_newer_image", "state_dir", "absent_tags", "disks.*.state"),
}
# Options whose parts are not fields by themselves.
WHOLE = {"accelerators", "reservation_affinity"}
DOCS: dict[str, Any] = yaml.safe_load(gce_instance.DOCUMENTATION)


def leaves(spec: dict[str, Any], start: str = "") -> set[str]:
    found = set()
    for name, option in spec.items():
        inner = option.get("options", option.get("suboptions"))
        if start + name in NO_FIELDS:
            continue
        if inner and start + name not in WHOLE:
            star = "*." if option.get("type") == "list" else ""
            found |= leaves(inner, f"{start}{name}.{star}")
        else:
            found.add(start + name)
    return found


def expected() -> set[str]:
    fields = {field.removesuffix(".*") for field in FIELDS}
    return (fields - {"disks.*.attached"}) | {"disks.*.name", "boot_disk.image_project"}


def test_every_option_is_a_field() -> None:
    assert leaves(instance_options.SPEC) == expected()


def test_every_option_is_documented_alike() -> None:
    assert leaves(DOCS["options"]) == expected()


def compared(spec: dict[str, Any], docs: dict[str, Any], where: str = "") -> None:
    assert set(spec) == set(docs), where
    for name, option in spec.items():
        for part in ("type", "elements", "choices", "default", "required"):
            assert option.get(part) == docs[name].get(part), f"{where}{name}.{part}"
        if "options" in option:
            compared(option["options"], docs[name]["suboptions"], f"{where}{name}.")


def test_documentation_agrees_with_the_argument_spec() -> None:
    docs = dict(DOCS["options"])
    compared(instance_options.SPEC, docs)


@pytest.mark.parametrize("needed", ["stop", "recreate"])
def test_what_a_change_needs_is_documented(needed: str) -> None:
    text = next(one for one in DOCS["description"] if one.startswith(f"These need a {needed}"))
    for field, kind in FIELDS.items():
        if kind != needed:
            continue
        option = field.split(".")[0]
        told = {f"O({field})", f"O({option})"} | ({"further disk"} if option == "disks" else set())
        assert any(one in text for one in told), field


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("disks.weights.size_gb", "disks.*.size_gb"),
        ("labels.a.b", "labels.*"),
        ("metadata.ssh-keys", "metadata.*"),
        ("boot_disk.type", "boot_disk.type"),
    ],
)
def test_row(field: str, name: str) -> None:
    assert row(field) == name


ANY, NONE = ({"type": kind, "reservations": []} for kind in ("any", "none"))


@pytest.mark.parametrize(
    ("field", "before", "after", "expected"),
    [
        ("disks.d.attached", False, True, "live"),
        ("disks.d.type", None, "pd-ssd", "live"),
        ("disks.d.type", "pd-ssd", "pd-balanced", "fixed"),
        ("disks.d.size_gb", 10, 20, "live"),
        ("disks.d.size_gb", 20, 10, "fixed"),
        ("disks.d.mode", None, "READ_ONLY", "live"),
        ("disks.d.mode", "READ_WRITE", "READ_ONLY", "stop"),
        ("reservation_affinity", ANY, NONE, "stop"),
        ("reservation_affinity", NONE, ANY, "recreate"),
        ("scheduling.max_run_duration", None, 60, "stop"),
    ],
)
def test_ways_of_fields_with_ways_of_their_own(
    field: str, before: Any, after: Any, expected: str
) -> None:
    assert way(field, before, after) == expected


def test_what_is_fixed_is_refused() -> None:
    with pytest.raises(GceError, match="disk d can't shrink: size_gb is 20 and should be 10"):
        how("disks.d.size_gb", 20, 10)
