# SPDX-License-Identifier: Apache-2.0
"""NVML whose answers stand in a table. What the real pynvml does not have, it does not have."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pynvml

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED


def handle(index: int) -> Any:
    """Of the type that NVML hands out."""
    return ctypes.cast(0x1000 + index, pynvml.c_nvmlDevice_t)


def index_of(gpu: Any) -> int:
    """The number that a handle was made from."""
    return (ctypes.cast(gpu, ctypes.c_void_p).value or 0) - 0x1000


def field(value: int, kind: int = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG) -> Any:
    """An answer of nvmlDeviceGetFieldValues."""
    return SimpleNamespace(
        nvmlReturn=0, valueType=kind, value=SimpleNamespace(ullVal=value, uiVal=value)
    )


def h200(index: int) -> dict[Any, Any]:
    """What one GPU answers, by function and its further arguments; an int alone is an error."""
    memory = SimpleNamespace(
        total=143771 << 20, used=120000 << 20, free=23000 << 20, reserved=771 << 20
    )
    links = {("nvmlDeviceGetNvLinkState", link): (1,) for link in range(18)}
    errors = {
        ("nvmlDeviceGetNvLinkErrorCounter", link, kind): (link == 3 and kind == 0,)
        for link in range(18)
        for kind in range(4)
    }
    return {
        "nvmlDeviceGetUUID": (f"GPU-{index}",),
        "nvmlDeviceGetName": ("NVIDIA H200",),
        "nvmlDeviceGetMinorNumber": (index,),
        "nvmlDeviceGetArchitecture": (pynvml.NVML_DEVICE_ARCH_HOPPER,),
        "nvmlDeviceGetPciInfo": (SimpleNamespace(busId=f"00000000:0{index}:00.0"),),
        "nvmlDeviceGetUtilizationRates": (SimpleNamespace(gpu=97, memory=41),),
        ("nvmlDeviceGetMemoryInfo", pynvml.nvmlMemory_v2): (memory,),
        "nvmlDeviceGetPowerUsage": (612_345,),
        "nvmlDeviceGetEnforcedPowerLimit": (700_000,),
        "nvmlDeviceGetTotalEnergyConsumption": (9_000_000_000,),
        ("nvmlDeviceGetTemperature", pynvml.NVML_TEMPERATURE_GPU): (64,),
        ("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_SM): (1980,),
        ("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_MEM): (3201,),
        "nvmlDeviceGetCurrentClocksEventReasons": (0x4 | 0x20,),
        ("nvmlDeviceGetTotalEccErrors", 0, 0): (12,),
        ("nvmlDeviceGetTotalEccErrors", 1, 0): (1,),
        ("nvmlDeviceGetTotalEccErrors", 0, 1): (40,),
        ("nvmlDeviceGetTotalEccErrors", 1, 1): (2,),
        "nvmlDeviceGetRemappedRows": ((3, 1, True, False),),
        "nvmlDeviceGetPcieReplayCounter": (0,),
        ("nvmlDeviceGetFieldValues", pynvml.NVML_FI_DEV_MEMORY_TEMP): (
            field(71, pynvml.NVML_VALUE_TYPE_UNSIGNED_INT),
        ),
        ("nvmlDeviceGetFieldValues", (138, 0xFFFFFFFF)): (field(2048),),
        ("nvmlDeviceGetFieldValues", (139, 0xFFFFFFFF)): (field(1024),),
        **links,
        ("nvmlDeviceGetNvLinkState", 18): pynvml.NVML_ERROR_INVALID_ARGUMENT,
        **errors,
    }


class FakeNvml:
    """Stands for the module.

    Args:
        gpus: what each GPU answers, by function, or by function and arguments: an answer in a
            tuple, or an error's number.
        init: an error's number where the driver does not answer.
        events: what nvmlEventSetWait_v2 gives, one after the other: (index, code) or an error.
    """

    def __init__(
        self,
        gpus: list[Mapping[Any, Any]],
        *,
        init: int = 0,
        events: list[tuple[int, int] | int] | None = None,
    ) -> None:
        self.gpus = gpus
        self.init = init
        self.events = events or []
        self.initialised = 0
        self.listening: list[int] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(pynvml, name)  # a name that is made up fails here
        if not name.startswith("nvml") or not callable(real):
            return real

        def of_gpu(gpu: Any, *arguments: Any, **named: Any) -> Any:
            asked = (*arguments, *named.values())
            answers = self.gpus[index_of(gpu)]
            known = answers.get((name, *asked), answers.get(name, NOT_SUPPORTED))
            if isinstance(known, int):
                raise pynvml.NVMLError(known)
            return known[0]

        return of_gpu

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's
        if self.init:
            raise pynvml.NVMLError(self.init)
        self.initialised += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        if not self.initialised:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        self.initialised -= 1

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.95.05"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        if not self.initialised:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        known = self.gpus[index].get("nvmlDeviceGetHandleByIndex")
        if isinstance(known, int):
            raise pynvml.NVMLError(known)
        return handle(index)

    def nvmlDeviceGetFieldValues(self, gpu: Any, numbers: list[Any]) -> list[Any]:  # noqa: N802
        ask: Callable[..., Any] = self.__getattr__("nvmlDeviceGetFieldValues")
        try:
            return [ask(gpu, number) for number in numbers]
        except pynvml.NVMLError as error:  # which is in the answer, as in the real one
            return [SimpleNamespace(nvmlReturn=error.value)]

    def nvmlEventSetCreate(self) -> str:  # noqa: N802
        return "events"

    def nvmlDeviceRegisterEvents(self, gpu: Any, kinds: int, _events: Any) -> None:  # noqa: N802
        assert kinds == pynvml.nvmlEventTypeXidCriticalError
        self.listening.append(index_of(gpu))

    def nvmlEventSetWait_v2(self, _events: Any, _wait_ms: int) -> Any:  # noqa: N802
        event = self.events.pop(0)
        if isinstance(event, int):
            raise pynvml.NVMLError(event)
        return SimpleNamespace(
            device=handle(event[0]),
            eventType=pynvml.nvmlEventTypeXidCriticalError,
            eventData=event[1],
        )
