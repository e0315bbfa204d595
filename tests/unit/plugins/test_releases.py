# SPDX-License-Identifier: Apache-2.0
"""Releases side by side: what is read of them, the link, what is removed, what is put back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.venv import releases

from tests.support.module_runs import run_module

A, B, C, D = (f"{letter * 12}-cpu" for letter in "abcd")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Three releases, the second current."""
    for number, name in enumerate((A, B, C)):
        folder = tmp_path / "releases" / name
        folder.mkdir(parents=True)
        (folder / ".passed").touch()
        os.utime(folder / ".passed", (number, number))
        os.utime(folder, (number, number))
    (tmp_path / "venv").symlink_to("releases/bbbbbbbbbbbb-cpu")
    (tmp_path / "proc").mkdir()
    return tmp_path


def listed(host: Path) -> list[releases.Release]:
    return releases.list_releases(host / "releases", host / "venv", host / "proc")


def process(host: Path, pid: str, program: str, maps: str = "") -> None:
    (host / "proc" / pid).mkdir()
    (host / "proc" / pid / "cmdline").write_text(f"{program}\0-m\0llm_server\0")
    (host / "proc" / pid / "maps").write_text(maps)


def test_what_is_known_of_releases(host: Path) -> None:
    (host / "releases/aaaaaaaaaaaa-cpu/.served").write_text(
        '{"at": "2026-01-01T00:00:00Z", "files": {}}'
    )
    (host / "releases/cccccccccccc-cpu/.refused").write_text(
        '{"reason": "no", "at": "x", "fingerprint": ""}'
    )
    (host / "releases/cccccccccccc-cpu/.served").write_text('{"at": "2026')  # cut off
    (host / "releases/bbbbbbbbbbbb-cpu.cache").mkdir()
    process(host, "12", f"{host}/releases/aaaaaaaaaaaa-cpu/bin/python")
    a, b, c = listed(host)
    assert (a.name, a.served_at, a.running, a.current) == (A, "2026-01-01T00:00:00Z", True, False)
    assert (b.current, b.running, b.passed, b.refused) == (True, False, True, {})
    assert c.refused["reason"] == "no" and not c.served_at


def test_a_process_that_was_started_by_the_link_runs_from_what_it_has_mapped(host: Path) -> None:
    mapped = f"7f00-7f01 r-xp 0 fe:01 12 {host}/releases/aaaaaaaaaaaa-cpu/lib/python3.11/x.so\n"
    process(host, "12", f"{host}/venv/bin/python", mapped)
    assert [one.name for one in listed(host) if one.running] == [A]


@pytest.mark.parametrize(
    "program", ["disk/releases/aaaaaaaaaaaa-cpu", "disk/venv", "releases/aaaaaaaaaaaa-cpu", "venv"]
)
def test_a_folder_that_is_a_link_is_seen_through(host: Path, program: str) -> None:
    (host / "disk").mkdir()
    for name in ("releases", "venv"):
        (host / name).rename(host / "disk" / name)
    (host / "opt").symlink_to("disk")
    mapped = (
        f"7f00-7f01 r-xp 0 fe:01 12 {host}/disk/releases/aaaaaaaaaaaa-cpu/lib/python3.11/x.so\n"
    )
    place = program if program.startswith("disk") else f"opt/{program}"
    process(host, "12", f"{host}/{place}/bin/python", mapped)
    found = releases.list_releases(host / "opt/releases", host / "opt/venv", host / "proc")
    assert [one.name for one in found if one.running] == [A]
    assert [one.name for one in found if one.current] == [B]
    assert found[0].path == str(host / "disk/releases/aaaaaaaaaaaa-cpu")


def test_what_is_no_release_is_neither_counted_nor_removed(host: Path) -> None:
    names = ["mine", "earlier-old", f"{A}-old", "AAAAAAAAAAAA-cpu", "mine.gone", "earlier.new"]
    for name in [*names, "earlier", "earlier-2"]:
        (host / "releases" / name).mkdir()
    assert [one.name for one in listed(host)] == [A, B, C, "earlier", "earlier-2"]
    assert switch(host, C, keep=1)["removed"] == [A, "earlier", "earlier-2"]
    there = {path.name for path in (host / "releases").iterdir()}
    assert there == {B, C, *names}
    assert "There is no release mine" in switch(host, "mine")["msg"]


