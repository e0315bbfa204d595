# SPDX-License-Identifier: Apache-2.0
"""Shows what a command in the background says, until it ends."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleActionSkip
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

MODULE = "llmops.gce_vllm.follow_job"
display = Display()


class JobFollower(ActionBase):  # type: ignore[misc]
    """An action that follows a job, its own or another task's."""

    def follow(
        self, args: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> tuple[dict[str, Any], list[str]]:
        """Run the module `follow_job` again and again, and ask for the job in between.

        Args:
            args: options of that module.

        Returns:
            What the job ended with, and the lines that were shown.

        Raises:
            AnsibleActionFail: the host could not be asked.
        """
        args = {"offset": 0} | args
        lines: list[str] = []
        while True:
            # Asked first: what it says until it ends is read after that.
            status = self._status(args["jid"], "status", task_vars)
            seen = self._execute_module(MODULE, args, task_vars=task_vars)
            if seen.get("failed"):
                raise AnsibleActionFail(f"Can't follow the job: {seen.get('msg')}", result=seen)
            self.show(seen["lines"], task_vars)
            lines += seen["lines"]
            args["offset"] = seen["offset"]
            if status.get("finished"):
                break
        self._status(args["jid"], "cleanup", task_vars)
        return status, lines

    def show(self, lines: list[str], task_vars: dict[str, Any] | None) -> None:
        """Show lines as the host's, between the tasks' results."""
        host = (task_vars or {}).get("inventory_hostname", "")
        for line in lines:
            display.display(f"  {host}: {line}")

    def delegate(
        self,
        action: str,
        args: dict[str, Any],
        task_vars: dict[str, Any] | None,
        **attributes: Any,
    ) -> dict[str, Any]:
        """Run another action on the same host, with attributes of the task changed."""
        task = self._task.copy()
        task.args = args
        for name, value in attributes.items():
            setattr(task, name, value)
        other = self._shared_loader_obj.action_loader.get(
            action,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        # Each removes the temporary folder that it made, and a job's goes with the job.
        shell, mine = self._connection._shell, self._connection._shell.tmpdir
        shell.tmpdir = None
        try:
            return dict(other.run(task_vars=task_vars))
        finally:
            other.cleanup()
            shell.tmpdir = mine

    def _status(self, jid: str, mode: str, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        return self.delegate("ansible.legacy.async_status", {"jid": jid, "mode": mode}, task_vars)


class ActionModule(JobFollower):
    """Follows the job of another task."""

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Follow the job; the result is that of the command, with the lines shown."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            raise AnsibleActionSkip("in check mode nothing was started")
        status, lines = self.follow(dict(self._task.args), task_vars)
        result |= {name: status[name] for name in ("rc", "msg") if name in status}
        failed = bool(status.get("failed")) or status.get("rc", 0) != 0
        return result | {"changed": False, "failed": failed, "lines": lines}
