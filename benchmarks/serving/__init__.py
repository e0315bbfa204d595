# SPDX-License-Identifier: Apache-2.0
"""Compares this server with vLLM's own, the tutorial's, and no server at all."""