def test_other_processes_are_none_of_ours(host: Path) -> None:
    process(host, "12", "/usr/bin/python3", f" {host}/releases/aaaaaaaaaaaa-cpu/x.so")
    (host / "proc/13").mkdir()
    assert not any(one.running for one in listed(host))


@pytest.mark.parametrize(
    ("keep", "needed", "changes", "gone"),
    [
        (3, [], {}, []),
        (2, [], {}, [A]),
        (1, [], {}, [A, C]),
        (1, [A], {}, [C]),
        (2, [], {C: ".refused"}, [C]),
        (2, [], {C: "unpassed"}, [C]),
        (1, [], {A: "running"}, [C]),
    ],
)
def test_what_is_surplus(
    host: Path, keep: int, needed: list[str], changes: dict[str, str], gone: list[str]
) -> None:
    for name, change in changes.items():
        if change == "running":
            process(host, "9", f"{host}/releases/{name}/bin/python")
        elif change == "unpassed":
            (host / f"releases/{name}/.passed").unlink()
        else:
            (host / f"releases/{name}" / change).write_text('{"reason": "x"}')
    assert releases.surplus(listed(host), keep, needed) == gone


def switch(host: Path, release: str, check: bool = False, keep: int = 0) -> dict[str, Any]:
    options = {"link": str(host / "venv"), "releases": str(host / "releases")}
    return run_module("vllm_release", {**options, "release": release, "keep": keep}, check)


def test_the_link_is_switched_once(host: Path) -> None:
    planned = switch(host, C, check=True)
    assert planned["changed"] and (host / "venv").readlink() == Path("releases/bbbbbbbbbbbb-cpu")
    assert planned["diff"]["before"] == f"-> {B}\n" and planned["diff"]["after"] == f"-> {C}\n"
    done = switch(host, C)
    assert done["changed"] and done["previous"] == B
    assert (host / "venv").readlink() == Path("releases/cccccccccccc-cpu")
    assert not switch(host, C)["changed"]


def installed(release: Path, version: str) -> None:
    (release / f"lib/python3.12/site-packages/vllm-{version}.dist-info").mkdir(parents=True)


def test_a_switch_tells_the_versions(host: Path) -> None:
    installed(host / "releases" / B, "0.33.0")
    installed(host / "releases" / C, "0.32.0+cpu")
    (host / f"releases/{C}/lib/python3.12/site-packages/vllm_plugin-9.dist-info").mkdir()
    assert [one.version for one in listed(host)] == ["", "0.33.0", "0.32.0+cpu"]
    for check in (True, False):
        told = switch(host, C, check, keep=1)["diff"]
        assert told["before"] == f"-> {B} (vLLM 0.33.0)\n{A}\n"
        assert told["after"] == f"-> {C} (vLLM 0.32.0+cpu)\n"


def test_a_real_folder_tells_its_version_before_it_is_moved(host: Path) -> None:
    (host / "venv").unlink()
    installed(host / "venv", "0.31.0")
    for check in (True, False):
        assert switch(host, C, check)["diff"]["before"] == "-> earlier (vLLM 0.31.0)\n"


def test_old_releases_go_with_the_switch_but_never_the_one_before(host: Path) -> None:
    (host / "releases/dddddddddddd-cpu").mkdir()
    assert switch(host, C, check=True, keep=1)["removed"] == [A, D]
    assert switch(host, C, keep=1)["removed"] == [A, D]
    assert sorted(path.name for path in (host / "releases").iterdir()) == [B, C]
    assert not switch(host, C, keep=2)["changed"]


def test_the_last_that_served_stays_whatever_was_tried_since(host: Path) -> None:
    (host / "releases/aaaaaaaaaaaa-cpu/.served").write_text(
        '{"at": "2026-01-02T00:00:00Z", "files": {}}'
    )
    assert switch(host, C, check=True, keep=2)["removed"] == []
    assert switch(host, C, keep=2)["removed"] == []
    assert (host / "releases/aaaaaaaaaaaa-cpu").is_dir()


def test_check_mode_counts_the_release_that_is_still_to_be_built(host: Path) -> None:
    assert switch(host, D, check=True, keep=3)["removed"] == [A]


