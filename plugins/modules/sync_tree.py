#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a folder of text files that is exactly what the controller has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sync_tree
short_description: Keep a folder exactly as it is on the controller
version_added: 0.1.0
description:
  - Copies a small folder of text files in one step. Repairs files that were edited or whose owner
    or mode differ, and removes what does not belong there. Compiled Python (C(__pycache__)) is left
    alone.
  - Needs nothing on the host but Python.
options:
  src:
    description: Folder on the controller.
    type: path
    required: true
  dest:
    description: Folder on the host. Missing parents are made.
    type: path
    required: true
  owner:
    description: Owner of the folder and all in it.
    type: str
    default: root
  group:
    description: Group of the folder and all in it.
    type: str
    default: root
  _files:
    description: Path below O(src) and text of each file. The action reads them; nobody gives them.
    type: dict
attributes:
  check_mode:
    description: Says what would change without changing it.
    support: full
  diff_mode:
    description: Shows each file that differs.
    support: full
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: The server's package is what this collection ships
  llmops.gce_vllm.sync_tree:
    src: "{{ role_path }}/../../files/llm_server"
    dest: /opt/llm-server/llm_server
"""

RETURN = r"""
added:
  description: Files that were missing.
  returned: success
  type: list
  elements: str
updated:
  description: Files whose contents, owner or mode differed.
  returned: success
  type: list
  elements: str
removed:
  description: Files and folders that do not belong there.
  returned: success
  type: list
  elements: str
"""

import os
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

SKIPPED = "__pycache__"
FILE_MODE = "0644"
FOLDER_MODE = "0755"


def strays(root: Path, wanted: dict[str, str]) -> list[str]:
    """Relative paths below `root` that are not wanted, or that are of the wrong kind."""
    folders = {str(parent) for name in wanted for parent in Path(name).parents} - {"."}
    found = []
    for path, dirs, files in os.walk(root):
        here = Path(path)
        for name in list(dirs):
            relative = str((here / name).relative_to(root))
            link = (here / name).is_symlink()
            if link or (relative not in folders and name != SKIPPED):
                found.append(relative)
            if link or relative not in folders:
                dirs.remove(name)
        for name in files:
            relative = str((here / name).relative_to(root))
            if relative not in wanted or (here / name).is_symlink():
                found.append(relative)
    return sorted(found)


def current(path: Path) -> str | None:
    """Text of a file; None where there is none."""
    if path.is_symlink() or not path.is_file():
        return None
    return path.read_text(encoding="utf-8", errors="replace")


def write(path: Path, text: str) -> None:
    """Replaces a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def fix_attributes(module: AnsibleModule, path: Path, mode: str) -> bool:
    """Sets owner, group and mode; returns whether they differ(ed)."""
    if not path.exists():
        return False
    attributes = {
        "path": str(path),
        "owner": module.params["owner"],
        "group": module.params["group"],
    }
    attributes |= {"mode": mode, "secontext": [None, None, None], "attributes": None}
    return bool(module.set_fs_attributes_if_different(attributes, False))


def sync(module: AnsibleModule) -> dict[str, object]:
    """Brings the folder to the desired state; returns the module's result."""
    root, wanted = Path(module.params["dest"]), module.params["_files"]
    act = not module.check_mode
    replace_root = root.is_symlink() or (root.exists() and not root.is_dir())
    removed = [] if replace_root else strays(root, wanted)
    diff = [
        {"before_header": n, "after_header": n, "before": f"{n}\n", "after": ""} for n in removed
    ]
    before = {n: None if replace_root or n in removed else current(root / n) for n in wanted}
    if act:
        if replace_root:
            root.unlink()
        for name in removed:
            remove(root / name)
    changed = [name for name in wanted if before[name] != wanted[name]]
    for name in changed:
        header = str(root / name)
        diff.append(
            {
                "before_header": header,
                "after_header": header,
                "before": before[name] or "",
                "after": wanted[name],
            }
        )
        if act:
            write(root / name, wanted[name])
    folders = {root, *(root / parent for name in wanted for parent in Path(name).parents)}
    fixed = {str(f) for f in sorted(folders) if fix_attributes(module, f, FOLDER_MODE)}
    fixed |= {name for name in wanted if fix_attributes(module, root / name, FILE_MODE)}
    added = [name for name in changed if before[name] is None]
    updated = sorted((set(changed) | fixed) - set(added))
    return {
        "changed": bool(replace_root or removed or changed or fixed),
        "added": added,
        "updated": updated,
        "removed": removed,
        "diff": diff,
    }


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "_files": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    if module.params["_files"] is None:
        module.fail_json(msg="sync_tree runs as a task of a playbook, which reads the files.")
    module.exit_json(**sync(module))


if __name__ == "__main__":
    main()
