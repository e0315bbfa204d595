# SPDX-License-Identifier: Apache-2.0
"""Options, names, the recipe, and what is remembered: everything that needs no container."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from emulator.machines import added_packages, containers, image, podman_backend
from emulator.machines.store import Memory, Store
from emulator.world.backend import IngressRule, MachineError, MachineKey


def test_options(tmp_path: Path) -> None:
    options = [f"mount={tmp_path}:/a:ro", f"mount={tmp_path}:/b", "image=mine:1"]
    assert podman_backend.parse_options(options) == {
        "mount": [f"{tmp_path}:/a:ro", f"{tmp_path}:/b"],
        "image": ["mine:1"],
    }


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("colour=red", "Bad machine option 'colour=red'"),
        ("mount", "Bad machine option"),
        ("image=", "Bad machine option"),
        ("mount=/tmp", "SRC:DST"),
        ("mount=tmp:/a", "absolute paths"),
        ("mount=/tmp:a", "absolute paths"),
        ("mount=/tmp:/a:read-only", "SRC:DST:ro"),
        ("mount=/no/such/folder:/a", "there is no /no/such/folder"),
    ],
)
def test_bad_options(option: str, says: str) -> None:
    with pytest.raises(MachineError, match=says):
        podman_backend.parse_options([option])


@pytest.mark.parametrize("owner", ["", "A", "a_b", "-a", "a-", "a" * 33, "a/b", "a b"])
def test_bad_owner(owner: str) -> None:
    with pytest.raises(MachineError, match="Bad owner"):
        podman_backend.check_owner(owner)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (MachineKey("p", "us-central1-a", "vm"), "gce-vllm-demo-p-us-central1-a-vm"),
        (MachineKey("example.com:p", "z", "vm"), "gce-vllm-demo-example.com-p-z-vm"),
        (MachineKey("", "", "vm"), "gce-vllm-demo-vm"),
    ],
)
def test_container_name(key: MachineKey, expected: str) -> None:
    assert containers.container_name("demo", key) == expected


def test_same_name_in_two_projects_is_two_machines() -> None:
    names = {containers.container_name("o", MachineKey(p, "z", "vm")) for p in ("p1", "p2")}
    assert len(names) == 2


def test_image_name_follows_what_it_is_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = image.name()
    assert image.name() == before
    changed = tmp_path / "etc" / "motd"
    changed.parent.mkdir()
    changed.write_text("hello\n")
    monkeypatch.setattr(image, "ROOTFS", tmp_path)
    assert image.name() != before
    monkeypatch.undo()
    monkeypatch.setattr(image, "PACKAGES", (*image.PACKAGES, "vim"))
    assert image.name() != before


def test_an_image_with_packages_follows_both(monkeypatch: pytest.MonkeyPatch) -> None:
    before = added_packages.name(["b", "a"])
    assert before == added_packages.name(["a", "b"])
    assert before not in {added_packages.name(["a"]), image.name()}
    monkeypatch.setattr(image, "PACKAGES", (*image.PACKAGES, "vim"))
    assert added_packages.name(["a", "b"]) != before


def test_the_image_pretends_no_gpu() -> None:
    files = [path.name for path in image.ROOTFS.rglob("*")]
    assert not [word for word in [*image.recipe(), *files] if "nvidia" in word.lower()]


def test_memory_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    store = Store("demo")
    assert store.load("vm") == Memory()
    rules = [IngressRule("allow", "tcp", [(22, 22), (80, 90)], ["192.0.2.0/24"])]
    store.save("vm", Memory(rules=rules, metadata={"ssh-keys": "a:k"}))
    assert Store("demo").load("vm") == Memory(rules=rules, metadata={"ssh-keys": "a:k"})
    kept = store.folder / "vm.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    store.forget("vm")
    store.forget("vm")
    assert store.load("vm") == Memory()


def test_forgetting_all_leaves_other_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    mine, other = Store("mine"), Store("other")
    mine.save("vm", Memory())
    other.save("vm", Memory(metadata={"a": "b"}))
    assert mine.forget_all()
    assert not mine.forget_all()
    assert other.load("vm").metadata == {"a": "b"}
    assert other.forget_all()
    assert not any(tmp_path.iterdir())
