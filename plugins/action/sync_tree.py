# SPDX-License-Identifier: Apache-2.0
"""Controller's half of sync_tree: reads the folder and sends it in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.trees import read_tree


class ActionModule(ActionBase):  # type: ignore[misc]
    """Replaces `src` by the contents of that folder."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the module with the files' contents as an argument."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        try:
            args["_files"] = read_tree(Path(args["src"]))
        except KeyError:
            raise AnsibleActionFail("src is missing: name a folder on the controller") from None
        except (OSError, UnicodeDecodeError) as error:
            raise AnsibleActionFail(
                f"{args['src']} can't be read as text files: {error}"
            ) from error
        if not args["_files"]:
            raise AnsibleActionFail(f"{args['src']} is no folder with files on the controller")
        result.update(self._execute_module(module_args=args, task_vars=task_vars))
        # The contents are in the collection: no need to print them again.
        result.get("invocation", {}).get("module_args", {}).pop("_files", None)
        return result
