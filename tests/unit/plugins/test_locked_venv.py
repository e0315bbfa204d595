# SPDX-License-Identifier: Apache-2.0
"""What uv_sync decides, without a uv."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.venv import lock as locked_venv

HASH = "--hash=sha256:" + "0" * 64
LOCK = f"""\
# a comment
idna==3.20 \\
    {HASH} \\
    {HASH}
Jinja2==3.1.6 {HASH}

torch==2.13.0+cpu \\
    # via nothing
    {HASH}
"""


def test_lock_is_read_by_canonical_name() -> None:
    pins = locked_venv.parse_lock(LOCK)
    assert {name: pin.version for name, pin in pins.items()} == {
        "idna": "3.20",
        "jinja2": "3.1.6",
        "torch": "2.13.0+cpu",
    }
    assert pins["idna"].text == f"idna==3.20 {HASH} {HASH}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no package"),
        ("idna>=3", "line 1: expected NAME==VERSION"),
        ("# one\nidna==3.20", "line 2: idna has no hash"),
        (f"a-b==1 {HASH}\nA_B==2 {HASH}", "line 2: a-b is there twice"),
        (f"-e . {HASH}", "line 1: expected"),
        (f"idna @ https://example.org/idna.whl {HASH}", "line 1: expected"),
    ],
)
def test_unusable_lock_says_where(text: str, says: str) -> None:
    with pytest.raises(locked_venv.LockError, match=says):
        locked_venv.parse_lock(text)


def test_plan_names_every_difference_and_nothing_else() -> None:
    pins = locked_venv.parse_lock(LOCK)
    installed = {"idna": "3.19", "torch": "2.13.0+cpu", "surplus": "1.0"}
    plan = locked_venv.make_plan(pins, installed, {"torch": "x.py is gone", "surplus": "odd"})
    assert plan.install == {"idna": "is 3.19", "jinja2": "missing", "torch": "x.py is gone"}
    assert plan.remove == ("surplus",)
    assert locked_venv.describe(plan, pins, installed) == {
        "before": "idna==3.19\nsurplus==1.0\ntorch==2.13.0+cpu  (x.py is gone)\n",
        "after": "idna==3.20\njinja2==3.1.6\ntorch==2.13.0+cpu\n",
    }


def test_plan_is_empty_where_all_is_well() -> None:
    pins = locked_venv.parse_lock(LOCK)
    installed = {name: pin.version for name, pin in pins.items()}
    assert not locked_venv.make_plan(pins, installed, {})


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package as uv leaves it; returns its dist-info."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "a.py").write_text("12345")
    info = tmp_path / "my_pkg-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: my-pkg\n")
    (info / "INSTALLER").write_text("uv")
    rows = [
        "pkg/a.py,sha256=x,5",
        "pkg/__pycache__/a.cpython-311.pyc,sha256=x,99",
        "my_pkg-1.0.dist-info/METADATA,sha256=x,13",
        "my_pkg-1.0.dist-info/INSTALLER,sha256=x,2",
        "my_pkg-1.0.dist-info/RECORD,,",
    ]
    (info / "RECORD").write_text("\n".join(rows))
    return info


def test_whole_package_has_no_damage(package: Path) -> None:
    assert locked_venv.find_damage(package.parent) == {}
    assert not locked_venv.is_torn(package)


def test_edited_file(package: Path) -> None:
    (package.parent / "pkg" / "a.py").write_text("123456")
    assert locked_venv.find_damage(package.parent) == {"my-pkg": "pkg/a.py was changed"}


def test_deleted_file(package: Path) -> None:
    (package.parent / "pkg" / "a.py").unlink()
    assert locked_venv.find_damage(package.parent) == {"my-pkg": "pkg/a.py is gone"}


def test_install_that_was_cut_off(package: Path) -> None:
    record = package / "RECORD"
    record.write_text(record.read_text().replace("INSTALLER", "OTHER"))
    assert locked_venv.find_damage(package.parent) == {"my-pkg": "was not fully installed"}
    record.unlink()
    assert locked_venv.find_damage(package.parent) == {"my-pkg": "was not fully installed"}
    assert locked_venv.is_torn(package)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[:30],
        lambda whole: whole[: whole.index(b",sha256=x,13")],
        lambda whole: whole.replace(b",5\n", b",12a\n"),
        lambda whole: whole.replace(b"pkg/a.py", b"pkg/\xff\xfe.py"),
        lambda whole: whole.replace(b"my_pkg-1.0.dist-info/RECORD,,", b""),
        lambda whole: whole.replace(b"pkg/a.py,sha256=x,5", b"pkg/a.py,sha256=x"),
        lambda whole: whole.replace(b"pkg/a.py", b"pkg/a\x00.py"),
        lambda _whole: b"",
    ],
    ids=["cut", "cut in a row", "size", "undecodable", "itself", "two fields", "nul", "empty"],
)
def test_torn_record_is_damage_and_no_help_in_uninstalling(
    package: Path, spoil: Callable[[bytes], bytes]
) -> None:
    record = package / "RECORD"
    record.write_bytes(spoil(record.read_bytes()))
    assert locked_venv.find_damage(package.parent) == {"my-pkg": "was not fully installed"}
    assert locked_venv.is_torn(package)


def test_package_whose_install_lacks_its_last_step_only(package: Path) -> None:
    record = package / "RECORD"
    record.write_text(record.read_text().replace("INSTALLER", "OTHER"))
    assert locked_venv.find_damage(package.parent) == {"my-pkg": "was not fully installed"}
    assert not locked_venv.is_torn(package)


def test_contents_count_only_where_asked(package: Path) -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"12345").digest()).rstrip(b"=").decode()
    record = package / "RECORD"
    text = record.read_text().replace("pkg/a.py,sha256=x", f"pkg/a.py,sha256={digest}")
    for name in ("METADATA", "INSTALLER"):
        known = base64.urlsafe_b64encode(hashlib.sha256((package / name).read_bytes()).digest())
        text = text.replace(f"{name},sha256=x", f"{name},sha256={known.rstrip(b'=').decode()}")
    record.write_text(text)
    assert locked_venv.find_damage(package.parent, contents=True) == {}
    (package.parent / "pkg" / "a.py").write_text("54321")
    assert locked_venv.find_damage(package.parent) == {}
    assert locked_venv.find_damage(package.parent, contents=True) == {
        "my-pkg": "pkg/a.py was changed"
    }


def test_what_no_package_brought_is_a_stray(package: Path) -> None:
    site = package.parent
    for name in ("extra.pth", "loose.py", "_virtualenv.py", "_virtualenv.pth"):
        (site / name).write_text("")
    (site / "__pycache__").mkdir()
    (site / "folder").mkdir()
    (site / "broken").symlink_to("nowhere")
    assert locked_venv.find_strays(site) == ["broken", "extra.pth", "folder", "loose.py"]


def test_no_stray_is_told_while_a_record_is_torn(package: Path) -> None:
    (package / "RECORD").unlink()
    assert locked_venv.find_strays(package.parent) == []


def test_packages_are_listed_without_uv(package: Path) -> None:
    assert locked_venv.list_packages(package.parent) == {"my-pkg": "1.0"}


def test_package_from_elsewhere(package: Path) -> None:
    (package / "direct_url.json").write_text("{}")
    assert "path or address" in locked_venv.find_damage(package.parent)["my-pkg"]
