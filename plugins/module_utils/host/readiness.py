# SPDX-License-Identifier: Apache-2.0
"""What keeps a host from being worked on, each with its remedy; nothing is read or run here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# The first two are dpkg's, the others those of `apt-get update` and of downloads.
LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
)
# While they run they take the locks, let go of them, and take them again. The second is what runs
# unattended-upgrade; the service of that name only waits for the shutdown.
UPDATE_UNITS = ("apt-daily.service", "apt-daily-upgrade.service")
# The images of the project deeplearning-platform-release install NVIDIA's driver at their first
# boot,
# by a startup script, where the instance's metadata asks for it (install-nvidia-driver).
START_UNITS = ("google-startup-scripts.service", "google-c2d-startup.service")
DRIVER_INSTALLER = "/opt/deeplearning/install-driver.sh"
_INSTALLERS = re.compile(
    r"/install[-_]driver\.sh|install_gpu_driver\.py|cuda_installer|nvidia-installer"
    r"|NVIDIA-Linux-[^ /]*\.run"
)
BUSY_STATES = ("activating", "deactivating")


def cloud_init_state(printed: str) -> str:
    """`running`, `done`, `error`, `disabled` … from what `cloud-init status` printed."""
    for line in printed.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "status":
            return value.strip()
    return "unknown"


def cloud_init_works(state: str) -> bool:
    """Whether it is still at work, or has yet to begin."""
    return state in ("running", "not run", "not started")


def busy_units(printed: str) -> list[str]:
    """Units at work, from `systemctl show --property=Id,ActiveState` of several."""
    found, name = [], ""
    for line in printed.splitlines():
        key, _, value = line.partition("=")
        if key == "Id":
            name = value
        elif key == "ActiveState" and value in BUSY_STATES:
            found.append(name)
    return found


def installs_driver(command: str) -> bool:
    """Whether a process is an installer of NVIDIA's driver, by its command line."""
    return _INSTALLERS.search(command) is not None


def problems(facts: Mapping[str, Any], timeout: int) -> list[str]:
    """Why the host can't be worked on now.

    Args:
        facts: `cloud_init`, `locks` ([{path, pid, name, unit}]), `busy_units`, `interrupted` (that
            is dpkg), `machine` with the wanted `machines`, `python` (its version) with
            `python_wanted` (the program), `installing` (what installs NVIDIA's driver), `space`
            ([{path, free_mib, mib}]) and `unreached` ([{url, reason}]).
        timeout: how long it was waited, in seconds.

    Returns:
        One sentence each, with the remedy; empty where all is well.
    """
    return [
        *_machine(facts["machine"], facts["machines"]),
        *_python(facts["python"], facts["python_wanted"]),
        *_cloud_init(facts["cloud_init"], timeout),
        *_driver(str(facts.get("installing") or ""), timeout),
        *_packages(facts, timeout),
        *_space(facts["space"]),
        *_network(facts["unreached"]),
    ]


def _machine(machine: str, wanted: Sequence[str]) -> list[str]:
    if not wanted or machine in wanted:
        return []
    return [
        f"has a processor of the kind {machine}; the build of vLLM that is locked here runs on "
        f"{', '.join(wanted)}. Choose another machine type."
    ]


def _python(version: str, wanted: str) -> list[str]:
    if version or not wanted:
        return []
    return [
        f"has no Python at {wanted}: install it there, or set vllm_venv_python=auto, so that uv "
        "fetches one."
    ]


def _cloud_init(state: str, timeout: int) -> list[str]:
    if not cloud_init_works(state):
        return []
    return [
        f"is still being set up by cloud-init ({state}) after {timeout} s. Look at 'cloud-init "
        "status --long' and /var/log/cloud-init-output.log on the host, and run this again once "
        "it is done."
    ]


def _driver(installing: str, timeout: int) -> list[str]:
    if not installing:
        return []
    return [
        f"still installs NVIDIA's driver ({installing}) after {timeout} s, as its image does at "
        f"the "
        "first boot. Look at 'journalctl -u google-startup-scripts' there, and run this again "
        "once it "
        "is done, or raise gpu_host_ready_timeout."
    ]


def _packages(facts: Mapping[str, Any], timeout: int) -> list[str]:
    found = []
    if facts["locks"]:
        who = ", ".join(
            f"{one['name']} (pid {one['pid']}, {one['unit'] or 'no service'})"
            for one in facts["locks"]
        )
        found.append(
            f"has its package manager locked by {who}, still after {timeout} s. Wait until that is "
            "done, or end it, and run this again."
        )
    elif facts["busy_units"]:
        found.append(
            f"is still updating itself ({', '.join(facts['busy_units'])}) after {timeout} s. "
            "Wait until that is done and run this again."
        )
    if facts["interrupted"] and not facts["locks"]:
        found.append(
            "has packages half installed: dpkg was interrupted. Run 'dpkg --configure -a' there."
        )
    return found


def _space(places: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"has {one['free_mib']} MiB free for {one['path']}, and {one['mib']} are needed. Remove "
        "something there, or give it a larger disk (gce_instance_boot_disk_size_gb grows it)."
        for one in places
        if one["free_mib"] < one["mib"]
    ]


def _network(unreached: Sequence[Mapping[str, str]]) -> list[str]:
    return [
        f"can't reach {one['url']}: {one['reason']}. Without an external address it needs Cloud "
        "NAT; behind a firewall name a mirror that it reaches (vllm_venv_index_url), or set "
        "gpu_host_reach to [] where nothing has to come over the network."
        for one in unreached
    ]
