# SPDX-License-Identifier: Apache-2.0
"""Looks at LoRA adapters before the model is loaded; vLLM does so only afterwards."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path


def adapter_problems(args: Namespace) -> Iterator[str]:
    """What is wrong with the adapters that vLLM's arguments name, one message each.

    A path that is not absolute may be a name on a hub: that one is left to vLLM.
    """
    modules = getattr(args, "lora_modules", None) or []
    if modules and not getattr(args, "enable_lora", False):
        yield "lora_modules: adapters are off; add enable_lora: true"
    for module in modules:
        folder = Path(module.path)
        if not folder.is_absolute():
            continue
        problem = _problem(folder, int(getattr(args, "max_lora_rank", None) or 0))
        if problem:
            yield f"lora_modules: {module.name}: {problem}"


def _problem(folder: Path, most: int) -> str | None:
    if not folder.is_dir():
        return f"the folder {folder} does not exist; name one that holds an adapter"
    file = folder / "adapter_config.json"
    if not file.is_file():
        return f"the folder {folder} has no adapter_config.json; name one that holds an adapter"
    try:
        rank = json.loads(file.read_text(encoding="utf-8")).get("r")
    except (OSError, ValueError, AttributeError):
        return f"{file} cannot be read as a mapping in JSON"
    if isinstance(rank, int) and 0 < most < rank:
        return f"its rank is {rank}, and max_lora_rank is {most}; raise that to {rank} or more"
    return None
