# SPDX-License-Identifier: Apache-2.0
"""One digest for a folder: every file counts, in every subfolder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils.trees import tree_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "room").mkdir()
    (tmp_path / "a.py").write_text("one")
    (tmp_path / "room" / "b.py").write_text("two")
    return tmp_path


@pytest.mark.parametrize(
    "change",
    [
        lambda at: (at / "a.py").write_text("other"),
        lambda at: (at / "room" / "b.py").write_text("other"),
        lambda at: (at / "room" / "b.py").rename(at / "room" / "c.py"),
        lambda at: (at / "room" / "b.py").rename(at / "b.py"),
        lambda at: (at / "room" / "c.py").touch(),
        lambda at: (at / "a.py").unlink(),
    ],
    ids=["text", "text below", "name", "folder", "new", "gone"],
)
def test_every_change_is_another_digest(folder: Path, change: Callable[[Path], object]) -> None:
    before = tree_digest(folder)
    change(folder)
    assert tree_digest(folder) != before


def test_compiled_python_does_not_count(folder: Path) -> None:
    before = tree_digest(folder)
    (folder / "room" / "__pycache__").mkdir()
    (folder / "room" / "__pycache__" / "b.pyc").write_bytes(b"\xff")
    assert tree_digest(folder) == before
