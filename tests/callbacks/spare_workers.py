# SPDX-License-Identifier: Apache-2.0
"""Has playbook runs of tests load, compile and pack once what each task, or each run, would."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils import before_fork

DOCUMENTATION = r"""
name: spare_workers
type: aggregate
short_description: Loads filters once, and keeps compiled templates and packed modules on disk
description:
  - Of a molecule scenario's CPU time, a quarter went into what each task's worker did again.
requirements:
  - enable in configuration (C(callbacks_enabled))
"""

SUPPORT = Path(__file__).parents[1] / "support"


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Works in the process that forks the workers."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "spare_workers"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:  # noqa: ARG002
        """Load once what each worker would."""
        before_fork.load_jinja_plugins()
        for name in ("template_cache", "module_cache"):
            # By its file: the project's other packages are nothing that a run should find.
            spec = importlib.util.spec_from_file_location(name, SUPPORT / f"{name}.py")
            assert spec
            assert spec.loader
            cache = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(cache)
            cache.install()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """What there is now need not be looked at again."""
        before_fork.freeze()