def test_one_that_was_half_removed_is_removed(host: Path) -> None:
    (host / "releases/eeeeeeeeeeee-cpu.gone/lib").mkdir(parents=True)
    switch(host, C, keep=2)
    assert not (host / "releases/eeeeeeeeeeee-cpu.gone").exists()


def test_room_is_made_for_a_release_that_is_to_be_built(host: Path) -> None:
    for name in (A, B, C):
        (host / "releases" / name / ".passed").unlink()
    (host / f"releases/{C}/.served").write_text('{"at": "2026", "files": {}}')
    for name in ("earlier", f"{A}.cache", f"{D}.cache", f"{D}.gone", "mine.cache"):
        (host / "releases" / name / "lib").mkdir(parents=True)
    options = {"link": str(host / "venv"), "releases": str(host / "releases"), "state": "room"}
    # One that is there needs none.
    assert run_module("vllm_release", {**options, "release": C}, True)["removed"] == [
        f"{A}.cache",
        f"{D}.cache",
        f"{D}.gone",
    ]
    made = {"removed": [A, f"{A}.cache", f"{D}.gone"], "changed": True, "there": False}
    for check in (True, False):
        found = run_module("vllm_release", {**options, "release": D}, check)
        assert {name: found[name] for name in made} == made and found["free_mib"] > 0
    there = {path.name for path in (host / "releases").iterdir()}
    assert there == {B, C, "earlier", f"{D}.cache", "mine.cache"}


def test_what_is_being_built_is_no_leftover(host: Path) -> None:
    (host / f"releases/{A}/.passed").unlink()
    (host / f"releases/{A}.cache").mkdir()
    assert releases.never_good(listed(host), host / "proc") == [A]
    process(host, "12", "/opt/vllm/uv/bin/uv")
    (host / "proc/12/environ").write_text(f"A=b\0UV_CACHE_DIR={host}/releases/{A}.cache\0")
    assert releases.never_good(listed(host), host / "proc") == []
    assert releases.left_caches(host / "releases", host / "proc") == []


def test_a_real_folder_is_moved_beside_the_releases(host: Path) -> None:
    (host / "venv").unlink()
    (host / "venv/bin").mkdir(parents=True)
    assert switch(host, C, check=True)["moved"] == str(host / "releases/earlier")
    assert (host / "venv").is_dir() and not (host / "venv").is_symlink()
    done = switch(host, C, keep=2)
    assert done["previous"] == "earlier" and (host / "releases/earlier/bin").is_dir()
    assert (host / "venv").readlink() == Path("releases/cccccccccccc-cpu")
    assert done["removed"] == [A, B]


def test_a_switch_that_was_cut_off_after_the_move_goes_on(host: Path) -> None:
    (host / "venv").unlink()
    assert switch(host, C)["changed"]
    assert (host / "venv").readlink() == Path("releases/cccccccccccc-cpu")
    (host / ".venv.new").symlink_to("nowhere")
    assert switch(host, B)["changed"] and not (host / ".venv.new").is_symlink()


def test_no_link_to_nothing(host: Path) -> None:
    assert f"Those there are: {A}, {B}, {C}" in switch(host, "z")["msg"]
    (host / "venv").unlink()
    (host / "venv").write_text("")
    assert "is a file" in switch(host, A)["msg"]


def release_of_seven(pid: str, *_places: Path) -> str:
    """In place of looking at real processes."""
    return B if pid == "7" else ""


