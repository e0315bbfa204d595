# SPDX-License-Identifier: Apache-2.0
"""Xid errors as the driver reports them, with what NVIDIA's catalog says is to be done."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import nvidia_xid

logger = logging.getLogger("gpu_metrics")

#: How long one look waits for an event.
WAIT_MS = 5000
#: Between two tries where there is no driver to ask.
PAUSE_S = 30.0
UNKNOWN = "unknown"


@dataclass
class Seen:
    """What there was of one code on one GPU."""

    meaning: nvidia_xid.Meaning
    count: int = 0
    last: float = 0.0


class Xids:
    """Listens in a thread of its own: what comes between two scrapes is not lost.

    Args:
        nvml: the module pynvml, or one like it.
        clock: seconds since 1970.
    """

    def __init__(self, nvml: Any, clock: Callable[[], float] = time.time) -> None:
        self._nvml = nvml
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, int], Seen] = {}
        self._latest: dict[str, int] = {}
        #: Of a handle, the GPU's UUID and architecture.
        self._gpus: dict[int | None, tuple[str, str]] = {}

    def seen(self) -> dict[tuple[str, int], Seen]:
        """(UUID, code) -> what there was."""
        with self._lock:
            return dict(self._seen)

    def latest(self, uuid: str) -> int:
        """The last code of a GPU, 0 for none."""
        return self._latest.get(uuid, 0)

    def note(self, uuid: str, code: int, architecture: str = "") -> None:
        """One error."""
        found = nvidia_xid.meaning(code, architecture=architecture)
        with self._lock:
            before = self._seen.get((uuid, code), Seen(found))
            self._seen[uuid, code] = Seen(found, before.count + 1, self._clock())
            self._latest[uuid] = code
        logger.error("Xid %d on %s: %s; %s", code, uuid, found.text, found.action)

    def register(self) -> Any:
        """A set of events for all GPUs that have them; raises NVMLError without a driver."""
        nvml = self._nvml
        events = nvml.nvmlEventSetCreate()
        for number in range(nvml.nvmlDeviceGetCount()):
            try:
                gpu = nvml.nvmlDeviceGetHandleByIndex(number)
                self._gpus[_address(gpu)] = self._name(gpu)
                nvml.nvmlDeviceRegisterEvents(gpu, nvml.nvmlEventTypeXidCriticalError, events)
            except nvml.NVMLError as error:
                logger.warning("GPU %d reports no Xid errors: %s", number, error)
        return events

    def _name(self, gpu: Any) -> tuple[str, str]:
        nvml = self._nvml
        uuid = str(nvml.nvmlDeviceGetUUID(gpu))
        newest = nvml.nvmlDeviceGetArchitecture(gpu) == nvml.NVML_DEVICE_ARCH_BLACKWELL
        return uuid, "Blackwell" if newest else ""

    def look(self, events: Any) -> None:
        """Waits for one error, a few seconds at most; raises NVMLError where the driver went."""
        nvml = self._nvml
        try:
            event = nvml.nvmlEventSetWait_v2(events, WAIT_MS)
        except nvml.NVMLError as error:
            if error.value == nvml.NVML_ERROR_TIMEOUT:
                return
            raise
        if event.eventType & nvml.nvmlEventTypeXidCriticalError:
            # One that fell off the bus no longer says its name.
            uuid, architecture = self._gpus.get(_address(event.device), (UNKNOWN, ""))
            self.note(uuid, int(event.eventData), architecture)

    def run(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """For as long as the process lives."""
        said = ""
        while True:
            try:
                self._nvml.nvmlInit()
                try:
                    events = self.register()
                    said = ""
                    while True:
                        self.look(events)
                finally:
                    self._nvml.nvmlShutdown()
            except self._nvml.NVMLError as error:
                # Once: a host may be without a driver for days.
                if said != str(error):
                    said = str(error)
                    logger.warning("No Xid errors can be seen: %s", error)
                sleep(PAUSE_S)


def _address(gpu: Any) -> int | None:
    """What tells one handle from another."""
    return ctypes.cast(gpu, ctypes.c_void_p).value
