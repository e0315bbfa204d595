# SPDX-License-Identifier: Apache-2.0
"""Which resource policies an instance may have."""

from __future__ import annotations

from emulator.errors import invalid
from emulator.world.references import parse, region_of
from emulator.world.world import World

FIELD = "resource.resourcePolicies"


def links(world: World, project: str, zone: str, names: list[str]) -> list[str]:
    """selfLinks of policies of the zone's region; 400 where one is not there."""
    scope = f"regions/{region_of(zone)}"
    found = []
    for text in names:
        ref = parse(text, field=FIELD, project=project, scope=scope, collection="resourcePolicies")
        if ref.scope != scope:
            raise invalid(FIELD, text, f"It must be in {scope}.")
        if world.find(ref) is None:
            raise invalid(FIELD, text, "The referenced resource policy cannot be found.")
        found.append(ref.link)
    return found


def refuse_second(policies: list[str]) -> None:
    """An instance has one schedule at most."""
    if len(policies) > 1:
        raise invalid(FIELD, f"{len(policies)} policies", "At most one instance schedule.")
