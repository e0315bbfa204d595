# SPDX-License-Identifier: Apache-2.0
"""Names of zones, regions and resources: one way to read them, everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.filter.bad_zones import bad_zones
from ansible_collections.llmops.gce_vllm.plugins.filter.region import region
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import GceError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import names, naming

ROOT = Path(__file__).parents[3]
# A zone's last part cut off by hand; AI zones have more than a letter there.
_BY_HAND = re.compile(r"-\[a-z\]\+?\$")


@pytest.mark.parametrize(
    ("zone", "there"),
    [
        ("us-central1-a", "us-central1"),
        ("northamerica-northeast1-c", "northamerica-northeast1"),
        ("us-central1-ai1a", "us-central1"),
        ("us-south1-ai1b", "us-south1"),
        ("europe-west4-ai1a", "europe-west4"),
        ("us-central1-ai1", "us-central1"),
        ("", ""),
    ],
)
def test_region_of_a_zone(zone: str, there: str) -> None:
    assert region(zone) == naming.region_of(zone) == there
    assert bad_zones([zone]) == ([] if zone else [""])


@pytest.mark.parametrize(
    "zone", ["us-central1", "central-a", "us-central1-", "US-central1-a", "us-central1-a\n", 7]
)
def test_what_can_be_no_zone(zone: object) -> None:
    assert bad_zones([zone]) == [str(zone)]


def test_no_setting_cuts_a_region_by_hand() -> None:
    folders = ("roles", "inventories", "playbooks")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.yml")]
    assert len(files) > 100
    assert [str(file) for file in files if _BY_HAND.search(file.read_text())] == []


@pytest.mark.parametrize("name", ["LLM_Server", "1st", "llm-", "a" * 64, "a b", "ä"])
@pytest.mark.parametrize("option", ["name", "instance"])
def test_names_that_google_does_not_take(option: str, name: str) -> None:
    with pytest.raises(GceError, match=f"{option} is '{name}'.*not one that Google takes"):
        names.refuse_bad({option: name})


@pytest.mark.parametrize("name", ["llm-server", "a", "a" * 63, "", None])
def test_names_that_it_takes(name: str | None) -> None:
    names.refuse_bad({"name": name})
