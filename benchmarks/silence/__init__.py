# SPDX-License-Identifier: Apache-2.0
"""How long /health is silent while one key sends heavy bodies."""
