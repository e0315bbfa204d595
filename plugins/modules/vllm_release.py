#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: which release of vLLM a link leads to, and how many are kept beside it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vllm_release
short_description: Switch a link from one release of vLLM to another, and remove old releases
version_added: 0.2.0
description:
  - Lets a link lead to the folder of one release. It is replaced in one step, so that whoever
    follows it finds the one or the other.
  - Earlier versions made a real folder in the link's place. It is moved beside the releases under
    the name C(earlier), and still works from there.
extends_documentation_fragment:
  - llmops.gce_vllm.releases
options:
  release:
    description: Name of the release that the link shall lead to, or that is to be built.
    type: str
    required: true
  state:
    description:
      - V(current) lets the link lead to O(release).
      - V(room) makes room for it before it is built. What killed runs left behind is removed. If
        the release is still to be built, all others that never passed their test are removed too.
    type: str
    choices: [current, room]
    default: current
  keep:
    description:
      - How many releases to keep at most. The previous release, the one that served last, and any
        that runs something are always kept. V(0) keeps all.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    description: Says what would change without changing it.
  diff_mode:
    support: full
    description: Shows where the link leads, with the version of vLLM, and what is removed.
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Switch to the release that was tested
  llmops.gce_vllm.vllm_release:
    link: /opt/vllm/venv
    releases: /opt/vllm/releases
    release: 1f2e3d4c5b6a-cpu
    keep: 2
"""

RETURN = r"""
previous:
  description: Name of the release that the link led to before; empty where it led to none.
  returned: success
  type: str
switched:
  description: Whether the link led elsewhere before.
  returned: success
  type: bool
moved:
  description: Where a real folder in the link's place was moved; empty where there was none.
  returned: success
  type: str
removed:
  description: Names of the releases that were removed, and of caches.
  returned: success
  type: list
  elements: str
there:
  description: For O(state=room), whether the release is there.
  returned: success
  type: bool
free_mib:
  description: For O(state=room), the space that the disk of O(releases) has after that.
  returned: success
  type: int
"""

import os
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.venv import releases as known


def switch(module: AnsibleModule) -> dict[str, object]:
    """Brings link and releases to the desired state; returns the module's result."""
    params = module.params
    link, folder, name = Path(params["link"]), Path(params["releases"]), params["release"]
    act = not module.check_mode
    there = known.names_in(folder)
    if act and name not in there:
        module.fail_json(
            msg=f"There is no release {name} in {folder}. Those there are: {', '.join(there)}."
        )
    target = known.target_of(link)
    previous = target.name if target and target.parent == Path(os.path.realpath(folder)) else ""
    # Before anything is moved.
    version = known.vllm_version(link)
    moved = ""
    if target is None and link.exists():
        if not link.is_dir():
            module.fail_json(msg=f"{link} is a file: move it away, a link belongs there.")
        previous = _free_name(there)
        moved = str(folder / previous)
        if act:
            folder.mkdir(parents=True, exist_ok=True)
            link.rename(moved)
    differs = target != Path(os.path.realpath(folder / name))
    if act and differs:
        new = link.with_name(f".{link.name}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(os.path.relpath(folder / name, link.parent))
        new.replace(link)
    found = _all(module) if params["keep"] else []
    # What was only tried is nothing to go back to.
    served = max(
        (one for one in found if one.served_at), key=lambda one: one.served_at, default=None
    )
    needed = {name, previous, served.name if served else ""} - {""}
    removed = known.surplus(found, params["keep"], needed)
    if act:
        _remove(folder, removed)
    return {
        "changed": bool(differs or removed),
        "previous": previous,
        "switched": differs,
        "moved": moved,
        "removed": removed,
        "diff": {
            "before_header": str(link),
            "after_header": str(link),
            "before": _text(known.titled(previous, version if previous else ""), removed),
            "after": _text(known.titled(name, known.vllm_version(folder / name)), []),
        },
    }


def make_room(module: AnsibleModule) -> dict[str, object]:
    """Removes what is good for nothing; returns the module's result."""
    folder, name = Path(module.params["releases"]), module.params["release"]
    there = (folder / name).is_dir()
    left = known.half_removed(folder)
    # The next build of the same release takes up its own.
    left += [one for one in known.left_caches(folder) if one.name != f"{name}{known.CACHE}"]
    failed = [] if there else known.never_good(_all(module))
    removed = sorted([*failed, *(path.name for path in left)])
    if not module.check_mode:
        _remove(folder, failed)
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
    return {
        "changed": bool(removed),
        "removed": removed,
        "there": there,
        "free_mib": _free_mib(folder),
        "diff": {
            "before_header": str(folder),
            "after_header": str(folder),
            "before": _text("", removed),
            "after": "",
        },
    }


def _all(module: AnsibleModule) -> list[known.Release]:
    return known.list_releases(Path(module.params["releases"]), Path(module.params["link"]))


def _free_mib(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize // 2**20


def _free_name(there: list[str]) -> str:
    names = [known.EARLIER, *(f"{known.EARLIER}-{number}" for number in range(2, 100))]
    return next(name for name in names if name not in there)


def _remove(folder: Path, names: list[str]) -> None:
    """A release that is half removed must not look like one."""
    for name in names:
        (folder / name).rename(folder / f"{name}{known.GONE}")
    for gone in known.half_removed(folder):
        shutil.rmtree(gone)


def _text(name: str, others: list[str]) -> str:
    return "".join(f"{one}\n" for one in [f"-> {name}" if name else "", *others] if one)


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            **known.ARGUMENTS,
            "release": {"type": "str", "required": True},
            "keep": {"type": "int", "default": 0},
            "state": {"type": "str", "choices": ["current", "room"], "default": "current"},
        },
        supports_check_mode=True,
    )
    module.exit_json(**{"current": switch, "room": make_room}[module.params["state"]](module))


if __name__ == "__main__":
    main()
