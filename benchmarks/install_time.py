# SPDX-License-Identifier: Apache-2.0
"""How long uv and pip take to install one lock into a new environment, with empty and full caches.

    python -m benchmarks.install_time LOCK --python /usr/bin/python3.11 --out FILE.json

Both install with hashes, from where this machine's pip is set up to look; uv is found on PATH. The
order is uv cold, uv warm, pip cold, pip warm; the page cache is not emptied between them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from demo import package_sources


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    lock = options.lock.resolve()
    sources = package_sources.discover()
    result: dict[str, Any] = {"lock": lock.name, "cores": os.cpu_count(), "seconds": {}}
    with tempfile.TemporaryDirectory(prefix="install-time.") as folder:
        for tool in ("uv", "pip"):
            for cache in ("cold", "warm"):
                venv = Path(folder) / f"{tool}-{cache}"
                command, settings = commands(tool, Path(folder) / f"{tool}-cache", sources)
                subprocess.run([options.python, "-m", "venv", venv], check=True)
                started = time.monotonic()
                subprocess.run(
                    [*command(venv), "-r", str(lock)], env={**os.environ, **settings}, check=True
                )
                result["seconds"][f"{tool} {cache}"] = round(time.monotonic() - started, 1)
                result.setdefault("packages", packages(venv))
                if packages(venv) != result["packages"]:
                    raise SystemExit(f"{tool} installed another number of packages")
                subprocess.run(["rm", "-rf", venv], check=True)
                print(tool, cache, result["seconds"][f"{tool} {cache}"], flush=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")


def commands(tool: str, cache: Path, sources: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """From an environment to the command that installs into it, and settings of the environment."""
    indexes, links = sources["extra_index_urls"], sources["find_links"]
    if tool == "uv":
        settings = {
            "UV_CACHE_DIR": str(cache),
            "UV_INDEX": " ".join(indexes),
            "UV_FIND_LINKS": ",".join(links),
            "UV_INDEX_STRATEGY": "unsafe-best-match",
            "UV_SYSTEM_CERTS": "1",
            "UV_LINK_MODE": "copy",
        }
        if sources["index_url"]:
            settings["UV_DEFAULT_INDEX"] = sources["index_url"]
        common = ["--quiet", "--no-deps", "--require-hashes", "--no-build"]
        return (
            lambda venv: ["uv", "pip", "install", *common, "--python", f"{venv}/bin/python"],
            settings,
        )
    settings = {"PIP_CACHE_DIR": str(cache), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return (
        lambda venv: [
            *(f"{venv}/bin/pip", "install", "--quiet", "--no-deps"),
            *("--require-hashes", "--only-binary=:all:"),
        ],
        settings,
    )


def packages(venv: Path) -> int:
    """How many packages an environment has, without those that it began with."""
    names = {
        path.name.split("-")[0].lower() for path in venv.glob("lib/*/site-packages/*.dist-info")
    }
    return len(names - {"pip", "setuptools"})


if __name__ == "__main__":
    main()
