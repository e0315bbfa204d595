# SPDX-License-Identifier: Apache-2.0
"""Reads a host's journal by the module of the same name; shows what comes, if that is asked for."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.logs.report import line

MODULE = "llmops.gce_vllm.server_logs_info"
# A host that boots answers again after a while.
AGAIN_S = 5.0
display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs the module once, or again and again until the time is over."""

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result; of what was shown only how much it was."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        minutes = int(args.get("follow_minutes") or 0)
        if minutes <= 0:
            return result | dict(self._execute_module(MODULE, args, task_vars=task_vars))
        return result | self._follow(args, minutes * 60.0, task_vars)

    def _follow(
        self, args: dict[str, Any], seconds: float, task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        host = (task_vars or {}).get("inventory_hostname", "")
        until = time.monotonic() + seconds
        shown, gone = 0, False
        while (left := until - time.monotonic()) > 0:
            args["wait"] = min(float(args.get("wait") or 15), left)
            try:
                seen = self._execute_module(MODULE, args, task_vars=task_vars)
            except AnsibleConnectionFailure:
                # Once told is enough: it is tried until the time is over.
                if not gone:
                    display.display(f"{host} does not answer; it is tried again")
                gone = True
                time.sleep(min(AGAIN_S, left))
                continue
            if seen.get("failed"):
                return dict(seen)
            gone = False
            for record in seen["records"]:
                display.display(line({"host": host, **record}))
            if not seen["complete"]:
                display.display(f"{host} wrote more than is shown")
            shown += len(seen["records"])
            args["cursor"] = seen["cursor"]
        return {"changed": False, "shown": shown, "cursor": args.get("cursor", "")}
