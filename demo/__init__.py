# SPDX-License-Identifier: Apache-2.0
"""The demo: the same playbooks as in production, against an emulated Compute Engine on this machine."""
