# SPDX-License-Identifier: Apache-2.0
"""A model folder's manifest, the choice of files, and how a folder is put in place."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import (
    download as weights_download,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import file_choice
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import (
    manifest as weights_manifest,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import place as weights_place
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights.http import FetchError

SOURCE = {"source": "hub", "repository": "a/b", "revision": "main", "ignore_patterns": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model folder."""
    path = tmp_path / "model"
    (path / "sub").mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "sub" / "weights").write_text("12345")
    manifest = weights_manifest.build(path, SOURCE, "abc")
    (path / weights_manifest.MANIFEST).write_text(json.dumps(manifest))
    return path


def test_whole_folder_has_no_difference(folder: Path) -> None:
    assert weights_manifest.differences(folder, SOURCE, full=True) == {}
    (folder / "notes.txt").write_text("someone's own")
    assert weights_manifest.differences(folder, SOURCE, full=True) == {}


def test_size_is_seen_at_once_and_contents_when_asked(folder: Path) -> None:
    (folder / "sub" / "weights").write_text("12x45")
    assert weights_manifest.differences(folder, SOURCE, full=False) == {}
    assert weights_manifest.differences(folder, SOURCE, full=True) == {"sub/weights": "changed"}
    (folder / "sub" / "weights").write_text("123456")
    assert weights_manifest.differences(folder, SOURCE, full=False) == {"sub/weights": "changed"}
    (folder / "config.json").unlink()
    assert weights_manifest.differences(folder, SOURCE, full=False)["config.json"] == "missing"


def test_another_source_is_a_difference(folder: Path) -> None:
    found = weights_manifest.differences(folder, {**SOURCE, "revision": "v2"}, full=False)
    assert list(found) == ["."]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": '])
def test_unreadable_manifest(folder: Path, text: str) -> None:
    (folder / weights_manifest.MANIFEST).write_text(text)
    assert list(weights_manifest.differences(folder, SOURCE, full=False)) == ["manifest.json"]


def test_missing_folder(tmp_path: Path) -> None:
    found = weights_manifest.differences(tmp_path / "none", SOURCE, full=False)
    assert found == {".": "missing"}


def test_files_wanted_of_a_repository() -> None:
    names = ["model.safetensors", "consolidated.safetensors", "pytorch_model.bin", "config.json"]
    chosen = file_choice.wanted([*names, "original/x.pth"], ["original/*"], True, "it")
    assert chosen == ["config.json", "model.safetensors"]
    only = ["config.json", "consolidated.safetensors"]
    assert file_choice.wanted(only, [], False, "it") == only
    pickled = ["config.json", "pytorch_model.bin"]
    assert file_choice.wanted(pickled, [], True, "it") == pickled
    with pytest.raises(FetchError, match="only pickled weights"):
        file_choice.wanted(pickled, [], False, "it")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\b", "a//b", "a\n", ".", ""])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(FetchError, match="no path below a folder"):
        file_choice.wanted(["config.json", name], [], False, "it")


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"abc  x", b'{"files": {"a": {}}}', b"\xff"])
def test_what_is_no_manifest(text: bytes) -> None:
    with pytest.raises(FetchError, match="neither a manifest"):
        file_choice.manifest(text, "it")


def test_too_little_disk(tmp_path: Path) -> None:
    weights_download.check_space(tmp_path, 1)
    with pytest.raises(FetchError, match=r"GB free, the model needs 1000000\.0 GB"):
        weights_download.check_space(tmp_path, 10**15)


def test_folder_appears_whole_and_readable(folder: Path, tmp_path: Path) -> None:
    def fill(partial: Path) -> str:
        assert (folder / "config.json").exists(), "the old one serves until the new one is whole"
        (partial / "new").write_text("x")
        os.chmod(partial / "new", 0o600)  # noqa: PTH101
        return "done"

    assert weights_place.replace(folder, "key", fill) == "done"
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert (folder / "new").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_download_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    def cut_off(partial: Path) -> None:
        (partial / "half").write_text("x")
        raise KeyboardInterrupt

    for key in ("old", "new"):
        with pytest.raises(KeyboardInterrupt):
            weights_place.replace(tmp_path / "model", key, cut_off)
    assert not (tmp_path / "model").exists()
    seen = weights_place.replace(
        tmp_path / "model", "new", lambda partial: [path.name for path in partial.iterdir()]
    )
    assert seen == ["half"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    shutil.rmtree(tmp_path / "model")


@pytest.mark.parametrize("name", ["x.part", "sub/x.safetensors.part", "manifest.json/x"])
def test_a_name_of_our_own_is_refused(name: str) -> None:
    with pytest.raises(FetchError, match="needs for its own"):
        file_choice.wanted([name, "config.json"], [], False, "it")
    assert file_choice.wanted([name, "config.json"], ["*.part", "manifest.json/*"], False, "it")
