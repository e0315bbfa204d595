# SPDX-License-Identifier: Apache-2.0
"""What `ansible-test sanity` is told to leave alone: only which licence a file has."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RULE = "validate-modules:missing-gplv3-license # Apache-2.0"
FILES = sorted((ROOT / "tests/sanity").glob("ignore-2.*.txt"))


def test_there_is_one_for_each_ansible_core_that_is_tried() -> None:
    assert [path.name for path in FILES] == [f"ignore-2.{n}.txt" for n in (19, 20, 21, 22)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_holds_nothing_but_the_licence(path: Path) -> None:
    """`tests/sanity/run` writes the lines, one for each file that has a documentation."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        name, _, rule = line.partition(" ")
        assert rule == RULE
        assert (ROOT / name).is_file(), f"{name} is gone: run tests/sanity/run"


def test_authors_have_a_handle() -> None:
    """It is what sanity asks of an author; here it costs no minute."""
    for path in (ROOT / "plugins").rglob("*.py"):
        assert "maintainers\n" not in path.read_text(encoding="utf-8"), path
