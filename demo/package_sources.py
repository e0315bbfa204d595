# SPDX-License-Identifier: Apache-2.0
"""Where this machine gets Python packages from, so that machines booted on it can do the same.

`python -m demo.package_sources` prints what `discover` returns, as JSON.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LOCKS = Path(__file__).resolve().parent.parent / "roles" / "vllm_venv" / "files" / "locks"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SYSTEM_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

# A line of `pip config list`: where it stands, the key's name, and a Python literal.
_PIP_LINE = re.compile(r"^(?P<place>[\w:-]+)\.(?P<key>[\w-]+)='(?P<value>.*)'$")
# Settings of the environment beat those for `install`, and these those for everything.
_PLACES = (":env:", "install", "global")


def discover() -> dict[str, Any]:
    """Read this machine's settings for pip and uv.

    Returns:
        index_url (empty for the public index), extra_index_urls, find_links (folders that exist),
        ca_bundle (empty where there is none) and mounts, each `SOURCE:TARGET:ro`, which make the
        folders and the bundle visible to a machine under the same paths.
    """
    return sources(_pip_settings(), os.environ)


def sources(pip: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Put settings together.

    Args:
        pip: pip's options by long name, without the dashes (`find-links`).
        environment: this process's environment, for uv's settings.
    """
    index_url = (
        environment.get("UV_DEFAULT_INDEX")
        or environment.get("UV_INDEX_URL")
        or pip.get("index-url", "")
    )
    extra = [
        *environment.get("UV_INDEX", "").split(),
        *environment.get("UV_EXTRA_INDEX_URL", "").split(),
        *pip.get("extra-index-url", "").split(),
    ]
    links = [*environment.get("UV_FIND_LINKS", "").split(","), *pip.get("find-links", "").split()]
    folders = [folder for folder in map(_folder_of, _unique(links)) if folder]
    if not has_torch_cpu(folders):
        extra.append(TORCH_CPU_INDEX)
    bundles = [pip.get("cert", ""), environment.get("SSL_CERT_FILE", ""), SYSTEM_CA_BUNDLE]
    ca_bundle = next((path for path in bundles if path and Path(path).is_file()), "")
    return {
        "index_url": index_url,
        "extra_index_urls": _unique(extra),
        "find_links": folders,
        "ca_bundle": ca_bundle,
        "mounts": _mounts(folders, [index_url, *extra], ca_bundle),
    }


def has_torch_cpu(folders: Iterable[str]) -> bool:
    """Whether one of the folders holds the very torch that the CPU lock names."""
    text = "".join(path.read_text() for path in LOCKS.glob("*-cpu-*.txt"))
    match = re.search(r"^torch==(\S+)", text, re.MULTILINE)
    if match is None:
        return False
    return any(any(Path(folder).glob(f"torch-{match[1]}-*.whl")) for folder in folders)


def _folder_of(place: str) -> str:
    """A folder on this machine that a setting names, empty for anything else."""
    parts = urlsplit(place)
    path = unquote(parts.path) if parts.scheme == "file" else place
    return path if path and Path(path).is_dir() else ""


def _mounts(folders: list[str], indexes: list[str], ca_bundle: str) -> list[str]:
    """What a machine must see: folders of wheels, indexes kept in files, the CA bundle."""
    kept = [_index_root(path) for path in map(_folder_of, indexes) if path]
    found = [f"{folder}:{folder}:ro" for folder in _unique([*folders, *kept])]
    if ca_bundle:
        found.append(f"{ca_bundle}:{SYSTEM_CA_BUNDLE}:ro")
    return found


def _index_root(folder: str) -> str:
    """What to mount of an index in files: its pages link from simple/ to the neighbour files/."""
    path = Path(folder)
    return str(path.parent if path.name == "simple" else path)


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(item for item in items if item))


def parse_pip_config(text: str) -> dict[str, str]:
    """Read `pip config list`; a setting of the environment beats one of a file."""
    found: dict[str, dict[str, str]] = {place: {} for place in _PLACES}
    for line in text.splitlines():
        match = _PIP_LINE.match(line.strip())
        if match and match["place"] in found:
            # Several values stand on lines of their own, which pip prints as \n.
            found[match["place"]][match["key"]] = match["value"].replace("\\n", " ").strip()
    merged: dict[str, str] = {}
    for place in reversed(_PLACES):
        merged.update(found[place])
    return merged


def _pip_settings() -> dict[str, str]:
    """Ask whichever pip there is; the environment alone where there is none."""
    for command in _pips():
        done = subprocess.run(
            [*command, "config", "list"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return parse_pip_config(done.stdout)
    names = ("index-url", "extra-index-url", "find-links", "cert")
    values = {name: os.environ.get(f"PIP_{name.upper().replace('-', '_')}", "") for name in names}
    return {name: value for name, value in values.items() if value}


def _pips() -> Iterable[list[str]]:
    yield [sys.executable, "-m", "pip"]
    for program in ("pip3", "pip"):
        path = shutil.which(program)
        if path:
            yield [path]
    for program in ("/usr/bin/python3", "python3"):
        if shutil.which(program):
            yield [program, "-m", "pip"]


def main() -> None:
    """Print the sources as JSON."""
    sys.stdout.write(json.dumps(discover(), indent=2) + "\n")


if __name__ == "__main__":
    main()
