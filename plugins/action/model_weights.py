# SPDX-License-Identifier: Apache-2.0
"""Runs the module of the same name in the background of the host, and shows how far it is."""

from __future__ import annotations

import posixpath
import uuid
from typing import Any

from .follow_job import JobFollower

# What ansible says of the job, and not the module.
JOB = ("ansible_job_id", "started", "results_file", "stdout", "stderr", "finished")


class ActionModule(JobFollower):
    """Looks first, and starts a job only where there is something to do."""

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result, with the lines shown."""
        self._supports_async = True
        if self._task.async_val:
            return dict(self._execute_module(task_vars=task_vars, wrap_async=True))
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        if args.get("source") == "path":
            result |= self._execute_module(task_vars=task_vars)
            return result
        # To read every file takes long enough to be told about, and is done once.
        if self._task.check_mode or args.get("verify") != "full":
            seen = self.delegate("ansible.legacy.normal", args, task_vars, check_mode=True)
            if self._task.check_mode or seen.get("failed") or not seen.get("changed"):
                result |= seen
                return result
        result |= self._fetch(args, task_vars)
        return result

    def _fetch(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        dest = str(args["dest"]).rstrip("/")
        name = f".{posixpath.basename(dest)}.{uuid.uuid4().hex[:12]}.progress"
        args.setdefault("progress", posixpath.join(posixpath.dirname(dest), name))
        limit = int(args.get("timeout") or 86400)
        normal = "ansible.legacy.normal"
        job: dict[str, Any] = self.delegate(normal, args, task_vars, async_val=limit, poll=0)
        if job.get("failed"):
            return job
        followed = {
            "jid": job["ansible_job_id"],
            "results_file": job["results_file"],
            "progress": args["progress"],
        }
        ended, shown = self.follow(followed, task_vars)
        # Its file went with the job, maybe before all of it was read.
        self.show(ended.get("lines", [])[len(shown) :], task_vars)
        ended = {key: value for key, value in ended.items() if not key.startswith(JOB)}
        if ended.get("msg") == "Timeout exceeded":
            ended["msg"] = (
                f"{dest} was not whole after {limit} seconds (llm_model_timeout). What was fetched "
                "is kept, and the next run goes on from there."
            )
        elif ended.get("msg") == "could not find job":
            ended["msg"] = (
                f"The job that fetches {dest} is gone, as after a reboot of the host. What was "
                "fetched is kept: run again."
            )
        return {"lines": shown} | ended
