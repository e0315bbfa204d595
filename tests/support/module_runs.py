# SPDX-License-Identifier: Apache-2.0
"""Runs a module in this process, through its own main()."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from typing import Any
from unittest import mock

MODULES = "ansible_collections.llmops.gce_vllm.plugins.modules"


def run_module(name: str, options: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """What the module answers."""
    from ansible.module_utils import _internal
    from ansible.module_utils.testing import patch_module_args

    written = io.StringIO()
    entry = importlib.import_module(f"{MODULES}.{name}").main
    with (
        # Where another test imported the controller's half, warnings would go to its display.
        mock.patch.object(_internal, "is_controller", False),
        patch_module_args({**options, "_ansible_check_mode": check, "_ansible_diff": True}),
        contextlib.redirect_stdout(written),
        contextlib.suppress(SystemExit),
    ):
        entry()
    answer: dict[str, Any] = json.loads(written.getvalue())
    return answer
