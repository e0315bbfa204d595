# SPDX-License-Identifier: Apache-2.0
"""The demo's commands: up, status, destroy."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from demo import daemon, host, package_sources, paths, report, settings, tunnel
from demo.claim import Claim, ClaimError
from demo.ports import free_port
from emulator.machines import added_packages
from emulator.machines.podman_backend import PodmanBackend
from emulator.world.backend import MachineError

GUEST_CACHE = "/var/cache/gce-vllm"


class DemoError(Exception):
    """The demo did not reach its end; the text says what to do."""


@contextmanager
def timed(phases: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that the block takes to `phases`."""
    since = time.monotonic()
    yield
    phases[name] = round(time.monotonic() - since, 1)


def up() -> None:
    """Bring everything up, or put back what drifted; then say where it is."""
    phases: dict[str, float] = {}
    Claim().take()
    paths.HOME.mkdir(mode=0o700, exist_ok=True)
    paths.SUMMARY.unlink(missing_ok=True)
    with timed(phases, "host"):
        host.ready()
    with timed(phases, "image"):
        machines = PodmanBackend(settings.OWNER)
        image = added_packages.ensure(machines.podman, settings.image_packages())
    with timed(phases, "emulator"):
        chosen = settings.load() or settings.Settings(free_port(), free_port(), free_port())
        chosen.gateway = machines.operator_address()
        chosen.packages = package_sources.discover()
        settings.save(chosen)
        daemon.start(
            port=chosen.port,
            tls_port=chosen.tls_port,
            proxy_port=chosen.proxy_port,
            options=[*machine_options(chosen), "--machine-option", f"image={image}"],
        )
    playbook("site.yml")
    outcome = report.Outcome(json.loads(paths.RUN.read_text()), address(chosen), phases)
    chosen.dashboard_port = tunnel.start(
        outcome.address, chosen.dashboard_port, settings.instance_dashboard_port()
    )
    settings.save(chosen)
    document = report.summary(chosen, outcome)
    report.save(document)
    report.show(document)


def machine_options(chosen: settings.Settings) -> list[str]:
    """Options for the emulator: what is mounted into each machine."""
    mounts = list(chosen.packages.get("mounts", []))
    for name in ("uv", "models"):
        folder = paths.CACHE / name
        folder.mkdir(parents=True, exist_ok=True)
        mounts.append(f"{folder}:{GUEST_CACHE}/{name}")
    options = ["--project", settings.PROJECT, "--owner", settings.OWNER]
    for mount in mounts:
        options += ["--machine-option", f"mount={mount}"]
    return options


def playbook(name: str, *extra: str) -> None:
    """Run a playbook against the demo's inventory, its output in sight. Raises DemoError."""
    paths.RUN.unlink(missing_ok=True)
    done = subprocess.run(
        [paths.BIN / "ansible-playbook", "-i", "inventories/demo", f"playbooks/{name}", *extra],
        cwd=paths.ROOT,
        env={**os.environ, "GCE_VLLM_SUMMARY_FILE": str(paths.RUN)},
        check=False,
    )
    if done.returncode:
        raise DemoError(
            f"playbooks/{name} failed; the task above says why. The next `make demo` goes on from "
            f"there. The emulator's log: {paths.EMULATOR_LOG}"
        )


def emulator_state(chosen: settings.Settings) -> dict[str, Any]:
    """Everything that the emulator holds of the demo's project."""
    answer = requests.get(f"{chosen.url}/emulator/v1/state", timeout=120)
    answer.raise_for_status()
    state: dict[str, Any] = answer.json()["projects"][settings.PROJECT]
    return state


def address(chosen: settings.Settings) -> str:
    """The instance's external address."""
    for instance in emulator_state(chosen)["instances"]:
        if instance["name"] == settings.INSTANCE:
            external: str = instance["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
            return external
    raise DemoError(f"The emulator has no instance {settings.INSTANCE}. Run make demo again.")


def status() -> None:
    """Say what runs."""
    chosen = settings.load()
    if chosen is None or not daemon.healthy(chosen.port):
        sys.stdout.write("The demo does not run. Start it with: make demo\n")
        return
    sys.stdout.write(f"emulator   {chosen.url} (process {daemon.pid()})\n")
    state = emulator_state(chosen)
    for instance in state["instances"]:
        sys.stdout.write(f"instance   {instance['name']} {instance['status']}\n")
    for rule in state["firewalls"]:
        sys.stdout.write(f"firewall   {rule['name']} from {', '.join(rule['sourceRanges'])}\n")
    if paths.SUMMARY.exists():
        document = json.loads(paths.SUMMARY.read_text())
        sys.stdout.write(f"endpoint   {document['endpoint']}\ntry it     {document['try_it']}\n")
        there = "" if tunnel.runs() else " (no tunnel leads there now: make demo opens one)"
        sys.stdout.write(f"dashboard  {document['dashboard']}{there}\n")
        report.show(document)


def destroy() -> None:
    """Remove instance and rules the way production does, then the emulator itself."""
    Claim().check()
    chosen = settings.load()
    tunnel.stop()
    if chosen and daemon.healthy(chosen.port):
        playbook("destroy.yml", "-e", f"confirm={settings.INSTANCE}")
    removed = ["emulator"] if daemon.stop() else []
    removed += PodmanBackend(settings.OWNER).destroy()
    if paths.HOME.exists():
        for path in sorted(paths.HOME.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        paths.HOME.rmdir()
        removed.append(str(paths.HOME))
    Claim().release()
    if removed:
        sys.stdout.write(f"Removed: {', '.join(removed)}. Caches stay in {paths.CACHE}.\n")
    else:
        sys.stdout.write("Nothing to do: the demo is not there.\n")


#: What the user can do something about; the text says what.
ERRORS = (
    *(DemoError, ClaimError, daemon.DaemonError),
    *(host.HostError, tunnel.TunnelError, MachineError),
)
COMMANDS = {"up": up, "status": status, "destroy": destroy}


def main() -> int:
    """Run one command; errors are one message, not a traceback."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    try:
        COMMANDS[parser.parse_args().command]()
    except ERRORS as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
