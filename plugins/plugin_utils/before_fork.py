# SPDX-License-Identifier: Apache-2.0
"""What the process that forks a worker for each task does once, so that not each worker does it."""

from __future__ import annotations

import contextlib
import gc

from ansible.plugins.loader import filter_loader, test_loader

# Whoever asks for one filter of a collection gets all of them loaded; so with Ansible's own tests.
_FILTER = "llmops.gce_vllm.region"
_TEST = "ansible.builtin.success"


def load_jinja_plugins() -> None:
    """Load Ansible's filters and tests, and the filters of this collection."""
    for loader, name in ((filter_loader, _FILTER), (test_loader, _TEST)):
        # A worker that needs one which can't be loaded says so, in its task's words.
        with contextlib.suppress(Exception):
            loader.get(name)


def freeze() -> None:
    """Take what there is out of garbage collection.

    A worker's collections would write to all of it, and so have all of its memory copied.
    """
    gc.freeze()
