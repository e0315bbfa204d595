# SPDX-License-Identifier: Apache-2.0
"""What modules share that look at a host or an endpoint."""

from __future__ import annotations


class ModuleDocFragment:
    """They never change anything."""

    ATTRIBUTES_INFO = r"""
attributes:
  check_mode:
    support: full
    description: Changes nothing, ever.
  diff_mode:
    support: none
    description: There is nothing to compare.
"""
