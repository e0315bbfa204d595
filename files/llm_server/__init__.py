# SPDX-License-Identifier: Apache-2.0
"""An HTTP server for one language model: vLLM's own API, guarded, observed and ready-notified."""

__version__ = "0.2.0"
