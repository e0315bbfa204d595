# SPDX-License-Identifier: Apache-2.0
"""On the machine: signals a part of llm-server while requests run, and waits until it is healthy.

Prints a JSON object: the main process before and after, what is left of the old processes, how
often systemd restarted it, the statuses of /health and of a request afterwards, the seconds from
the signal on.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

UNIT = "llm-server.service"
#: A start takes half a minute on two idle cores; a busy machine may take many times that.
TIMEOUT_S = 900


def show(name: str) -> str:
    words = ["systemctl", "show", f"--property={name}", "--value", UNIT]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def began(pid: int) -> str | None:
    """When it began: a later one of the same number began later. None where it has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] == "Z" else words[19]


def processes() -> dict[int, str]:
    """All of the unit, by their control group, whichever version of those the host has."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            groups = (folder / "cgroup").read_text(encoding="utf-8")
        except OSError:
            continue
        if any(line.endswith(f"/{UNIT}") for line in groups.splitlines()):
            pid = int(folder.name)
            if (time_of := began(pid)) is not None:
                found[pid] = time_of
    return found


def engine() -> int:
    for pid in processes():
        try:
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8")
            words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
        except OSError:
            continue  # one that has ended meanwhile
        if "EngineCore" in name + words:
            return pid
    raise SystemExit("there is no engine")


def ask(port: int, body: dict[str, object] | None = None, timeout: float = TIMEOUT_S) -> int:
    """The status of /health, or of a request with that body; 0 for no answer."""
    http_client = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        if body is None:
            http_client.request("GET", "/health")
        else:
            headers = {
                "Authorization": f"Bearer {os.environ['API_KEY']}",
                "Content-Type": "application/json",
            }
            http_client.request("POST", "/v1/completions", json.dumps(body), headers)
        answer = http_client.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        http_client.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["server", "engine"])
    parser.add_argument("signal", choices=["KILL", "STOP"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    options = parser.parse_args()
    body: dict[str, object] = {"model": options.model, "prompt": "Count: 1, 2,", "temperature": 1.5}
    for _ in range(4):
        words = (options.port, body | {"max_tokens": 500})
        threading.Thread(target=ask, args=words, daemon=True).start()
    time.sleep(2)
    before, old, restarts = int(show("MainPID")), processes(), int(show("NRestarts"))
    target = before if options.part == "server" else engine()
    since = time.monotonic()
    os.kill(target, signal.Signals[f"SIG{options.signal}"])
    while int(show("MainPID")) in (before, 0) or ask(options.port, timeout=60) != 200:
        if time.monotonic() - since > TIMEOUT_S:
            raise SystemExit(f"not healthy after {TIMEOUT_S} s: {show('StatusText')}")
        time.sleep(0.2)
    seconds = time.monotonic() - since
    found = {
        "main_pid_before": before,
        "main_pid_after": int(show("MainPID")),
        "left": [pid for pid, at in old.items() if began(pid) == at],
        "restarts": int(show("NRestarts")) - restarts,
        "health": ask(options.port),
        "answer": ask(options.port, body | {"max_tokens": 4}),
        "seconds": round(seconds, 1),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
