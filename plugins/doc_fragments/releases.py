# SPDX-License-Identifier: Apache-2.0
"""Options of the modules that work on releases of vLLM side by side."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the releases are, and the link to the current one."""

    DOCUMENTATION = r"""
options:
  link:
    description: The link that leads to the current release.
    type: path
    required: true
  releases:
    description:
      - Folder with a folder for each release. Its name is 12 hexadecimal digits of its lock's
        checksum, and its build, or C(earlier). Other folders in there are left alone.
    type: path
    required: true
"""