@pytest.fixture
def deployment(host: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The module over files of a server that serves from release b, by a stand-in for systemctl."""
    (host / "package").mkdir()
    for name in ("settings.yaml", "llm-server.service", "package/a.py"):
        (host / name).write_text(f"{name} one\n")
    (host / "bin").mkdir()
    (host / "bin/systemctl").write_text(f"#!/bin/sh\ncat {host}/state\n")
    (host / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{host}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(releases, "release_of", release_of_seven)
    (host / "runtime").mkdir()
    serve(host)

    def run(state: str, check: bool = False, **more: Any) -> dict[str, Any]:
        options = {
            "state": state,
            "link": str(host / "venv"),
            "releases": str(host / "releases"),
            "settings": str(host / "settings.yaml"),
            "package": str(host / "package"),
            "unit": str(host / "llm-server.service"),
            "runtime": str(host / "runtime"),
            **more,
        }
        return run_module("llm_deployment", options, check)

    return run


def serve(host: Path, state: str = "active", pid: str = "7") -> None:
    (host / "state").write_text(f"MainPID={pid}\nActiveState={state}\n")
    (host / "runtime").touch()
    later = (host / "runtime").stat().st_mtime_ns + 10**9
    os.utime(host / "runtime", ns=(later, later))


def test_what_serves_is_kept_once_and_put_back(
    host: Path, deployment: Callable[..., dict[str, Any]]
) -> None:
    assert deployment("recorded", check=True)["changed"]
    assert not (host / "releases/bbbbbbbbbbbb-cpu/.served").exists()
    assert deployment("recorded")["release"] == str(host / "releases/bbbbbbbbbbbb-cpu")
    assert not deployment("recorded")["changed"]
    (host / "settings.yaml").write_text("two\n")
    (host / "package/new.py").write_text("two\n")
    (host / "package/a.py").unlink()
    release = {"release": str(host / "releases/bbbbbbbbbbbb-cpu")}
    planned = deployment("restored", check=True, **release)
    names = [str(host / name) for name in ("package/a.py", "package/new.py", "settings.yaml")]
    assert planned["files"] == names and (host / "package/new.py").exists()
    assert [one["before"] for one in planned["diff"]] == ["", "two\n", "two\n"]
    done = deployment("restored", **release)
    assert done["files"] == names and done["settings"] == "settings.yaml one\n"
    assert (host / "settings.yaml").read_text() == "settings.yaml one\n"
    assert not (host / "package/new.py").exists() and (host / "package/a.py").exists()
    assert not deployment("restored", **release)["changed"]


@pytest.mark.parametrize("case", ["loading", "foreign", "unread", "never started"])
def test_only_what_is_known_to_serve_is_kept(
    host: Path, deployment: Callable[..., dict[str, Any]], case: str
) -> None:
    if case == "loading":
        serve(host, state="activating")
    elif case == "foreign":
        serve(host, pid="8")
    elif case == "unread":
        os.utime(host / "runtime", (1, 1))
    else:
        (host / "runtime").rmdir()
    result = deployment("recorded")
    assert not result["changed"] and not result["release"]
    assert not (host / "releases/bbbbbbbbbbbb-cpu/.served").exists()


def test_the_last_that_served_is_known_after_going_back(
    host: Path, deployment: Callable[..., dict[str, Any]]
) -> None:
    deployment("recorded")
    later = {"at": "2999-01-01T00:00:00Z", "files": {}}
    (host / "releases/cccccccccccc-cpu/.served").write_text(json.dumps(later))
    found = {"link": str(host / "venv"), "releases": str(host / "releases")}
    assert run_module("vllm_release_info", found)["last_served"] == str(
        host / "releases/cccccccccccc-cpu"
    )
    (host / "releases/cccccccccccc-cpu/.served").write_text(json.dumps({**later, "at": "2000"}))
    assert run_module("vllm_release_info", found)["last_served"] == str(
        host / "releases/bbbbbbbbbbbb-cpu"
    )


def test_a_refusal_stays_until_it_is_accepted(
    host: Path, deployment: Callable[..., dict[str, Any]]
) -> None:
    note = {"release": str(host / "releases/bbbbbbbbbbbb-cpu"), "reason": "why", "fingerprint": "f"}
    assert deployment("refused", check=True, **note)["changed"]
    assert deployment("refused", **note)["changed"]
    assert not deployment("refused", **note)["changed"]
    deployment("recorded")
    found = json.loads((host / "releases/bbbbbbbbbbbb-cpu/.refused").read_text())
    assert (found["reason"], found["fingerprint"]) == ("why", "f")
    assert deployment("recorded", accept=True)["changed"]
    assert not (host / "releases/bbbbbbbbbbbb-cpu/.refused").exists()
    assert not deployment("recorded", accept=True)["changed"]


def test_nothing_is_put_back_that_never_served(
    host: Path, deployment: Callable[..., dict[str, Any]]
) -> None:
    release = str(host / "releases/aaaaaaaaaaaa-cpu")
    assert "Nothing is known" in deployment("restored", release=release)["msg"]
    assert "release" in deployment("restored")["msg"]
