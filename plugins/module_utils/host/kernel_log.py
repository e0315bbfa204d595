# SPDX-License-Identifier: Apache-2.0
"""What the kernel's log says of a driver that does not run: causes with remedies. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# How many of the driver's last lines a message has, and how long each may be.
SHOWN, LONGEST = 3, 200
_LINES = re.compile(
    r"NVRM|nvidia[:\s-]|nvidia_|nouveau|Lockdown|module verification", re.IGNORECASE
)


@dataclass(frozen=True)
class Cause:
    """One cause.

    Attributes:
        name: in one word or two, for programs.
        pattern: what of it stands in the log.
        text: what is wrong, and what to do.
        lost: whether a GPU is gone, whatever the others answer.
    """

    name: str
    pattern: re.Pattern[str]
    text: str
    lost: bool = False


def _cause(name: str, pattern: str, text: str, *, lost: bool = False) -> Cause:
    return Cause(name, re.compile(pattern, re.IGNORECASE), text, lost)


# In the order in which they are told: the first that is found explains the others.
CAUSES = (
    _cause(
        "secure boot",
        r"Key was rejected by service|Required key not available"
        r"|unsigned module loading is restricted"
        r"|Loading of unsigned module is rejected|Lockdown:.*(modprobe|insmod).*unsigned",
        "Secure Boot refused the driver's module, which is not signed. Make the instance without "
        "Secure "
        "Boot (gce_instance_secure_boot=false), or boot an image whose module is signed",
    ),
    _cause(
        "API mismatch",
        r"API mismatch",
        "The driver's module and its libraries are of two versions, as after an update. Reboot "
        "the host",
    ),
    _cause(
        "open module on an older GPU",
        r"not supported by open nvidia\.ko|does not include the required GPU System Processor"
        r"|requires use of the NVIDIA (proprietary|closed)",
        "This GPU needs the proprietary flavour of the driver's module. Install that "
        "(gpu_host_driver_kernel_module=proprietary), or choose a newer GPU",
    ),
    _cause(
        "proprietary module on a newer GPU",
        r"requires use of the NVIDIA open kernel modules"
        r"|installed in this system requires.*open kernel",
        "This GPU needs the open flavour of the driver's module. Install that "
        "(gpu_host_driver_kernel_module=open)",
    ),
    _cause(
        "unsupported GPU",
        r"is not supported by (the )?NVIDIA .{0,40}driver|legacy drivers?|will ignore this GPU",
        "This driver does not run this GPU. Install a branch of the driver that does, or choose "
        "another "
        "GPU",
    ),
    _cause(
        "fallen off the bus",
        r"fallen off the bus|GPU is lost",
        "A GPU fell off the bus. Stop and start the instance, so that it moves to other hardware; "
        "a "
        "reboot alone keeps the hardware",
        lost=True,
    ),
    _cause(
        "firmware",
        r"WPR2 already up|GSP.{0,60}(fail|timeout|error)|failed to (load|boot).{0,40}GSP"
        r"|kgspBootstrap|kgspInitRm|_kgsp",
        "The GPU's firmware (GSP) did not start. Stop and start the instance, which resets the "
        "GPU; a "
        "reboot alone may not",
        lost=True,
    ),
    _cause(
        "not initialised",
        r"RmInitAdapter failed|rm_init_adapter failed|failed to copy vbios",
        "A GPU could not be initialised. Stop and start the instance, so that it moves to other "
        "hardware",
        lost=True,
    ),
    _cause(
        "module not built",
        r"nvidia:? (disagrees about version|version magic)|version magic .* should be"
        r"|Unknown symbol in module|Exec format error",
        "The driver's module was built for another kernel. Rebuild it (dkms autoinstall) and "
        "reboot, or "
        "reboot into the kernel that it was built for",
    ),
    _cause(
        "held by another driver",
        r"NVRM: The NVIDIA probe routine was not called|already bound to|conflicting.*nouveau",
        "Another driver holds the GPU (nouveau, or vfio-pci). Keep that from it and reboot",
    ),
)


def causes(log: str) -> list[Cause]:
    """Known causes in a log, each once."""
    return [one for one in CAUSES if one.pattern.search(log)]


def last_lines(log: str) -> list[str]:
    """What the driver wrote last, without the time."""
    lines = [re.sub(r"^\[[ 0-9.]+\]\s*", "", line).strip() for line in log.splitlines()]
    return [line[:LONGEST] for line in lines if _LINES.search(line)][-SHOWN:]
