# SPDX-License-Identifier: Apache-2.0
"""What a release of vLLM changes for the server, read from its wheel: nothing of it is run.

tests/vllm_release 0.34.0           what differs from the server's table and the newest record
tests/vllm_release 0.34.0 --record  writes tests/fixtures/vllm_names/0.34.0.json besides
tests/vllm_release PLACE            the same of a wheel, or of a folder of installed packages
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from llm_server import settings
from llm_server.vllm_api import names as vllm_names
from llm_server.vllm_api.names import Takes, Use

from tests.vllm_sources import Sources, differences, key

RECORDS = Path(__file__).parent / "fixtures" / "vllm_names"


def read(sources: Sources) -> dict[str, Any]:
    """What is recorded of a release."""
    takes = {key(name): sources.takes(name) for name in vllm_names.NAMES}
    return {
        "names": {
            name: None if one is None else dataclasses.asdict(one) for name, one in takes.items()
        },
        "options": sorted(sources.options()),
        "routes": sorted(sources.routes()),
    }


def recorded(file: Path) -> dict[str, Takes | None]:
    """The names of a record."""
    return _takes(json.loads(file.read_text()))


def _takes(record: dict[str, Any]) -> dict[str, Takes | None]:
    return {name: None if one is None else Takes(**one) for name, one in record["names"].items()}


def _order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def newest(before: str) -> Path | None:
    """The record of the newest release that is older than one."""
    files = [one for one in RECORDS.glob("*.json") if _order(one.stem) < _order(before)]
    return max(files, key=lambda one: _order(one.stem), default=None)


def tables(options: set[str]) -> list[str]:
    """Entries of the settings' tables that a release makes untrue."""
    kept = {*settings.OWNED_BY_SERVER, *settings.NO_EFFECT, *settings.REFUSED_IF_ON}
    gone = [f"{one} is no longer an option of vLLM" for one in sorted(kept - options)]
    back = [f"{one} is an option again" for one in sorted(options & {*settings.SUCCESSORS})]
    return gone + back


def main() -> int:
    """0 where the server knows all that it needs, 1 where it does not."""
    parser = argparse.ArgumentParser(prog="tests/vllm_release", description=__doc__)
    parser.add_argument("release", help="a version, a wheel, or a folder of installed packages")
    parser.add_argument("--record", action="store_true", help="write what was found")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(asked.release)
        if not place.exists():
            place = _fetch(asked.release, Path(folder))
        sources = Sources.of(place)
    version = _version(sources) or asked.release
    found = read(sources)
    say = print
    say(f"vLLM {version}: {len(vllm_names.NAMES)} names looked at")
    differing = differences(_takes(found))
    for name, what in differing:
        say(f"  {vllm_names.told(name, what)}: {name.use.value}")
    for text in tables(set(found["options"])):
        say(f"  settings.py: {text}")
    before = newest(version)
    if before:
        old = json.loads(before.read_text())
        for kind in ("options", "routes"):
            new, gone = set(found[kind]) - set(old[kind]), set(old[kind]) - set(found[kind])
            say(f"  {kind} since {before.stem}: new {sorted(new)}, gone {sorted(gone)}")
    if asked.record:
        text = json.dumps(found, indent=1, sort_keys=True) + "\n"
        (RECORDS / f"{version}.json").write_text(text)
    return int(any(name.use is Use.SERVE for name, _ in differing))


def _version(sources: Sources) -> str:
    text = sources.texts.get("vllm/_version.py", "")
    found = re.search(r"^__version__ = version = '([\d.]+)", text, re.MULTILINE)
    return found[1] if found else ""


def _fetch(version: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), f"vllm=={version}"]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


if __name__ == "__main__":
    sys.exit(main())
