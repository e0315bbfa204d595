#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: waits until a host has booted and updated, and says what is wrong with it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_ready
short_description: Wait until a host has finished booting and updating, and say what is wrong
version_added: 0.2.0
description:
  - Waits for cloud-init, and for an installation of NVIDIA's driver at the first boot. Then waits
    for the services that update packages, and for the locks of apt and dpkg. A lock is looked at,
    never taken.
  - Then looks at processor, space on disks and addresses that must be reachable.
  - Changes nothing. What is wrong is no error of this module; it is told in RV(problems).
  - In check mode it looks once, and a host that is busy is no problem.
options:
  timeout:
    description: How long to wait, in seconds.
    type: int
    default: 600
  machines:
    description: Kinds of processor that will do, as V(x86_64); empty for any.
    type: list
    elements: str
    default: []
  python:
    description: A Python whose version is told; one that can't be run is a problem. Empty for none.
    type: str
    default: ""
  space:
    description: What must be free.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Folder whose disk is looked at. It need not exist.
        type: path
        required: true
      mib:
        description: MiB that must be free for everybody but root.
        type: int
        required: true
      unless:
        description: Nothing is asked where this exists, for what is needed once.
        type: path
  reach:
    description: What must answer. Any answer will do; proxies of the environment are used.
    type: list
    elements: dict
    default: []
    suboptions:
      url:
        description: Address; path, user and password in it are not used.
        type: str
        required: true
      unless:
        description: Nothing is asked where this exists.
        type: path
extends_documentation_fragment:
  - llmops.gce_vllm.host.attributes_info
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Wait until the host has finished booting and updating
  llmops.gce_vllm.host_ready:
    space:
      - path: /opt/vllm
        mib: 4096
        unless: /opt/vllm/venv/bin/python
  register: host
"""

RETURN = r"""
problems:
  description: What is wrong, a sentence with its remedy each; the host's name goes in front.
  returned: always
  type: list
  elements: str
machine:
  description: Kind of the host's processor.
  returned: always
  type: str
  sample: x86_64
python:
  description: Version of the Python that was asked for, without its last number; empty where it
    can't be run.
  returned: always
  type: str
  sample: "3.12"
waited:
  description: For how many seconds it was busy.
  returned: always
  type: int
cloud_init:
  description: What cloud-init says of itself, V(absent) where there is none.
  returned: always
  type: str
  sample: done
locks:
  description: Who holds locks of apt or dpkg; C(path), C(pid), C(name) and C(unit), the service.
  returned: always
  type: list
  elements: dict
busy_units:
  description: Services at work that update packages.
  returned: always
  type: list
  elements: str
installing:
  description: What installs NVIDIA's driver, as images for deep learning do at their first boot;
    empty where nothing does.
  returned: always
  type: str
interrupted:
  description: Whether dpkg was interrupted and has to be run again.
  returned: always
  type: bool
space:
  description: The places asked for, with C(free_mib).
  returned: always
  type: list
  elements: dict
unreached:
  description: Addresses that did not answer; C(url) and C(reason).
  returned: always
  type: list
  elements: dict
"""

import fcntl
import os
import platform
import re
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

from ..module_utils.host import kernel_gpu, readiness
from ..module_utils.redacting_module import AddressModule

# struct flock of 64-bit Linux: type, whence, start, length, process.
FLOCK = "hhqqi4x"
PAUSE = 2.0
ATTEMPTS = 3


def lock_holder(path: str) -> int | None:
    """The process that keeps others from locking a file; None where nobody does, or it is missing.

    Asks the kernel without taking the lock, so that an apt that starts just now is not disturbed.
    """
    wanted = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with Path(path).open("rb+") as file:
            answer = struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    except (FileNotFoundError, PermissionError):
        return None
    return None if answer[0] == fcntl.F_UNLCK else int(answer[4])


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def locks() -> list[dict[str, Any]]:
    """Who holds the package manager's locks, each process once."""
    found: dict[int, dict[str, Any]] = {}
    for path in readiness.LOCKS:
        pid = lock_holder(path)
        if pid is not None:
            name = _read(f"/proc/{pid}/comm").strip() or "a process that is gone"
            unit = kernel_gpu.systemd_unit(_read(f"/proc/{pid}/cgroup"))
            found.setdefault(pid, {"path": path, "pid": pid, "name": name, "unit": unit})
    return list(found.values())


def _printed(module: AnsibleModule, *command: str) -> str | None:
    """What a command printed, whatever it returned; None where the host has no such program."""
    program = module.get_bin_path(command[0])
    if program is None:
        return None
    _code, out, _err = module.run_command([program, *command[1:]])
    return str(out)


