# SPDX-License-Identifier: Apache-2.0
"""Measures an inference server with vLLM's own load tool, and reports what came out."""
