# SPDX-License-Identifier: Apache-2.0
"""The program that counts the layout: what it counts is there, and counted right."""

from __future__ import annotations

from pathlib import Path

from benchmarks import layout


def test_a_function_counts_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "class A:\n    def short(self):\n        return 1\n\n\n"
        "async def long():\n\n    a = 1\n    return a\n",
        encoding="utf-8",
    )
    assert sorted(length for length, _ in layout.functions(file)) == [2, 4]


def test_links_and_empty_packages_are_no_files() -> None:
    found = layout.python("files")
    assert found
    assert not any((layout.ROOT / path).is_symlink() for path in found)
    assert not any(path.name == "__init__.py" for path in found)


def test_every_row_counts_something() -> None:
    for what, count in layout.ROWS.items():
        said = count()
        assert any(digit in said for digit in "123456789"), (what, said)
