#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dynamic inventory of the demo: production's inventory plugin, led to the emulator.

google.cloud.gcp_compute always asks www.googleapis.com. Only the environment of its own process is
pointed at the emulator's proxy and certificate here, so nothing else of the run goes that way.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / ".demo" / "settings.json"


def main() -> int:
    """Print the inventory as JSON; an emulator that is not there has no hosts."""
    if not SETTINGS.exists():
        sys.stdout.write(json.dumps({"_meta": {"hostvars": {}}}))
        return 0
    settings = json.loads(SETTINGS.read_text())
    program = ROOT / ".venv" / "bin" / "ansible-inventory"
    command = [str(program) if program.exists() else shutil.which("ansible-inventory") or ""]
    command += ["--inventory", settings["inventory"], "--list"]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "HTTPS_PROXY": settings["proxy"],
        "REQUESTS_CA_BUNDLE": settings["ca_file"],
        "NO_PROXY": "127.0.0.1,localhost",
        # A source that cannot be read is an error here, not an empty inventory.
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
    }
    environment.pop("https_proxy", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
