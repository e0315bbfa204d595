# SPDX-License-Identifier: Apache-2.0
"""What is taken from a wheelhouse: only what the lock knows by checksum."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.venv.lock import parse_lock
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils.wheelhouse import (
    WheelhouseError,
    choose,
)

from tests.wheels import make_wheel


def test_only_what_is_known_and_needed_is_taken(tmp_path: Path) -> None:
    lock = "\n".join(make_wheel(tmp_path, name, "1.0", {f"{name}.py": ""}) for name in "abc")
    make_wheel(tmp_path, "b", "2.0", {"b.py": ""})
    (tmp_path / "notes.txt").write_text("")
    chosen = choose(tmp_path, parse_lock(lock), ["a", "b"])
    assert [path.name for path in chosen] == ["a-1.0-py3-none-any.whl", "b-1.0-py3-none-any.whl"]


def test_a_wheel_of_other_bytes_is_none(tmp_path: Path) -> None:
    lock = make_wheel(tmp_path, "my-pkg", "1.0", {"my_pkg.py": ""})
    make_wheel(tmp_path, "my-pkg", "1.0", {"my_pkg.py": "evil = True\n"})
    with pytest.raises(WheelhouseError, match=r"no wheel that the lock knows for my-pkg==1\.0\."):
        choose(tmp_path, parse_lock(lock), ["my-pkg"])
