# SPDX-License-Identifier: Apache-2.0
"""Where the demo keeps its things; all of it lies in the clone, except the caches."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".demo"
EMULATOR_STATE = HOME / "emulator"
EMULATOR_LOG = HOME / "emulator.log"
EMULATOR_PID = HOME / "emulator.pid"
SETTINGS = HOME / "settings.json"
INVENTORY = HOME / "inventory" / "demo.gcp_compute.yml"
RUN = HOME / "run.json"
SUMMARY = HOME / "summary.json"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gce-vllm"
BIN = ROOT / ".venv" / "bin"
