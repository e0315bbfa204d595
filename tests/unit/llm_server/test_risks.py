# SPDX-License-Identifier: Apache-2.0
"""Switches and options of vLLM that undo what the server promises: refused, or warned of."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from llm_server import risks
from llm_server.errors import ConfigError
from llm_server.settings import load_settings


def load(folder: Path, **arguments: object) -> None:
    path = folder / "settings.yaml"
    settings = {
        "model_path": "m",
        "served_model_name": "m",
        "api_key_required": False,
        "vllm_args": arguments,
    }
    path.write_text(yaml.safe_dump(settings))
    load_settings(path)


@pytest.mark.parametrize("value", ["1", "true", "True", "yes"])
@pytest.mark.parametrize("name", risks.REFUSED_SWITCHES)
def test_refused_switches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    load(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"{name}: .*llm_server_environment"):
        load(tmp_path)


@pytest.mark.parametrize("value", ["", "0", "false", "False", " 0 "])
@pytest.mark.parametrize("name", risks.REFUSED_SWITCHES)
def test_switches_that_are_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    load(tmp_path)


@pytest.mark.parametrize("name", risks.REFUSED_IF_ON)
def test_refused_options(tmp_path: Path, name: str) -> None:
    for spelt in (name, f"--{name}", name.replace("_", "-")):
        with pytest.raises(ConfigError, match="cannot be on"):
            load(tmp_path, **{spelt: True})
    load(tmp_path, **{name: False})


def test_warnings() -> None:
    on = [*risks.warnings(dict.fromkeys(risks.WARNED_IF_ON, True), {})]
    assert len(on) == len(risks.WARNED_IF_ON) and "the model's folder" in on[0]
    assert not [*risks.warnings(dict.fromkeys(risks.WARNED_IF_ON, False), {})]
    assert [*risks.warnings({}, dict.fromkeys(risks.WARNED_SWITCHES, "1"))]
    assert not [*risks.warnings({}, dict.fromkeys(risks.WARNED_SWITCHES, "0"))]
