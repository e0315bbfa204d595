# SPDX-License-Identifier: Apache-2.0
"""The demo: production's own playbooks, against an emulated Compute Engine on this machine."""
