# SPDX-License-Identifier: Apache-2.0
"""Files that programs write: written, checked, and removed where they no longer belong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.tools import generated_files

ROOT = Path(__file__).parents[3]
WANTED = {Path("a/new.md"): "new\n", Path("kept.md"): "kept\n", Path("other.md"): "now\n"}
OWNED = (Path("kept.md"), Path("other.md"), Path("stale.md"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder where one of three files is current, and one is left over."""
    for name, text in {"kept": "kept\n", "other": "before\n", "stale": "-", "mine": "-"}.items():
        (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")
    return tmp_path


def _files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in root.rglob("*.md")
    }


def test_check_names_what_is_outdated_and_writes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _files(root)
    code = generated_files.main("Writes.", WANTED, OWNED, root=root, arguments=["--check"])
    assert code == 1
    assert capsys.readouterr().err == ("Outdated, run `make docs`: a/new.md, other.md, stale.md\n")
    assert _files(root) == before


def test_files_are_written_once_and_stale_ones_removed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = (root / "kept.md").stat().st_mtime_ns
    assert generated_files.main("Writes.", WANTED, OWNED, root=root, arguments=[]) == 0
    assert _files(root) == {
        "a/new.md": "new\n",
        "kept.md": "kept\n",
        "other.md": "now\n",
        "mine.md": "-",
    }
    assert (root / "kept.md").stat().st_mtime_ns == kept
    owned = OWNED[:2]
    assert generated_files.main("Writes.", WANTED, owned, root=root, arguments=["--check"]) == 0
    assert not capsys.readouterr().err


def test_each_generator_has_this_command_line() -> None:
    """Every generate_NAME of `make docs` takes --check, and none has a loop of its own."""
    generators = sorted((ROOT / "docs" / "tools").glob("generate_*.py"))
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert len(generators) > 1
    for file in generators:
        text = file.read_text(encoding="utf-8")
        assert "generated_files.main(" in text, file.name
        assert not re.search(r"\.write_text\(|ArgumentParser", text), file.name
        assert file.stem in made, file.name
