# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's catalog of Xid errors: what each means, and what is to be done. Data and its look-up.

Read from docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html (Ampere and newer): the
resolution bucket for the immediate action, and where the catalog leaves it open, what its text
says. Codes that it calls unused are left out, as they are never logged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What a finding asks for.
GO_ON, RESET, ELSEWHERE = "go on", "reset", "recreate elsewhere"


@dataclass(frozen=True)
class Meaning:
    """One code: what it is, and the action."""

    text: str
    action: str


# The catalog's RESTART_APP, IGNORE, WORKFLOW_XID_45, UPDATE_SWFW and CHECK_UVM, and those without
# an
# action: the GPU goes on, what ran on it may not have.
_GO_ON = {
    8: "a GPU that stopped processing", 11: "an invalid stream of commands",
    13: "an exception of a program", 14: "an injected error", 25: "an illegal stream of commands",
    31: "a page fault of a program", 32: "an invalid stream of commands",
    37: "an error of the driver's firmware", 38: "an error of the driver's firmware",
    39: "an error of a copy engine", 40: "an error of a copy engine",
    41: "an error of a copy engine", 43: "a program that had to end",
    44: "a fault while contexts were switched", 45: "a program that was ended",
    60: "an error of the video processor", 63: "a row of memory that was replaced",
    66: "an illegal access by the driver", 67: "an illegal access by the driver",
    68: "an error of a video decoder", 69: "an error of a program's graphics class",
    70: "an error of a copy engine", 71: "an error of a copy engine",
    72: "an error of a copy engine", 75: "an error of a copy engine",
    76: "an error of a copy engine", 77: "an error of a copy engine",
    78: "a virtual GPU that did not start", 80: "corrupted data sent to the GPU",
    82: "an error of an image decoder", 83: "an error of a video decoder",
    84: "an error of a video decoder", 85: "an error of a copy engine",
    86: "an error of the optical flow engine", 88: "an error of a video decoder",
    89: "an error of a video decoder", 92: "many errors in its memory that were corrected",
    93: "its InfoROM's limit of writes", 94: "an error in its memory that ended one program",
    **dict.fromkeys(range(96, 106), "an error of a video or image decoder"),
    106: "a test message", 107: "a test message", 108: "an address over NVLink that was not there",
    121: "an error of the link to the processor",
    **dict.fromkeys(range(126, 136), "an error of a copy engine"),
    137: "an illegal access over NVLink", 139: "an error of the optical flow engine",
    141: "an error of CUDA's fast path", 142: "an error of a video encoder",
    152: "an error of the deep learning accelerator",
    153: "a timeout of the deep learning accelerator",
    # A link that is put to sleep on purpose is logged so, too.
    155: "a link that the driver took down", 157: "a part that could not be taken out of use",
    159: "an error of the link to the processor", 160: "a channel that was taken out of use",
    161: "a channel that could not be taken out of use", 162: "power smoothing that is on again",
    163: "power smoothing that is off", 164: "power smoothing that is nearly worn out",
    165: "power smoothing that is worn out", 166: "traffic before a link was encrypted",
    168: "less memory, as errors were found in it", 170: "an interrupt of a secured link",
    171: "an error in its DRAM (see Xid 48)", 172: "an error in its SRAM (see Xid 48)",
}  # fmt: skip
_RESET = {
    46: "a GPU that stopped processing",
    48: "an error in its memory that could not be corrected",
    62: "a halt of its micro-controller",
    74: "an error of NVLink",
    95: "an uncontained error in its memory",
    109: "a context switch that timed out",
    110: "a security fault",
    119: "firmware (GSP) that stopped answering",
    120: "an error of its firmware (GSP)",
    136: "a link that could not be trained",
    140: "an error in its memory that it did not recover from",
    143: "a GPU that could not be initialised",
    144: "an error of NVLink (SAW)",
    145: "an error of NVLink (RLW)",
    146: "an error of NVLink (TLW)",
    147: "an error of NVLink (TREX)",
    148: "an error of NVLink (NVLPW_CTRL)",
    149: "an error of NVLink (NETIR)",
    150: "an error of NVLink (MSE)",
    151: "an error while keys were changed",
    154: "a recovery that the driver asks for",
    156: "a part that is taken out of use by a reset",
    158: "a fatal timeout",
    167: "a fatal timeout of PCIe",
    169: "a halt of its security processor",
}
# RESTART_BM and CHECK_MECHANICALS are another machine's on a cloud; a row that can't be replaced
# is so
# after a reset, too.
_ELSEWHERE = {
    54: "a board without its auxiliary power",
    64: "a row of memory that could not be replaced",
    79: "a GPU that fell off the bus",
}
CATALOG = {
    **{code: Meaning(text, GO_ON) for code, text in _GO_ON.items()},
    **{code: Meaning(text, RESET) for code, text in _RESET.items()},
    **{code: Meaning(text, ELSEWHERE) for code, text in _ELSEWHERE.items()},
}
# Of NVLink up to the fourth; on Blackwell the codes of the fifth took their place.
_NOT_ON_BLACKWELL = frozenset({74, 80, 136})
NVLINK_5 = range(144, 151)
# 154's own text, as in "changed from 0x0 (None) to 0x2 (Node Reboot Required)".
_RECOVERY = re.compile(r"\bto\s+(?:0x[0-9a-fA-F]+\s*)?\(?([A-Za-z0-9 ]+?)\)?\s*$")
_FATAL = re.compile(r"\bFatal\b")
_NOT_FATAL = re.compile(r"\bNon-?fatal\b", re.IGNORECASE)


def meaning(code: int, text: str = "", architecture: str = "") -> Meaning:
    """What an error means, by its code and where that leaves it open by its text.

    Args:
        architecture: of the GPU, as nvidia-smi names it; empty where it is not known.
    """
    found = CATALOG.get(code)
    if found is None:
        return Meaning("an error that NVIDIA's catalog did not have", GO_ON)
    if architecture == "Blackwell" and code in _NOT_ON_BLACKWELL:
        return Meaning(found.text, GO_ON)
    if code == 154:
        asked = recovery(text)
        return Meaning(f"the driver asks for '{asked}'" if asked else found.text,
                       GO_ON if asked in ("None", "Drain P2P") else RESET)  # fmt: skip
    if code in NVLINK_5 and is_harmless(code, text):
        return Meaning(found.text, GO_ON)
    return found


def recovery(text: str) -> str:
    """The recovery that 154's text asks for; empty where it is not read."""
    match = _RECOVERY.search(text.strip().rstrip("."))
    return match[1].strip() if match else ""


def is_harmless(code: int, text: str) -> bool:
    """Whether a line of NVLink 5 calls its error one that is not fatal."""
    return code in NVLINK_5 and bool(_NOT_FATAL.search(text)) and not _FATAL.search(text)
