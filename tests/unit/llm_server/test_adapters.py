# SPDX-License-Identifier: Apache-2.0
"""LoRA adapters that could not be loaded are named before anything is."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from llm_server.vllm_api.adapters import adapter_problems


def problems(path: Path | str, **more: Any) -> list[str]:
    module = SimpleNamespace(name="mine", path=str(path))
    args = {"enable_lora": True, "max_lora_rank": 16, "lora_modules": [module]} | more
    return list(adapter_problems(Namespace(**args)))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 16}))
    return tmp_path


def test_one_that_fits(adapter: Path) -> None:
    assert problems(adapter) == []


def test_none_at_all() -> None:
    assert list(adapter_problems(Namespace())) == []
    assert list(adapter_problems(Namespace(lora_modules=None))) == []


def test_a_name_on_a_hub_is_left_to_vllm() -> None:
    assert problems("someone/adapter") == []


def test_no_folder(tmp_path: Path) -> None:
    (line,) = problems(tmp_path / "gone")
    assert line.startswith(f"lora_modules: mine: the folder {tmp_path}/gone does not exist")


def test_no_configuration(tmp_path: Path) -> None:
    (line,) = problems(tmp_path)
    assert "has no adapter_config.json" in line


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_configuration_that_is_none(adapter: Path, text: str) -> None:
    (adapter / "adapter_config.json").write_bytes(text.encode("latin-1"))
    (line,) = problems(adapter)
    assert "cannot be read as a mapping in JSON" in line


def test_a_rank_that_is_too_high(adapter: Path) -> None:
    (line,) = problems(adapter, max_lora_rank=8)
    assert "its rank is 16, and max_lora_rank is 8; raise that to 16 or more" in line


def test_adapters_without_their_switch(adapter: Path) -> None:
    assert problems(adapter, enable_lora=False) == [
        "lora_modules: adapters are off; add enable_lora: true"
    ]
