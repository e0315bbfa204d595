# SPDX-License-Identifier: Apache-2.0
"""Each role's specification and its defaults say the same, in names and in values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLES = sorted(path.parent.name for path in (ROOT / "roles").glob("*/tasks"))

TEXT = ("str", "path", "raw")


def load(role: str, path: str) -> dict[str, Any]:
    file = ROOT / "roles" / role / path
    return (yaml.safe_load(file.read_text()) or {}) if file.exists() else {}


def options(role: str) -> dict[str, Any]:
    return load(role, "meta/argument_specs.yml")["argument_specs"]["main"].get("options", {})


def is_templated(default: Any, spec: dict[str, Any]) -> bool:
    return isinstance(default, str) and "{{" in default and spec["type"] not in TEXT


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_specification_agree(role: str) -> None:
    defaults = load(role, "defaults/main.yml")
    specified = {key: spec["default"] for key, spec in options(role).items() if "default" in spec}
    # Ansible's documentation tools refuse a template where the type is none of text.
    templated = {
        key for key, spec in options(role).items() if is_templated(defaults.get(key), spec)
    }
    assert not templated & set(specified)
    # A secret's default is in no specification: see test_specifications_render_no_secret.
    hidden = {k: spec for k, spec in options(role).items() if spec.get("no_log")}
    secret = {k for k, spec in hidden.items() if "default" not in spec}
    public = {k: v for k, v in defaults.items() if k not in secret | templated}
    assert specified == public


@pytest.mark.parametrize("role", ROLES)
def test_specifications_render_no_secret(role: str) -> None:
    """Where a value is wrong, Ansible prints the whole specification, its templates rendered."""
    for key, spec in options(role).items():
        if spec.get("no_log"):
            assert spec.get("default", "") == "", key
        assert "api_key }}" not in str(spec.get("default", "")), key


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_described_and_typed(role: str) -> None:
    for key, spec in options(role).items():
        assert spec.get("description"), key
        assert spec.get("type"), key
        assert key.startswith(f"{role}_"), f"{key} must start with the role's name"


@pytest.mark.parametrize("role", ROLES)
def test_an_option_is_required_or_has_a_default(role: str) -> None:
    defaults = load(role, "defaults/main.yml")
    for key, spec in options(role).items():
        assert spec.get("required", False) != (key in defaults), key


@pytest.mark.parametrize("role", ROLES)
def test_names_of_internals_say_whose_they_are(role: str) -> None:
    """Registers and constants start with two underscores and the role's name."""
    for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
        registers = re.findall(r"^\s*register: *(\S+)", path.read_text(), re.MULTILINE)
        for name in registers:
            assert f"{name}_".startswith(f"__{role}_"), f"{path.name}: {name}"
    for name in load(role, "vars/main.yml"):
        assert name.startswith(f"__{role}_"), name


@pytest.mark.parametrize("role", ROLES)
def test_secrets_are_marked(role: str) -> None:
    for key, spec in options(role).items():
        if re.search(r"_(token|api_keys?|password)$", key):
            assert spec.get("no_log") is True, key
