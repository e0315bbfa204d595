# SPDX-License-Identifier: Apache-2.0
"""The action of all modules that talk with Google (meta/runtime.yml): without a new Python.

A module that would run here, as this user and in this Python, runs in a process forked from the
task's worker. Any other runs as Ansible runs modules.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from ansible import constants
from ansible.executor.module_common import _BuiltModule
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

from ..plugin_utils import direct_execution as direct

display = Display()


class ActionModule(NormalAction):  # type: ignore[misc]
    """Ansible's own action; only how the module is built and started differs."""

    _direct = False
    _arguments = b""

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module."""
        reason = self._reason_against(task_vars or {})
        self._direct = not reason
        display.vvvv(f"direct execution: {reason or 'yes'}", host=self._play_context.remote_addr)
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def _reason_against(self, task_vars: dict[str, Any]) -> str:
        """Why the module needs a Python of its own; empty where it doesn't."""
        checks: dict[str, Callable[[], bool]] = {
            "off, or not known for this ansible-core": lambda: not direct.available(),
            "not the local connection": lambda: self._connection.transport != "local",
            "become": lambda: self._connection.become is not None,
            "async": lambda: bool(self._task.async_val),
            "an environment of its own": lambda: any(self._task.environment or []),
            "kept files": lambda: bool(constants.DEFAULT_KEEP_REMOTE_FILES),
            "a limit of open files": lambda: bool(
                constants.config.get_config_value(
                    "PYTHON_MODULE_RLIMIT_NOFILE", variables=task_vars
                )
            ),
            "another interpreter": lambda: not direct.same_python(self._interpreter(task_vars)),
        }
        return next((reason for reason, true in checks.items() if true()), "")

    def _interpreter(self, task_vars: dict[str, Any]) -> str:
        there = task_vars
        if self._task.delegate_to:
            there = task_vars.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        named = there.get("ansible_python_interpreter") or ""
        return str(self._templar.template(named)).strip()

    def _found(self) -> Any:
        return self._shared_loader_obj.module_loader.find_plugin_with_context(
            self._task.action, collection_list=self._task.collections
        )

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        # Nothing is copied, so no folder is needed for it.
        return self._direct or super()._is_pipelining_enabled(module_style, wrap_async)

    def _configure_module(
        self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]
    ) -> tuple[_BuiltModule, str]:
        if not self._direct:
            found: tuple[_BuiltModule, str] = super()._configure_module(
                module_name, module_args, task_vars
            )
            return found
        encoder = get_module_encoder(direct.PROFILE, Direction.CONTROLLER_TO_MODULE)
        self._arguments = json.dumps({"ANSIBLE_MODULE_ARGS": module_args}, cls=encoder).encode()
        built = _BuiltModule(
            b_module_data=b"",
            module_style="new",
            shebang=f"#!{sys.executable}",
            serialization_profile=direct.PROFILE,
        )
        return built, str(self._found().plugin_resolved_path)

    def _low_level_execute_command(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        if not self._direct:
            answer: dict[str, Any] = super()._low_level_execute_command(*arguments, **options)
            return answer
        status, *written = direct.run(
            direct.python_name(self._found().resolved_fqcn),
            self._arguments,
            self._loader.get_basedir(),
        )
        out, error = (text.decode(errors="surrogateescape") for text in written)
        return {
            "rc": status,
            "stdout": out,
            "stdout_lines": out.splitlines(),
            "stderr": error,
            "stderr_lines": error.splitlines(),
        }
