# SPDX-License-Identifier: Apache-2.0
"""Programs that need vLLM, many of them, with vLLM imported once: that takes 8 CPU seconds.

Runs in the Python that has vLLM. Each line read is a JSON object: `arguments`, `environment`, and
`program`, Python's text, or null for `python -m llm_server`. The line written for it is one too:
`status`, `stdout`, `stderr`. Each is a process of its own, forked from this one.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import traceback
from typing import Any

# What takes seconds to import, and most of what a program takes.
NEEDED = (
    "llm_server.engine.engine",
    "vllm.engine.arg_utils",
    "vllm.entrypoints.openai.api_server",
)


def execute(asked: dict[str, Any]) -> int:
    """The exit status of a program, as Python gives it."""
    os.environ.update(asked["environment"])
    sys.argv = ["program", *asked["arguments"]]
    try:
        if asked["program"] is None:
            status: int = importlib.import_module("llm_server.__main__").main()
            return status
        exec(compile(asked["program"], "program", "exec"), {"__name__": "__main__"})  # noqa: S102
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """What came of it."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            status = 250
            try:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                status = execute(asked)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        status = os.waitstatus_to_exitcode(ended)
        return {"status": status, "stdout": out.read(), "stderr": err.read()}


def main() -> None:
    """Until the input ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what is imported prints too
        for name in NEEDED:
            importlib.import_module(name)
        for line in sys.stdin:
            print(json.dumps(run(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
