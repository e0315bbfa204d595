# SPDX-License-Identifier: Apache-2.0
"""Shows what a command in the background says, until it ends."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleActionSkip
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

MODULE = "llmops.gce_vllm.follow_job"
display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs the module of the same name again and again, and asks for the job in between."""

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Follow the job; the result is that of the command, with the lines shown."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            raise AnsibleActionSkip("in check mode nothing was started")
        args: dict[str, Any] = {"offset": 0} | dict(self._task.args)
        host = (task_vars or {}).get("inventory_hostname", "")
        lines: list[str] = []
        while True:
            # Asked first: what it says until it ends is read after that.
            status = self._status(args["jid"], "status", task_vars)
            seen = self._execute_module(MODULE, args, task_vars=task_vars)
            if seen.get("failed"):
                raise AnsibleActionFail(f"Can't follow the job: {seen.get('msg')}", result=seen)
            for line in seen["lines"]:
                display.display(f"  {host}: {line}")
            lines += seen["lines"]
            args["offset"] = seen["offset"]
            if status.get("finished"):
                break
        self._status(args["jid"], "cleanup", task_vars)
        result |= {name: status[name] for name in ("rc", "msg") if name in status}
        failed = bool(status.get("failed")) or status.get("rc", 0) != 0
        return result | {"changed": False, "failed": failed, "lines": lines}

    def _status(self, jid: str, mode: str, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        task = self._task.copy()
        task.args = {"jid": jid, "mode": mode}
        action = self._shared_loader_obj.action_loader.get(
            "ansible.legacy.async_status",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return dict(action.run(task_vars=task_vars))
