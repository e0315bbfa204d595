# SPDX-License-Identifier: Apache-2.0
"""Looks at a model's folder that somebody else filled; changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from . import file_choice
from . import manifest as weights_manifest
from .http import FetchError

LISTS = (weights_manifest.MANIFEST, "SHA256SUMS")
# How many files a message names.
_NAMED = 3


def look(folder: Path, ignore: list[str], allow_pickle: bool, full: bool) -> str:
    """Checksum of what makes the model: of its list of checksums, or of its files' names and sizes.

    Args:
        full: also read every file that the list names, and compare.

    Raises:
        FetchError: it is no model, lacks files, or differs from its list.
    """
    if not (folder / "config.json").is_file():
        raise FetchError(
            f"there is no model in {folder}: {folder}/config.json is not there. Copy the model's "
            "files to that folder on the host, or name a model of the hub (llm_model)."
        )
    names = {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}
    listed = next((folder / name for name in LISTS if name in names), None)
    if listed:
        text = listed.read_bytes()
        sums = file_choice.manifest(text, str(listed))
        wanted = file_choice.wanted(sums, ignore, allow_pickle, str(listed))
        _compare(folder, {name: sums[name] for name in wanted}, full, listed.name)
    else:
        wanted = file_choice.wanted(names, ignore, allow_pickle, str(folder))
        text = json.dumps([[name, (folder / name).stat().st_size] for name in wanted]).encode()
        text += (folder / "config.json").read_bytes()
    # One without any weights serves where vLLM makes them up (load_format: dummy).
    weights = any(name.endswith((".safetensors", *file_choice.PICKLED_ENDS)) for name in names)
    if weights and file_choice.INDEX in names:
        index = (folder / file_choice.INDEX).read_bytes()
        file_choice.check_index(index, names, str(folder))
    return hashlib.sha256(text).hexdigest()


def _compare(
    folder: Path, sums: Mapping[str, tuple[str, int | None]], full: bool, listed: str
) -> None:
    wrong = []
    for name, (digest, size) in sums.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif (size is not None and path.stat().st_size != size) or (
            full and weights_manifest.sha256(path) != digest
        ):
            wrong.append(f"{name} is changed")
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise FetchError(
            f"{folder} differs from its {listed}: {', '.join(wrong[:_NAMED])}{more}. Copy these "
            f"again, or write the list again if the change is intended."
        )
