# SPDX-License-Identifier: Apache-2.0
"""Runs uv for modules that install from a package index."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..redacting_module import AddressModule

# Seen of uv 0.13.9.
_NO_WHEEL = re.compile(r"[Bb]uilding source distributions|no usable wheels|no wheels", re.DOTALL)
INDEX_ARGUMENTS: dict[str, dict[str, Any]] = {
    "uv": {"type": "path", "required": True},
    "index_url": {"type": "str"},
    "extra_index_urls": {"type": "list", "elements": "str", "default": []},
    "find_links": {"type": "list", "elements": "str", "default": []},
}


class UvModule(AddressModule):
    """A module with these options."""

    address_options = ("index_url", "extra_index_urls", "find_links")


class Uv:
    """uv with the settings of one module's run.

    Args:
        cache: folder that uv keeps its downloads in.
        keeps_cache: whether the cache outlives the run. One that does must not share its files
            with what is installed: an edit there would spoil both.
    """

    def __init__(self, module: AnsibleModule, cache: Path, keeps_cache: bool) -> None:
        self._module = module
        self._program: str = module.params["uv"]
        self._settings = {
            "UV_CACHE_DIR": str(cache),
            "UV_NO_CONFIG": "1",
            "UV_NO_PROGRESS": "1",
            "UV_SYSTEM_CERTS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_LINK_MODE": "copy" if keeps_cache else "hardlink",
            # Hashes make it safe to take a wheel from whichever index has it.
            "UV_INDEX_STRATEGY": "unsafe-best-match",
            **_addresses(module.params),
        }
        self._builds = bool(module.params.get("build_from_source"))
        if module.params.get("no_index"):
            self._settings["UV_NO_INDEX"] = "1"

    @property
    def is_there(self) -> bool:
        """Whether the program can be run at all."""
        return os.access(self._program, os.X_OK)

    def run(self, purpose: str, *args: str) -> str:
        """Run uv; fails the module with what was tried and what uv said."""
        code, out, err = self._module.run_command(
            [self._program, *args],
            environ_update=self._settings,
            # uv would read a uv.toml or pyproject.toml where it stands.
            cwd="/",
        )
        if code != 0:
            said = err.strip() or out.strip()
            self._module.fail_json(
                msg=f"uv could not {purpose} (which package indexes it asks is set by index_url, "
                f"extra_index_urls and find_links): {said}{self._hint(said)}",
                rc=code,
            )
        return str(out)

    def install(self, purpose: str, *args: str) -> str:
        """`uv pip install` of what a lock names, by wheels alone unless the module says otherwise.

        A source archive runs its own code when it is built, with packages that no lock names, as
        the user who installs. uv 0.13 doesn't heed UV_NO_BUILD here, only the option.
        """
        wheels = () if self._builds else ("--no-build",)
        return self.run(
            purpose, "pip", "install", "--quiet", "--no-deps", "--require-hashes", *wheels, *args
        )

    def _hint(self, said: str) -> str:
        """What to do where there is a source archive and no wheel."""
        if self._builds or not _NO_WHEEL.search(said):
            return ""
        own = "build_from_source" in self._module.params
        option = ", or set build_from_source (vllm_venv_build_from_source)" if own else ""
        return (
            " Nothing is built from source, since a build runs code that no hash covers: name an "
            f"index or a folder that has the wheel{option}."
        )


def _addresses(params: dict[str, Any]) -> dict[str, str]:
    """Where to look for packages; by the environment, since an address may hold a password."""
    settings = {
        "UV_DEFAULT_INDEX": params["index_url"] or "",
        "UV_INDEX": " ".join(params["extra_index_urls"]),
        "UV_FIND_LINKS": ",".join(params["find_links"]),
    }
    return {key: value for key, value in settings.items() if value}
