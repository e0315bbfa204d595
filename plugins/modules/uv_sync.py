#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a virtual environment that holds exactly what a hash-locked file says."""

from __future__ import annotations

DOCUMENTATION = r"""
module: uv_sync
short_description: Keep a Python virtual environment exactly as its lock says
version_added: 0.1.0
description:
  - Creates the environment with uv where it is missing. Then installs, reinstalls and removes
    packages until it holds what the lock names. Each package is checked against the lock's hashes.
  - Finds packages that were added, removed, changed in version, edited or deleted in part. Finds
    what an interrupted run left half installed, and modules and C(.pth) files that no package
    brought. It needs no network for that.
options:
  venv:
    description: Folder of the environment.
    type: path
    required: true
  lock:
    description:
      - The lock, made by C(uv pip compile --generate-hashes) for one Python and one platform. A
        file on the controller, looked up where a role keeps its files.
    type: path
    required: true
  uv:
    description: The uv program on the host.
    type: path
    required: true
  python:
    description: The interpreter that the environment is made from.
    type: path
    default: /usr/bin/python3
  python_version:
    description: C(MAJOR.MINOR) that the lock was made for. Any other interpreter is refused.
    type: str
  verify:
    description:
      - Whether an edit is found by the files' names and sizes, or by their contents (V(full)). The
        latter reads the whole environment.
    type: str
    choices: [size, full]
    default: size
  stamp:
    description:
      - A file that says that somebody tested the environment as it is. It is removed before
        anything changes, so an interrupted run leaves no untested environment marked as tested.
    type: path
  wheelhouse:
    description:
      - Folder on the controller with the packages' files. Packages to install are copied from there
        to the host, if the lock knows their checksum. No package index is asked.
    type: path
  build_from_source:
    description:
      - Whether a package may come as a source archive, which is built on the host. The build runs
        code of the archive, and packages that the lock does not name, as the user who installs.
      - Without it only wheels are taken.
    type: bool
    default: false
  no_index:
    description: Ask no package index at all; everything is in O(find_links).
    type: bool
    default: false
  index_url:
    description: Package index that replaces the public one. A password in it is kept out of logs.
    type: str
  extra_index_urls:
    description: Package indexes asked besides.
    type: list
    elements: str
    default: []
  find_links:
    description: Folders on the host, or pages, that hold wheels.
    type: list
    elements: str
    default: []
  cache_dir:
    description:
      - Where uv keeps what it downloads, for other environments and later runs. Without it nothing
        is kept, which saves the disk that a second copy needs.
    type: path
attributes:
  check_mode:
    support: full
    description: Says what would change without changing it.
  diff_mode:
    support: full
    description: Shows the packages that differ.
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Bring the environment to what the lock says
  llmops.gce_vllm.uv_sync:
    venv: /opt/vllm/venv
    lock: locks/vllm-0.32.0-cpu-py311.txt
    uv: /opt/vllm/uv/bin/uv
    python_version: "3.11"
"""

