# SPDX-License-Identifier: Apache-2.0
"""Locks of releases that are broken on purpose: `python -m tests.broken_releases LOCK FOLDER`.

Leaves in FOLDER the lock itself with one harmless package more (`good.txt`), with a package in it
that can't be imported (`imports.txt`), and with one that ends the server, and only that, before it
serves (`serves.txt`), and the wheels for them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.wheels import make_wheel

# The command line is compared, so that the check of the settings still passes.
ENDS_THE_SERVER = """\
import os, sys
if "llm_server" in sys.orig_argv and "--config" in sys.orig_argv:
    if not {"--check-config", "--check-access"} & set(sys.orig_argv):
        sys.stderr.write("CRITICAL llm_server this release is broken on purpose\\n")
        os._exit(1)
"""
IMPORTED_BY_VLLM = "cloudpickle"


def main(lock: Path, folder: Path) -> None:
    """Write locks and wheels."""
    wheels = folder / "wheels"
    text = lock.read_text(encoding="utf-8")
    harmless = make_wheel(wheels, "harmless", "1.0", {"harmless.py": "VERSION = 1\n"})
    (folder / "good.txt").write_text(f"{text}{harmless}\n", encoding="utf-8")
    files = {"ends_it.py": ENDS_THE_SERVER, "ends_it.pth": "import ends_it\n"}
    ends_it = make_wheel(wheels, "ends-it", "1.0", files)
    (folder / "serves.txt").write_text(f"{text}{ends_it}\n", encoding="utf-8")
    raises = {f"{IMPORTED_BY_VLLM}/__init__.py": "raise ImportError('broken on purpose')\n"}
    line = make_wheel(wheels, IMPORTED_BY_VLLM, "99.0", raises)
    pinned = re.compile(rf"^{IMPORTED_BY_VLLM}==.*?(?<!\\)$", re.MULTILINE | re.DOTALL)
    replaced, count = pinned.subn(lambda _match: line, text)
    if count != 1:
        raise SystemExit(f"{lock} pins {IMPORTED_BY_VLLM} {count} times, not once")
    (folder / "imports.txt").write_text(replaced, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
