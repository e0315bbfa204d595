# SPDX-License-Identifier: Apache-2.0
"""Where Ansible is not as it is known, modules run as Ansible runs them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.action.gce_instance import ActionModule
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils import direct_execution as direct


def test_available_with_the_installed_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(direct.ENVIRONMENT, raising=False)
    assert direct.available()
    assert all(name in vars(ActionModule) for name in direct.OVERRIDDEN)


@pytest.mark.parametrize("value", ["no", "False", "0", " off "])
def test_switched_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(direct.ENVIRONMENT, value)
    assert not direct.available()


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (direct._internal, "is_controller"),
        (direct._internal, "get_controller_serialize_map"),
        (direct._internal, "import_controller_module"),
        (direct._traceback, "_is_traceback_enabled"),
        (direct._traceback, "_is_module_traceback_enabled"),
        (direct.basic, "_ANSIBLE_ARGS"),
        (direct.basic, "_ANSIBLE_PROFILE"),
        *((direct.ActionBase, name) for name in direct.OVERRIDDEN),
    ],
)
def test_not_where_a_name_is_gone(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str
) -> None:
    monkeypatch.delattr(where, name)
    assert not direct.available()


def test_same_python(tmp_path: Path) -> None:
    assert direct.same_python(sys.executable)
    assert not direct.same_python(str(tmp_path / "missing"))
    assert not direct.same_python("")
    # As in another virtual environment, which has other packages.
    link = tmp_path / "python"
    link.symlink_to(Path(sys.executable).resolve())
    assert not direct.same_python(str(link))
    # As `python3` beside `python`.
    beside = Path(sys.executable).parent
    names = [one for one in beside.glob("python3*") if one.samefile(sys.executable)]
    assert names
    assert all(direct.same_python(str(one)) for one in names)
