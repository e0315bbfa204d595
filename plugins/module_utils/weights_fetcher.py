# SPDX-License-Identifier: Apache-2.0
"""Brings one model's files into a folder, with their manifest, from wherever its options say."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import weights_choice, weights_download, weights_manifest, weights_package, weights_sources
from .weights_place import replace


def describe_source(params: dict[str, Any]) -> dict[str, Any]:
    """What identifies the files, as the manifest and the cache know it."""
    if params["source"] == "package":
        package = {key: params["package"][key] for key in ("requirement", "sha256", "file")}
        return {"source": "package", **package}
    keys = ("repository", "revision", "ignore_patterns")
    given = {key: params[key] for key in ("allow_pickle", "manifest_sha256") if params[key]}
    return {"source": params["source"], **{key: params[key] for key in keys}, **given}


def source_key(source: dict[str, Any]) -> str:
    """A short name for a source, the same for the same source."""
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:16]


class Fetcher:
    """Brings one model's files into a folder."""

    def __init__(self, module: AnsibleModule, source: dict[str, Any]) -> None:
        self._module = module
        self._params = module.params
        self._source = source

    def into(self, folder: Path) -> bool:
        """Fill a folder and write its manifest; True where the cache had the files.

        Raises:
            FetchError: they can't be had.
        """
        if not weights_manifest.differences(folder, self._source, full=True):
            return False  # An earlier run was cut off after the last file.
        cached = self._cached()
        if cached and not weights_manifest.differences(cached, self._source, full=True):
            weights_download.check_space(folder, _bytes_of(cached))
            shutil.copytree(cached, folder, dirs_exist_ok=True)
            return True
        if self._source["source"] == "package":
            resolved = weights_package.fetch(self._module, folder)
            known: dict[str, str] = {}
        else:
            resolved, known = self._download(folder, cached)
        manifest = weights_manifest.build(folder, self._source, resolved, known)
        weights_manifest.write(folder, manifest)
        if cached:
            replace(cached, "copy", lambda copy: shutil.copytree(folder, copy, dirs_exist_ok=True))
        return False

    def _cached(self) -> Path | None:
        if not self._params["cache_dir"]:
            return None
        return Path(self._params["cache_dir"]) / source_key(self._source)

    def _download(self, folder: Path, cached: Path | None) -> tuple[str, dict[str, str]]:
        params = self._params
        wish = weights_sources.Wish(
            repository=params["repository"],
            revision=params["revision"],
            token=params["token"] or "",
            hub=params["hub"],
            storage=params["storage"],
            ignore=tuple(params["ignore_patterns"]),
            allow_pickle=params["allow_pickle"],
            manifest_sha256=params["manifest_sha256"],
        )
        offer = weights_sources.look(params["source"], wish)
        (folder / weights_manifest.MANIFEST).unlink(missing_ok=True)
        needed = weights_download.missing_bytes(offer, folder)
        if cached:
            cached.parent.mkdir(parents=True, exist_ok=True)
            copy = sum(file.size for file in offer.files.values())
            if cached.parent.stat().st_dev == folder.stat().st_dev:
                needed += copy
            else:
                weights_download.check_space(cached.parent, copy)
        weights_download.check_space(folder, needed)
        index = offer.files.get(weights_choice.INDEX)
        if index:
            # Before the weights, so that an incomplete model costs nothing.
            text = offer.place.read(index.url)
            weights_choice.check_index(text, offer.files, offer.place.where)
        return offer.resolved, weights_download.download(offer, folder)


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
