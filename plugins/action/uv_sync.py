# SPDX-License-Identifier: Apache-2.0
"""Controller's half of uv_sync: hands the lock to the host, and the packages that it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ..module_utils.venv.lock import parse_lock
from ..plugin_utils.wheelhouse import (
    WheelhouseError,
    choose,
)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Looks the lock up where a role keeps its files and sends it along."""

    TRANSFERS_FILES = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the module with the lock's path on the host."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        try:
            if "lock" in args:
                source = self._find_lock(args["lock"])
                args["lock"] = self._send(Path(source), "lock.txt")
                if args.get("wheelhouse"):
                    args |= self._from_wheelhouse(args, Path(source), task_vars)
            result.update(self._execute_module(module_args=args, task_vars=task_vars))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _find_lock(self, name: str) -> str:
        try:
            return str(self._find_needle("files", name))
        except AnsibleError as error:
            raise AnsibleActionFail(
                f"There is no lock {name} for this release, build and Python: {error}"
            ) from error

    def _from_wheelhouse(
        self, args: dict[str, Any], lock: Path, task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The arguments by which the module finds what it lacks on the host."""
        lacking = self._lacking(args, task_vars)
        folder = Path(args["wheelhouse"]).expanduser()
        try:
            files = choose(
                folder,
                parse_lock(lock.read_text(encoding="utf-8")),
                lacking,
                sources=boolean(args.get("build_from_source", False)),
            )
        except (OSError, ValueError) as error:
            kind = "" if isinstance(error, WheelhouseError) else f"The wheelhouse {folder}: "
            raise AnsibleActionFail(f"{kind}{error}") from error
        if not self._task.check_mode:
            for file in files:
                self._send(file, file.name)
        return {
            "no_index": True,
            "index_url": None,
            "extra_index_urls": [],
            "find_links": [self._connection._shell.tmpdir],
        }

    def _lacking(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> list[str]:
        """What a run would install: asked in check mode, which changes nothing."""
        checks = self._task.check_mode
        self._task.check_mode = True
        try:
            planned = self._execute_module(module_args=args, task_vars=task_vars)
        finally:
            self._task.check_mode = checks
        if planned.get("failed"):
            raise AnsibleActionFail(planned.get("msg", "uv_sync failed"), result=planned)
        return list(planned["installed"])

    def _send(self, source: Path, name: str) -> str:
        """Copies a file into the task's own folder on the host; returns where it is."""
        self._connection._shell.tmpdir or self._make_tmp_path()
        target = self._connection._shell.join_path(self._connection._shell.tmpdir, name)
        sent = str(self._transfer_file(str(source), target))
        self._fixup_perms2((self._connection._shell.tmpdir, target))
        return sent
