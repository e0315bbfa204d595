# SPDX-License-Identifier: Apache-2.0
"""The demo's dashboard under minutes of a mixed load, with a restart in the middle."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The dashboard's package lies there, whose table of panels is asked.
sys.path.insert(0, str(ROOT / "files"))
