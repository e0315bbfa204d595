# SPDX-License-Identifier: Apache-2.0
"""Verifies a host's GPUs at boot, by the same code as the module gpu_info."""
