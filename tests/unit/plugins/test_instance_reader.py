# SPDX-License-Identifier: Apache-2.0
"""Which of an instance's disks are asked, and whose word counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance.reader import (
    InstanceReader,
)

DISK = "projects/p/zones/us-central1-a/disks/llm"
TYPE = "projects/p/zones/us-central1-a/diskTypes/pd-balanced"


class Project:
    """A client of a project whose only disk has 200 GB."""

    root, project = "projects/p", "p"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find(self, path: str, _what: str) -> dict[str, Any]:
        self.asked.append(path)
        link = f"https://compute.googleapis.com/compute/v1/{path}"
        return {"name": "llm", "selfLink": link, "sizeGb": "200", "type": TYPE}


def instance(size_gb: int) -> dict[str, Any]:
    boot = {"boot": True, "autoDelete": True, "source": DISK, "diskSizeGb": str(size_gb)}
    return {"name": "llm", "machineType": "zones/z/machineTypes/g2-standard-4", "disks": [boot]}


@pytest.mark.parametrize(
    ("shown", "desired", "asked"),
    [
        # Google says of the size that an instance shows no more than "the size of the disk": where
        # it would be changed, the disk itself is asked, which was grown already.
        (100, 200, [DISK]),
        (200, 200, []),
        # A disk never shrinks: what the instance shows is the least that it has.
        (200, 100, []),
    ],
)
def test_size_of_the_boot_disk(shown: int, desired: int, asked: list[str]) -> None:
    client = Project()
    reader = InstanceReader(client, SimpleNamespace(zone="us-central1-a", where="instance llm"))  # type: ignore[arg-type]
    found = reader.view(instance(shown), {"boot_disk.size_gb": desired})
    assert found["boot_disk.size_gb"] == 200
    assert client.asked == asked
