# SPDX-License-Identifier: Apache-2.0
"""The module model_weights against a server that breaks off, lies, refuses, and knows no ranges."""

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
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import (
    download as weights_download,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import http as weights_http

from tests.support.model_places import COMMIT, FILES, Places
from tests.support.module_runs import run_module
from tests.support.modules_fixtures import MODULES, module_environment

Json = dict[str, Any]
BIG = "model-00001-of-00002.safetensors"


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    monkeypatch.setattr(weights_http, "PAUSES_S", (0.0, 0.0, 0.0))
    with Places() as one:
        monkeypatch.setenv("GCE_METADATA_HOST", one.host)
        yield one


def options(places: Places, source: str, dest: Path, **more: Any) -> Json:
    repository = {
        "hub": "org/model",
        "gcs": "gs://models/org/model",
        "https": f"{places.url}/mirror/model",
    }[source]
    return {
        "dest": str(dest),
        "source": source,
        "repository": repository,
        "hub": places.url,
        "storage": places.url,
        **more,
    }


def get(places: Places, source: str, dest: Path, check: bool = False, **more: Any) -> Json:
    return run_module("model_weights", options(places, source, dest, **more), check)


def whole(dest: Path) -> bool:
    return all((dest / name).read_bytes() == content for name, content in FILES.items())


SOURCES = pytest.mark.parametrize("source", ["hub", "gcs", "https"])


@SOURCES
def test_a_model_comes_whole_and_once(places: Places, tmp_path: Path, source: str) -> None:
    dest = tmp_path / "models" / "m"
    planned = get(places, source, dest, check=True)
    assert planned["changed"] and not places.asked and not dest.exists()
    first = get(places, source, dest)
    assert first["changed"] and whole(dest), first
    assert not (dest / "pytorch_model.bin").exists()
    if source == "hub":
        assert first["resolved"] == COMMIT
    places.asked.clear()
    second = get(places, source, dest)
    assert not second["changed"] and second["manifest_sha256"] == first["manifest_sha256"]
    assert not places.asked
    assert sorted(path.name for path in dest.parent.iterdir()) == [".m.lock", "m"]


def test_what_counts_as_fetched_would_survive_a_crash(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: set[int] = set()
    fsync = os.fsync

    def seen(handle: int) -> None:
        written.add(os.fstat(handle).st_ino)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", seen)
    get(places, "hub", tmp_path / "m")
    # What has its own name is the file that was written out under another.
    assert {(tmp_path / "m" / name).stat().st_ino for name in FILES} <= written


@SOURCES
@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_goes_on(
    places: Places, tmp_path: Path, source: str, ranges: bool
) -> None:
    places.break_at[BIG] = [70_000, 150_000]
    places.ranges = ranges
    assert not get(places, source, tmp_path / "m").get("failed")
    assert whole(tmp_path / "m")
    starts = [start for name, start in places.asked if name == BIG]
    assert starts == [0, 70_000, 150_000]


@SOURCES
def test_wrong_bytes_are_fetched_again_and_never_accepted(
    places: Places, tmp_path: Path, source: str
) -> None:
    places.spoilt[BIG] = 1
    assert not get(places, source, tmp_path / "m").get("failed")
    assert whole(tmp_path / "m")
    places.spoilt[BIG] = 99
    failed = get(places, source, tmp_path / "n")
    assert "sends other bytes than" in failed["msg"]
    assert not (tmp_path / "n").exists()
    places.spoilt.clear()
    assert get(places, source, tmp_path / "n")["changed"]
    assert whole(tmp_path / "n")


def test_one_spoilt_file_is_all_that_is_fetched_again(places: Places, tmp_path: Path) -> None:
    dest = tmp_path / "m"
    get(places, "hub", dest)
    (dest / BIG).write_bytes(b"x" * len(FILES[BIG]))
    assert not get(places, "hub", dest)["changed"]
    planned = get(places, "hub", dest, check=True, verify="full")
    assert planned["differences"] == {BIG: "changed"}
    places.asked.clear()
    assert get(places, "hub", dest, verify="full")["differences"] == {BIG: "changed"}
    assert whole(dest)
    fetched = {name for name, _ in places.asked if name in FILES}
    assert fetched == {BIG, "model.safetensors.index.json"}


def test_another_revision_fetches_what_differs(places: Places, tmp_path: Path) -> None:
    get(places, "hub", tmp_path / "m")
    places.asked.clear()
    assert get(places, "hub", tmp_path / "m", revision=COMMIT)["changed"]
    assert BIG not in {name for name, _ in places.asked}


REFUSALS: list[tuple[str, int, str, Json, str]] = [
    ("hub", 403, "GatedRepo", {"token": "hf-secret"}, "is gated: accept its terms"),
    ("hub", 401, "GatedRepo", {}, "is gated: accept its terms"),
    ("hub", 404, "RevisionNotFound", {"revision": "v9"}, "has no revision 'v9'"),
    ("hub", 401, "RepoNotFound", {}, "knows no model 'org/model'"),
    ("hub", 404, "RepoNotFound", {}, "knows no model 'org/model'"),
    ("hub", 401, "", {"token": "hf-secret"}, "does not accept the access token"),
    ("gcs", 401, "", {}, "the host has no valid credentials"),
    ("gcs", 403, "", {}, "the role Storage Object Viewer"),
    ("gcs", 404, "", {}, "There is no bucket models"),
    ("https", 401, "", {}, "refuses access (401)"),
    ("https", 403, "", {}, "refuses access (403)"),
    ("https", 404, "", {}, "has neither manifest.json nor SHA256SUMS"),
    ("hub", 503, "", {}, "4 tries in a row failed"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda one: "-".join(map(str, one[:3])))
def test_a_refusal_has_a_message_of_its_own(
    places: Places, tmp_path: Path, refusal: tuple[str, int, str, Json, str]
) -> None:
    source, status, code, more, said = refusal
    places.status, places.error_code = status, code
    failed = get(places, source, tmp_path / "m", **more)
    assert failed["failed"] and said in failed["msg"], failed["msg"]
    assert "Traceback" not in json.dumps(failed)
    assert not (tmp_path / "m").exists()


def test_a_full_disk_is_seen_before_the_first_byte(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_download, "SPARE_BYTES", 10**16)
    failed = get(places, "hub", tmp_path / "m")
    assert "make the disk larger" in failed["msg"]
    assert not {name for name, _ in places.asked} & set(FILES)


def test_an_incomplete_model_costs_no_download(places: Places, tmp_path: Path) -> None:
    places.hidden.add(BIG)
    failed = get(places, "gcs", tmp_path / "m")
    assert (
        f"lacks 1 of the 2 files that its model.safetensors.index.json names, {BIG}"
        in (failed["msg"])
    )
    assert not any(name.endswith(".safetensors") for name, _ in places.asked)


def test_a_mirror_of_our_own_folder_and_a_pin(places: Places, tmp_path: Path) -> None:
    first = get(places, "https", tmp_path / "m")
    places.manifest = (tmp_path / "m" / "manifest.json").read_bytes()
    pin = hashlib.sha256(places.manifest).hexdigest()
    second = get(places, "https", tmp_path / "n", manifest_sha256=pin)
    assert second["changed"] and whole(tmp_path / "n") and second["resolved"] == pin
    assert first["resolved"] != pin
    failed = get(places, "https", tmp_path / "o", manifest_sha256="0" * 64)
    assert "the model there is another one" in failed["msg"]
    outside = options(places, "https", tmp_path / "p") | {"repository": "http://example.com/m"}
    assert "is not encrypted" in run_module("model_weights", outside)["msg"]


def test_objects_uploaded_in_parts_need_a_list_of_checksums(places: Places, tmp_path: Path) -> None:
    places.composite = True
    failed = get(places, "gcs", tmp_path / "m")
    assert "was uploaded in parts" in failed["msg"] and "sha256sum" in failed["msg"]
    places.bucket_sums = True
    assert get(places, "gcs", tmp_path / "m")["changed"] and whole(tmp_path / "m")


def test_a_bucket_is_asked_as_the_instance_and_a_token_goes_nowhere_else(
    places: Places, tmp_path: Path
) -> None:
    get(places, "gcs", tmp_path / "m")
    assert {one for _, one in places.tokens} == {"Bearer of-the-instance"}
    places.tokens.clear()
    places.redirects = True
    result = get(places, "hub", tmp_path / "n", token="secret-of-the-hub")
    assert whole(tmp_path / "n") and "secret-of-the-hub" not in json.dumps(result)
    assert {one for path, one in places.tokens if path.startswith("/cdn/")} == {None}
    assert {one for path, one in places.tokens if path.startswith("/org/")} == {
        "Bearer secret-of-the-hub"
    }


@pytest.mark.parametrize("after", [0, 60_000, 120_000, 200_000])
def test_a_killed_run_is_taken_up_again(places: Places, tmp_path: Path, after: int) -> None:
    dest = tmp_path / "m"
    places.hang_at[BIG] = after
    arguments = {"ANSIBLE_MODULE_ARGS": options(places, "hub", dest)}
    command = [sys.executable, "-m", f"{MODULES}.model_weights", json.dumps(arguments)]
    process = subprocess.Popen(command, env=module_environment(), stdout=subprocess.PIPE)
    part = tmp_path.glob(f".m.*.partial/{BIG}.part")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        part = tmp_path.glob(f".m.*.partial/{BIG}.part")
        if places.hanging.is_set() and sum(one.stat().st_size for one in part) >= after:
            break
        time.sleep(0.02)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not dest.exists()
    places.hang_at.clear()
    places.asked.clear()
    assert get(places, "hub", dest)["changed"]
    assert whole(dest)
    starts = [start for name, start in places.asked if name == BIG]
    assert starts == [after]
    assert not get(places, "hub", dest)["changed"]


def test_what_a_killed_swap_leaves_is_taken_up_or_removed(places: Places, tmp_path: Path) -> None:
    dest, old = tmp_path / "m", tmp_path / ".m.old"
    get(places, "hub", dest)
    # Killed when the new one was in place.
    old.mkdir()
    (old / "x").write_text("x")
    assert get(places, "hub", dest, check=True)["changed"] and old.exists()
    assert get(places, "hub", dest)["changed"]
    assert not old.exists() and whole(dest)
    # Killed between the two renames: nothing of what was fetched is fetched again.
    key = json.loads((dest / "manifest.json").read_text())["source"]
    from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import (
        fetcher as weights_fetcher,
    )

    dest.rename(tmp_path / f".m.{weights_fetcher.source_key(key)}.partial")
    old.mkdir()
    places.asked.clear()
    assert get(places, "hub", dest)["changed"]
    assert whole(dest) and not places.asked and not old.exists()
