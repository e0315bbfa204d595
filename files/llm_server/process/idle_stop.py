# SPDX-License-Identifier: Apache-2.0
"""Switches this machine off once nobody has used the model: `idle_stop.py UNIT SOCKET MINUTES`.

It runs as root beside the server and needs no right in the cloud. The server decides whether it was
used: asked to rest, it lets nobody in from that moment on, and this powers the machine off. Whoever
looks later finds the reason in the instance's guest attributes while it runs again, and in the log.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

logger = logging.getLogger("llm_server.idle_stop")

SYSTEMCTL = "/usr/bin/systemctl"
#: By its address: no name server is asked. The variable is the one of Google's own libraries.
METADATA = os.environ.get("GCE_METADATA_HOST", "169.254.169.254")
RECORD = "gce-vllm/stopped"

LOOK_S = 60.0
#: How long the server may take to answer, and what it let in before to end.
ASK_S, DRAIN_S = 10.0, 120.0
#: How long the machine may take to go down before the server is opened again.
OFF_S = 300.0

#: What OpenSSH calls the process of somebody who is logged in; before that it has two words, or
#: brackets.
_SSH = re.compile(r"sshd(-session)?: [^\s\[\]]+\s*")

Answer = dict[str, Any]


def hindrances(processes: Iterable[list[str]]) -> list[str]:
    """What goes on here that a power-off would break, by the processes' arguments."""
    found = set()
    for words in processes:
        name = words[0].rpartition("/")[2] if words else ""
        line = " ".join(words)
        if _SSH.fullmatch(line):
            user = line.split(": ")[1].split("@")[0].strip()
            found.add(f"{user} is logged in by SSH")
        elif name == "login":
            found.add("somebody is logged in at the console")
        elif "model_weights" in line:
            found.add("weights are downloaded")
        elif "AnsiballZ_" in line or "async_wrapper" in line or _is_ansible(words):
            found.add("a deployment runs")
        elif "llm_benchmark" in line or re.search(r"\bvllm\S* bench\b", line):
            found.add("a benchmark runs")
        elif name == "dpkg":
            found.add("packages are installed")
    return sorted(found)


def _is_ansible(words: list[str]) -> bool:
    # As a program of its own, or as Python's script.
    return any(word.rpartition("/")[2].startswith("ansible") for word in words[:2])


def decide(answer: Answer, seconds: float, hindered: list[str]) -> tuple[bool, str]:
    """Whether to switch off, and what is to be said of it; nothing of what goes well.

    Args:
        answer: the server's own, to `look`.
        seconds: for which nobody may have used it.
        hindered: see `hindrances`.
    """
    if not answer.get("ready") and not answer.get("resting"):
        return False, f"not switched off: the server is {answer.get('phase', 'not known')}"
    if answer.get("idle_seconds", 0.0) < seconds:
        return False, ""
    if hindered:
        return False, f"idle, and not switched off: {', '.join(hindered)}"
    return True, ""


def running() -> list[list[str]]:
    """The arguments of all processes.

    Raises:
        OSError: those of others can't be seen.
    """
    Path("/proc/1/cmdline").read_bytes()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has ended
        if words := text.rstrip("\0").split("\0"):
            found.append(words)
    return found


class Watch:
    """Looks again and again, and says only what is new."""

    def __init__(
        self,
        unit: str,
        control: str,
        minutes: float,
        *,
        pause: Callable[[float], None] = time.sleep,
        processes: Callable[[], list[list[str]]] = running,
    ) -> None:
        self._unit, self._control, self._minutes = unit, control, minutes
        self._pause, self._processes = pause, processes
        self._said = ""

    def look(self) -> bool:
        """Looks once; whether the machine goes down now."""
        try:
            answer = self.ask("look")
            hindered = hindrances(self._processes())
        except (OSError, ValueError) as error:
            self._say(f"not switched off: {self._unit} can't be asked ({error})")
            return False
        off, text = decide(answer, 60 * self._minutes, hindered)
        if answer.get("resting") and not off:
            self._wake(text)
            return False
        self._say(text)
        return off and self._rest()

    def _rest(self) -> bool:
        """Has the server let nobody in, and switches the machine off."""
        try:
            if not self.ask("rest", seconds=60 * self._minutes)["done"]:
                return False  # somebody came in that moment
            answer, until = self.ask("look"), time.monotonic() + DRAIN_S
            while answer["in_flight"] and time.monotonic() < until:
                self._pause(0.2)
                answer = self.ask("look")
            # Whoever came meanwhile came first.
            hindered = hindrances(self._processes())
        except (OSError, ValueError, KeyError) as error:
            self._wake(f"the server can't be asked ({error})")
            return False
        if hindered or answer["in_flight"]:
            self._wake(", ".join(hindered) or "requests do not end")
            return False
        now = time.time()
        record = {
            "reason": "idle",
            "since": _stamp(now - answer["idle_seconds"]),
            "at": _stamp(now),
            "idle_minutes": self._minutes,
        }
        self._publish(record)
        logger.warning("Switching this machine off: idle since %s", record["since"])
        try:
            subprocess.run([SYSTEMCTL, "poweroff"], check=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            self._wake(f"it can't be switched off ({error})")
            return False
        return True

    def stay(self) -> None:
        """After a power-off that was asked for: this is ended with the rest, or it failed."""
        self._pause(OFF_S)
        self._wake("the machine did not go down")

    def ask(self, do: str, **more: float) -> Answer:
        """What the server answers.

        Raises:
            OSError, ValueError: it does not, or not in this way.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ASK_S)
            connection.connect(self._control)
            connection.sendall(json.dumps({"do": do, **more}).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline(4096))
        if not isinstance(answer, dict) or "error" in answer:
            raise ValueError(str(answer))
        return answer

    def _wake(self, why: str) -> None:
        try:
            done = self.ask("wake")["done"]
        except (OSError, ValueError, KeyError) as error:
            done, why = False, f"{why}; {error}"
        self._say(f"the server {'goes on' if done else 'could not be opened again'}: {why}")

    def _say(self, text: str) -> None:
        if text and text != self._said:
            logger.warning("%s", text[:1].upper() + text[1:])
        self._said = text

    @staticmethod
    def _publish(record: dict[str, Any]) -> None:
        """For whoever looks later; where that fails the machine is switched off all the same."""
        url = f"http://{METADATA}/computeMetadata/v1/instance/guest-attributes/{RECORD}"
        request = urllib.request.Request(
            url, json.dumps(record).encode(), {"Metadata-Flavor": "Google"}, method="PUT"
        )
        # No proxy leads to it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(request, timeout=5).close()
        except (OSError, ValueError) as error:
            logger.warning("The reason could not be published in guest attributes: %s", error)


def _stamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def main() -> None:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    unit, control, minutes = sys.argv[1], sys.argv[2], float(sys.argv[3])
    logger.info("Switches this machine off once nobody used it for %g minutes", minutes)
    watch = Watch(unit, control, minutes)
    while True:
        time.sleep(min(LOOK_S, 60 * minutes))
        if watch.look():
            watch.stay()


if __name__ == "__main__":
    main()
