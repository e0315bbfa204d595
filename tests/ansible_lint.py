# SPDX-License-Identifier: Apache-2.0
"""ansible-lint with all its rules, without what costs it most: `python -m tests.ansible_lint`.

It starts one ansible-playbook for the syntax of each playbook and role: here one looks at all. And
it copies each task once for each rule, with every text in it; texts can't be changed, so that the
copy of one may be itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils._internal import _datatag
from ansiblelint.__main__ import main as lint
from ansiblelint.runner import Runner

IMMUTABLE = (str, bytes, int, float)


def share_texts() -> None:
    """Has Ansible's texts and numbers, which carry where they came from, copied as themselves."""
    tagged = [
        one
        for one in vars(_datatag).values()
        if isinstance(one, type)
        and issubclass(one, _datatag.AnsibleTaggedObject)
        and issubclass(one, IMMUTABLE)
    ]
    if not tagged:
        raise RuntimeError("ansible-core tags its texts in another way: look at share_texts")
    for one in tagged:
        one.__deepcopy__ = lambda self, _memo: self  # type: ignore[attr-defined]


def collect_syntax_checks() -> list[tuple[str, Path]]:
    """Has ansible-lint name what it would check, kind and path, instead of checking it."""
    found: list[tuple[str, Path]] = []

    def collect(_runner: Runner, lintable: Any, **_: Any) -> list[Any]:
        found.append((str(lintable.kind), Path(lintable.path)))
        return []

    if not hasattr(Runner, "_get_ansible_syntax_check_matches"):
        raise RuntimeError("ansible-lint checks syntax in another way: look here")
    Runner._get_ansible_syntax_check_matches = collect  # type: ignore[method-assign]
    return found


def check_syntax(files: list[tuple[str, Path]]) -> int:
    """The syntax of all playbooks and roles; what is wrong is printed."""
    playbooks = sorted(str(path) for kind, path in files if kind == "playbook")
    roles = sorted(str(path.resolve()) for kind, path in files if kind == "role")
    play = {
        "name": "Roles",
        "hosts": "localhost",
        "tasks": [{"ansible.builtin.import_role": {"name": role}} for role in roles],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as of_roles:
        json.dump([play], of_roles)
        of_roles.flush()
        done = subprocess.run(
            ["ansible-playbook", "--syntax-check", *playbooks, of_roles.name],
            # No inventory: what hosts there are is none of its business.
            env=os.environ
            | {"ANSIBLE_INVENTORY": os.devnull, "ANSIBLE_STDOUT_CALLBACK": "default"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    checked = done.stdout.count("playbook: ")
    if done.returncode == 0 and checked != len(playbooks) + 1:
        sys.stderr.write(f"of {len(playbooks) + 1} playbooks only {checked} were checked\n")
        return 1
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
    else:
        sys.stdout.write(f"syntax of {len(playbooks)} playbooks and {len(roles)} roles: well\n")
    return done.returncode


def main() -> int:
    """Both; the exit status of the first that finds something."""
    share_texts()
    files = collect_syntax_checks()
    status = lint(["ansible-lint", *sys.argv[1:]])
    return status or check_syntax(files)


if __name__ == "__main__":
    sys.exit(main())
