# SPDX-License-Identifier: Apache-2.0
"""Operations that nobody asked the API for."""

from __future__ import annotations

from collections.abc import Callable

from emulator.errors import Json
from emulator.world.references import Ref
from emulator.world.world import World


def begin(
    world: World,
    ref: Ref,
    instance: Json,
    kind: str,
    message: str,
    *,
    user: str,
    work: Callable[[], None],
) -> Json:
    """Begins one on an instance, and notes what Google says of it; call it in a transaction."""
    operation = world.operations.begin(
        kind,
        ref.path,
        project=ref.project,
        scope=ref.scope,
        user=user,
        work=work,
        target_id=instance["id"],
    )
    operation["statusMessage"] = message
    world.store.put(Ref(ref.project, ref.scope, "operations", operation["name"]), operation)
    return operation
