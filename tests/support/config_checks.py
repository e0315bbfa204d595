# SPDX-License-Identifier: Apache-2.0
"""`python -m llm_server --check-config FILE`, many times, with vLLM imported once.

Runs in the Python that has vLLM. Each line read is a settings file's path; the line written for it
is JSON: the exit status, and what went to standard error. Each check is a process of its own.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile

# What takes seconds to import, and most of what a check takes.
NEEDED = (
    "llm_server.engine.engine",
    "vllm.engine.arg_utils",
    "vllm.entrypoints.openai.api_server",
)


def check(path: str) -> tuple[int, str]:
    """The exit status and standard error of one check."""
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            status = 250
            try:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                sys.argv = ["llm_server", "--config", path, "--check-config"]
                status = importlib.import_module("llm_server.__main__").main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(ended), said.read()


def main() -> None:
    """Until the input ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what is imported prints too
        for name in NEEDED:
            importlib.import_module(name)
        for line in sys.stdin:
            status, said = check(line.rstrip("\n"))
            print(json.dumps({"status": status, "stderr": said}), file=answers, flush=True)


if __name__ == "__main__":
    main()