RETURN = r"""
installed:
  description: Package to why it was installed or reinstalled.
  returned: always
  type: dict
  sample: {"numpy": "is 2.3.4", "torch": "missing"}
removed:
  description: Packages that the lock doesn't know.
  returned: always
  type: list
  elements: str
strays:
  description: Modules, folders and C(.pth) files that no package brought, and that were removed.
  returned: always
  type: list
  elements: str
created:
  description: Whether the environment was recreated, and why.
  returned: always
  type: str
lock_sha256:
  description: Checksum of the lock; changes when the environment's contents are meant to.
  returned: always
  type: str
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.venv.lock import (
    LockError,
    Pin,
    Plan,
    canonical,
    describe,
    find_damage,
    find_strays,
    is_torn,
    list_packages,
    make_plan,
    parse_lock,
)
from ..module_utils.venv.uv import (
    INDEX_ARGUMENTS,
    Uv,
    UvModule,
)

VERSION_PROGRAM = "import sys; print('%d.%d' % sys.version_info[:2])"
# What uv puts into a new environment.
PARTS = {"bin", "include", "lib", "lib64", "share", ".gitignore", ".lock", "CACHEDIR.TAG"}
PREFIX_PROGRAM = "import sys; print(sys.prefix)"


class Environment:
    """One virtual environment and the uv that keeps it."""

    def __init__(self, module: AnsibleModule, uv: Uv) -> None:
        self._module = module
        self._uv = uv
        self._wanted_python = module.params["python"]
        self._reads_contents = module.params["verify"] == "full"
        self.path = Path(module.params["venv"])
        self.python = self.path / "bin" / "python"

    def version_of(self, python: Path | str) -> str | None:
        """`MAJOR.MINOR` of an interpreter; None where it doesn't run."""
        if not Path(python).exists():
            return None
        code, out, _err = self._module.run_command([str(python), "-c", VERSION_PROGRAM])
        return out.strip() if code == 0 else None

    def installed(self) -> dict[str, str]:
        """Canonical name -> version, as uv reads it; by the folders' names where it is missing."""
        if not self._uv.is_there:
            return list_packages(self.site_packages())
        out = self._uv.run("list packages", "pip", "list", *self._target(), "--format=json")
        return {canonical(item["name"]): item["version"] for item in json.loads(out)}

    def is_whole(self) -> bool:
        """Whether its interpreter, which runs, is one of its own and has a place for packages."""
        code, out, _err = self._module.run_command([str(self.python), "-c", PREFIX_PROGRAM])
        own = code == 0 and Path(out.strip()) == self.path
        return own and any(self.path.glob("lib/python*/site-packages"))

    def site_packages(self) -> Path:
        """The folder that holds the packages."""
        return next(self.path.glob("lib/python*/site-packages"))

    def plan(self, pins: Mapping[str, Pin], installed: Mapping[str, str]) -> Plan:
        """What has to change in an environment that is there."""
        folder = self.site_packages()
        damage = find_damage(folder, self._reads_contents)
        return make_plan(pins, installed, damage, find_strays(folder))

    def create(self) -> None:
        """Make the environment, in place of one that is there."""
        self._drop_half_made()
        self._uv.run(
            f"make {self.path}",
            *("venv", "--quiet", "--clear", "--python", self._wanted_python, str(self.path)),
        )

    def _drop_half_made(self) -> None:
        """What uv would not clear, since it doesn't look like an environment yet."""
        if not self.path.exists() or (self.path / "pyvenv.cfg").exists():
            return
        strange = sorted({path.name for path in self.path.iterdir()} - PARTS)
        if strange:
            self._module.fail_json(
                msg=f"{self.path} is no environment, and holds {', '.join(strange[:5])}: "
                "move that away, or name another folder."
            )
        shutil.rmtree(self.path)

    def apply(self, plan: Plan, pins: Mapping[str, Pin], installed: Mapping[str, str]) -> None:
        """Carry out a plan."""
        self._drop_strays(plan.strays)
        self._drop_torn_metadata(plan)
        gone = [name for name in plan.remove if name in self.installed()]
        if gone:
            self._uv.run("remove packages", "pip", "uninstall", "--quiet", *self._target(), *gone)
        if not plan.install:
            return
        same = [n for n in plan.install if installed.get(n) == pins[n].version]
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as subset:
            subset.writelines(f"{pins[name].text}\n" for name in plan.install)
            subset.flush()
            self._uv.install(
                f"install into {self.path}",
                *self._target(),
                *("--requirement", subset.name),
                *(f"--reinstall-package={name}" for name in same),
            )

    def _drop_torn_metadata(self, plan: Plan) -> None:
        """Forget packages without a true list of their files: uv can't uninstall those."""
        for info in self.site_packages().glob("*.dist-info"):
            name = canonical(info.name.removesuffix(".dist-info").partition("-")[0])
            if name in {*plan.install, *plan.remove} and is_torn(info):
                shutil.rmtree(info)

    def _drop_strays(self, names: Iterable[str]) -> None:
        for name in names:
            path = self.site_packages() / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    @property
    def has_open_lock(self) -> bool:
        """Whether others may open the file by which uv waits for uv, and hold it for ever."""
        file = self.path / ".lock"
        return file.exists() and file.stat().st_mode & 0o077 != 0

    def close_lock(self) -> None:
        """Leave it to its owner alone; uv makes it for everybody."""
        if self.has_open_lock:
            (self.path / ".lock").chmod(0o600)

    def _target(self) -> tuple[str, str]:
        return ("--python", str(self.python))


