# SPDX-License-Identifier: Apache-2.0
"""Guest attributes as a test wrote them, over those that the machine itself publishes."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.errors import Json
from emulator.world.storage import Store


def write(store: Store, instance: Json, namespace: str, key: str, value: str | None) -> Json:
    """Note one for this instance; None takes it away. Returns all that were noted."""
    with store.transaction():
        written: Json = store.setting(_setting(instance), {})
        written.setdefault(namespace, {})[key] = value
        store.put_setting(_setting(instance), written)
    return written


def enabled(metadata: Mapping[str, str]) -> bool:
    """Whether an instance may publish any."""
    return metadata.get("enable-guest-attributes", "").upper() in {"TRUE", "1", "Y", "YES"}


def first_boot(store: Store, instance: Json, metadata: Mapping[str, str]) -> None:
    """Note whether host keys are published: cloud-init (cc_ssh.py, once an instance) and Google's
    guest agent do it when they make the keys, and only then.
    """
    store.put_setting(f"host-keys:{instance['id']}", enabled(metadata))


def merged(
    store: Store, instance: Json, published: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """What this instance is seen to publish."""
    found = {space: dict(values) for space, values in published.items()}
    if not store.setting(f"host-keys:{instance['id']}", True):
        found.pop("hostkeys", None)
    for space, values in store.setting(_setting(instance), {}).items():
        there = {**found.get(space, {}), **values}
        found[space] = {key: value for key, value in there.items() if value is not None}
    return found


def _setting(instance: Json) -> str:
    # By number, so that an instance that is recreated publishes its own.
    return f"guest-attributes:{instance['id']}"
