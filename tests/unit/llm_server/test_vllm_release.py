# SPDX-License-Identifier: Apache-2.0
"""vLLM read without being imported, and what was so found in the releases that are locked here."""

from __future__ import annotations

import dataclasses
import json
import re
import zipfile
from pathlib import Path

import pytest
from llm_server.vllm_api import names as vllm_names
from llm_server.vllm_api.names import Name, Takes, Use

from tests import vllm_release
from tests.vllm_sources import Sources, differences, key

ROOT = Path(__file__).parents[3]
LOCKS = sorted((ROOT / "roles/vllm_venv/files/locks").glob("vllm-*.txt"))
RELEASES = sorted({re.split("-", one.stem)[1] for one in LOCKS})

TEXTS = {
    "vllm/__init__.py": "",
    "vllm/home/__init__.py": "from .deep.inner import Maker as Made, start\n",
    "vllm/home/deep/inner.py": """
from typing import TYPE_CHECKING, Generic
from vllm.base import Base

if TYPE_CHECKING:
    later: int
try:
    from vllm.base import fast as start
except ImportError:
    start = None

class Maker(Base[int], Generic[T]):
    count: int = 0

    def __init__(self, config, *more, tasks, size=1, **rest):
        self.kept = config

    @classmethod
    def of(cls, args): ...

    @staticmethod
    def pure(args, size=1): ...
""",
    "vllm/base.py": """
class Base:
    def __init__(self):
        self.below: dict = {}

    async def inherited(self, prompt, *, text=None): ...

def fast(config): ...
def fast(config, tenant=None): ...
""",
    "vllm/entrypoints/x.py": '@router.post("/v1/one")\n@router.get(\n    "/two", tags=[])\n',
}


@pytest.mark.parametrize(
    ("path", "takes"),
    [
        ("Made", Takes()),
        ("Made.__init__", Takes(("config", "tasks"), ("size",), any_place=True, any_name=True)),
        ("Made.of", Takes(("args",))),
        ("Made.pure", Takes(("args",), ("size",))),
        ("Made.inherited", Takes(("prompt",), ("text",))),
        ("Made.count", Takes()),
        ("start", Takes(("config",), ("tenant",))),
        ("Made.gone", None),
        ("gone", None),
        ("gone.of", None),
    ],
)
def test_a_name_is_found_where_it_is_made(path: str, takes: Takes | None) -> None:
    assert Sources(TEXTS).takes(Name(("vllm.moved", "vllm.home"), path, Use.SERVE)) == takes


@pytest.mark.parametrize(("path", "there"), [("kept", True), ("below", True), ("gone", False)])
def test_what_only_an_instance_has(path: str, there: bool) -> None:
    name = Name(("vllm.home",), f"Made.{path}", Use.COUNT, made_in=True)
    assert (Sources(TEXTS).takes(name) is not None) == there


def test_a_name_behind_a_guard_and_routes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        for name, text in TEXTS.items():
            wheel.writestr(name, text)
        wheel.writestr("vllm/code.so", b"\xff")
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for place in (tmp_path / "a.whl", tmp_path):
        sources = Sources.of(place)
        assert sources.takes(Name(("vllm.home.deep.inner",), "later", Use.SERVE)) == Takes()
        assert sources.routes() == {"/v1/one", "/two"}


def test_each_locked_release_has_a_record() -> None:
    assert {one.stem for one in vllm_release.RECORDS.glob("*.json")} == set(RELEASES)


@pytest.mark.parametrize("release", RELEASES)
def test_a_locked_release_is_as_the_server_knows_it(release: str) -> None:
    file = vllm_release.RECORDS / f"{release}.json"
    told = [vllm_names.told(*one) for one in differences(vllm_release.recorded(file))]
    assert told == [], "see 'A new release of vLLM' in CONTRIBUTING.md"
    assert vllm_release.tables(set(json.loads(file.read_text())["options"])) == []


@pytest.mark.parametrize("name", vllm_names.NAMES, ids=lambda name: name.path)
def test_each_name_would_be_missed(name: Name) -> None:
    found = vllm_release.recorded(vllm_release.RECORDS / f"{RELEASES[-1]}.json")
    assert [one for one, _ in differences(found | {key(name): None})] == [name]
    takes = found[key(name)]
    if name.passes is not None and takes is not None:
        more = dataclasses.replace(takes, required=(*takes.required, "tenant"))
        ((_, what),) = differences(found | {key(name): more})
        assert what == "also needs tenant"
