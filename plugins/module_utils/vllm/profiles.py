# SPDX-License-Identifier: Apache-2.0
"""Tuning profiles: which engine arguments a named profile stands for on a GPU. Pure.

The table is `roles/llm_server/files/profiles.yml`: `classes` (of GPUs) and `profiles`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..hardware import gpus, machine_types

Table = Mapping[str, Any]
UNMEASURED = "starting point, not measured"


class ProfileError(ValueError):
    """There is no such profile, or none for that GPU; the text says which there are."""


def class_of(table: Table, gpu: str, accelerators: Sequence[Mapping[str, Any]] = ()) -> str | None:
    """The class of a GPU, by `cpu`, machine type, accelerator type or nvidia-smi's name."""
    bundled = machine_types.named_gpus(gpu, accelerators)
    kind = bundled[0] if bundled else gpu
    kind = gpus.ALIASES.get(kind.lower(), kind)
    for name, known in table["classes"].items():
        if kind in known["accelerators"] or (kind and re.search(known["name"], kind)):
            return str(name)
    return None


def arguments(
    table: Table, profile: str, gpu: str, accelerators: Sequence[Mapping[str, Any]] = ()
) -> dict[str, dict[str, Any]]:
    """Each argument of the profile with `value`, `reason` and, where it was, `measured`.

    Raises:
        ProfileError: no such profile, or none for that GPU.
    """
    if not profile:
        return {}
    profiles = table["profiles"]
    if profile not in profiles:
        raise ProfileError(
            f"there is no profile '{profile}'; there are {', '.join(profiles)}, or none ('')"
        )
    found = class_of(table, gpu, accelerators)
    if found is None:
        raise ProfileError(
            f"the profile '{profile}' has no arguments for the GPU '{gpu}'; it has some for "
            f"{', '.join(profiles[profile]['arguments'])}. Leave the profile empty, and set "
            "llm_server_vllm_args"
        )
    return dict(profiles[profile]["arguments"][found])


def merge(profile: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """The profile's values, overridden by what is given; null leaves an argument to vLLM."""
    own = {_plain(name): value for name, value in given.items()}
    kept = {name: one["value"] for name, one in profile.items() if name not in own}
    # Without a profile to undo, what null means is the server's to say.
    undone = {name for name, value in own.items() if value is None and name in profile}
    return kept | {name: value for name, value in given.items() if _plain(name) not in undone}


def lines(profile: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> list[str]:
    """For people: each argument that counts, why, and whether it was measured."""
    own = {_plain(name) for name in given}
    return [
        f"{name}: {one['value']} ({one.get('measured', UNMEASURED)}). {one['reason'].strip()}"
        for name, one in profile.items()
        if name not in own
    ]


def _plain(name: str) -> str:
    return str(name).lstrip("-").replace("-", "_")