def driver_installer(module: AnsibleModule) -> str:
    """What installs NVIDIA's driver, or is about to at the first boot; empty for nothing."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        command = _read(str(path)).replace("\0", " ").strip()
        if readiness.installs_driver(command):
            return f"pid {path.parent.name}, {command[:120]}"
    if not Path(readiness.DRIVER_INSTALLER).exists() or Path("/proc/driver/nvidia").exists():
        return ""
    shown = _printed(
        module, "systemctl", "show", "--property=Id,ActiveState", *readiness.START_UNITS
    )
    return ", ".join(readiness.busy_units(shown or ""))


def busy(module: AnsibleModule) -> dict[str, Any]:
    """What the host is at."""
    cloud_init = _printed(module, "cloud-init", "status")
    shown = _printed(
        module, "systemctl", "show", "--property=Id,ActiveState", *readiness.UPDATE_UNITS
    )
    return {
        "cloud_init": "absent" if cloud_init is None else readiness.cloud_init_state(cloud_init),
        "locks": locks(),
        "busy_units": readiness.busy_units(shown or ""),
        "installing": driver_installer(module),
    }


def is_busy(facts: Mapping[str, Any]) -> bool:
    """Whether waiting may help."""
    works = readiness.cloud_init_works(facts["cloud_init"])
    return bool(works or facts["locks"] or facts["busy_units"] or facts["installing"])


def free_mib(path: str) -> int:
    """What others than root may still write for `path`, which need not exist."""
    place = Path(path)
    while not place.exists():
        place = place.parent
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize // 2**20


def unreached(url: str) -> str | None:
    """Why an address does not answer; None where it does, be it with an error of HTTP."""
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE)
        try:
            # Nothing is sent or believed, so who answers need not be proven here.
            open_url(where, method="HEAD", timeout=10, validate_certs=False)
        except HTTPError:
            return None
        except (OSError, ValueError) as error:
            reason = re.sub(r"^<urlopen error (.*)>$", r"\1", str(error)) or type(error).__name__
        else:
            return None
    return reason


def python_version(module: AnsibleModule, program: str) -> str:
    """Its major and minor number; empty where it can't be run."""
    path = module.get_bin_path(program) if program else None
    if path is None:
        return ""
    code, out, _err = module.run_command(
        [path, "-Sc", "import sys; print('{}.{}'.format(*sys.version_info))"]
    )
    return str(out).strip() if code == 0 else ""


def _asked(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in items if not (one["unless"] and Path(one["unless"]).exists())]


def collect(module: AnsibleModule) -> dict[str, Any]:
    """Wait, then look at the rest; returns the module's result."""
    params = module.params
    start = time.monotonic()
    facts = busy(module)
    while is_busy(facts) and not module.check_mode:
        if time.monotonic() - start >= params["timeout"]:
            break
        time.sleep(PAUSE)
        facts = busy(module)
    waited = int(time.monotonic() - start)
    facts |= {
        "interrupted": any(Path("/var/lib/dpkg/updates").glob("*")),
        "machine": platform.machine(),
        "python": python_version(module, params["python"]),
        "space": [
            {"path": one["path"], "mib": one["mib"], "free_mib": free_mib(one["path"])}
            for one in _asked(params["space"])
        ],
        "unreached": [
            {"url": one["url"].rpartition("@")[2], "reason": reason}
            for one in _asked(params["reach"])
            if (reason := unreached(one["url"])) is not None
        ],
    }
    seen = {**facts, "machines": params["machines"], "python_wanted": params["python"]}
    if module.check_mode:
        # Busy now says nothing of the run to come.
        seen |= {"cloud_init": "unknown", "locks": [], "busy_units": [], "installing": ""}
    return {**facts, "waited": waited, "problems": readiness.problems(seen, params["timeout"])}


class HostModule(AddressModule):
    """Package indexes among the addresses may need a password."""

    address_options = ("reach",)


def main() -> None:
    """Entry point of the module."""
    unless = {"unless": {"type": "path"}}
    module = HostModule(
        argument_spec={
            "timeout": {"type": "int", "default": 600},
            "machines": {"type": "list", "elements": "str", "default": []},
            "python": {"type": "str", "default": ""},
            "space": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "mib": {"type": "int", "required": True},
                    **unless,
                },
            },
            "reach": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"url": {"type": "str", "required": True}, **unless},
            },
        },
        supports_check_mode=True,
    )
    facts = collect(module)
    if facts["cloud_init"].startswith(("error", "degraded")):
        module.warn(
            f"cloud-init ended with '{facts['cloud_init']}' on this host: see 'cloud-init status "
            "--long' there."
        )
    module.exit_json(changed=False, **facts)


if __name__ == "__main__":
    main()
