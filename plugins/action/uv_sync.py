# SPDX-License-Identifier: Apache-2.0
"""Controller's half of uv_sync: hands the lock to the host, in check mode too."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """Looks the lock up where a role keeps its files and sends it along."""

    TRANSFERS_FILES = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the module with the lock's path on the host."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        if "lock" in args:
            try:
                source = self._find_needle("files", args["lock"])
            except AnsibleError as error:
                raise AnsibleActionFail(
                    f"There is no lock {args['lock']} for this release, build and Python: {error}"
                ) from error
            self._connection._shell.tmpdir or self._make_tmp_path()
            target = self._connection._shell.join_path(self._connection._shell.tmpdir, "lock.txt")
            args["lock"] = self._transfer_file(source, target)
            self._fixup_perms2((self._connection._shell.tmpdir, target))
        result.update(self._execute_module(module_args=args, task_vars=task_vars))
        self._remove_tmp_path(self._connection._shell.tmpdir)
        return result