def sync(module: AnsibleModule, uv: Uv) -> dict[str, object]:
    """Bring the environment to its lock; returns the module's result."""
    params = module.params
    lock_text = Path(params["lock"]).read_text(encoding="utf-8")
    try:
        pins = parse_lock(lock_text)
    except LockError as error:
        module.fail_json(msg=f"The lock {params['lock']} can't be used: {error}")
    env = Environment(module, uv)
    if not uv.is_there and not module.check_mode:
        module.fail_json(msg=f"uv is not at {params['uv']}: install it there, or name where it is.")

    created = _reason_to_create(module, env)
    open_lock = not created and env.has_open_lock
    installed = {} if created else env.installed()
    plan = make_plan(pins, {}, {}) if created else env.plan(pins, installed)
    if not module.check_mode and (created or plan):
        if params["stamp"]:
            Path(params["stamp"]).unlink(missing_ok=True)
        if created:
            env.create()
        env.apply(plan, pins, installed)
        # While a list of files was torn, nobody could tell what no package brought.
        late = tuple(find_strays(env.site_packages()))
        env.apply(Plan(strays=late), pins, installed)
        plan = Plan(plan.install, plan.remove, tuple(sorted({*plan.strays, *late})))
        rest = env.plan(pins, env.installed())
        if rest:
            module.fail_json(
                msg=f"{env.path} still differs from the lock after the install: "
                f"{dict(rest.install)}, to be removed: {[*rest.remove, *rest.strays]}"
            )
    if not module.check_mode:
        env.close_lock()
    diff = describe(plan, pins, installed)
    if open_lock:
        diff = {
            "before": f"{diff['before']}.lock open to everybody\n",
            "after": f"{diff['after']}.lock open to its owner\n",
        }
    return {
        "changed": bool(created or plan or open_lock),
        "created": created,
        "installed": dict(plan.install),
        "removed": list(plan.remove),
        "strays": list(plan.strays),
        "lock_sha256": hashlib.sha256(lock_text.encode()).hexdigest(),
        "diff": {
            **diff,
            "before_header": str(env.path),
            "after_header": f"{env.path} by its lock",
        },
    }


def _reason_to_create(module: AnsibleModule, env: Environment) -> str:
    """Why the environment must be recreated, empty where it stays; refuses the wrong Python."""
    python, wanted = module.params["python"], module.params["python_version"]
    version = env.version_of(python)
    if version is None and module.check_mode and not env.path.exists():
        return "it was missing"  # and so may be the Python that a real run downloads
    if version is None:
        module.fail_json(msg=f"There is no Python that runs at {python}.")
    if wanted and version != wanted:
        module.fail_json(
            msg=f"{python} is Python {version}, the lock is for Python {wanted}. Boot an image "
            f"whose Python is {wanted}, or name another interpreter or another lock."
        )
    if not env.path.exists():
        return "it was missing"
    found = env.version_of(env.python)
    if found is None:
        return "its Python does not run"
    if not env.is_whole():
        return "it was not fully made"
    return "" if found == version else f"it was made with Python {found}"


def main() -> None:
    """Entry point of the module."""
    module = UvModule(
        argument_spec={
            "venv": {"type": "path", "required": True},
            "lock": {"type": "path", "required": True},
            **INDEX_ARGUMENTS,
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "python_version": {"type": "str"},
            "verify": {"type": "str", "choices": ["size", "full"], "default": "size"},
            "stamp": {"type": "path"},
            "build_from_source": {"type": "bool", "default": False},
            "no_index": {"type": "bool", "default": False},
            "wheelhouse": {"type": "path"},
            "cache_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if module.params["cache_dir"]:
        module.exit_json(**sync(module, Uv(module, Path(module.params["cache_dir"]), True)))
    # Beside the environment, so that files are linked rather than copied; the same name each time,
    # so that a run that was interrupted leaves nothing for good.
    cache = Path(module.params["venv"] + ".cache")
    try:
        result = sync(module, Uv(module, cache, False))
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
