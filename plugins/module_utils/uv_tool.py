# SPDX-License-Identifier: Apache-2.0
"""Runs uv for modules that install from a package index."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from .quiet_module import AddressModule

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
            # Hashes make it safe to take a file from whichever index has it.
            "UV_INDEX_STRATEGY": "unsafe-best-match",
            **_addresses(module.params),
        }
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
            self._module.fail_json(
                msg=f"uv could not {purpose} (which package indexes it asks is set by index_url, "
                f"extra_index_urls and find_links): {err.strip() or out.strip()}",
                rc=code,
            )
        return str(out)


def _addresses(params: dict[str, Any]) -> dict[str, str]:
    """Where to look for packages; by the environment, since an address may hold a password."""
    settings = {
        "UV_DEFAULT_INDEX": params["index_url"] or "",
        "UV_INDEX": " ".join(params["extra_index_urls"]),
        "UV_FIND_LINKS": ",".join(params["find_links"]),
    }
    return {key: value for key, value in settings.items() if value}
