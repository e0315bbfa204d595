# SPDX-License-Identifier: Apache-2.0
"""Reads all GPUs when Prometheus asks; a GPU or a driver that is gone is a value, not a failure."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from . import readings
from .xids import Xids

logger = logging.getLogger("gpu_metrics")

#: As NVIDIA's dcgm-exporter has them, so that dashboards made for that fit.
LABELS = (
    "gpu",
    "UUID",
    "pci_bus_id",
    "device",
    "modelName",
    "Hostname",
    "DCGM_FI_DRIVER_VERSION",
)
#: What NVML answers of a GPU that is gone, or of a driver that is.
_GONE = (
    "NVML_ERROR_UNINITIALIZED",
    "NVML_ERROR_DRIVER_NOT_LOADED",
    "NVML_ERROR_TIMEOUT",
    "NVML_ERROR_IRQ_ISSUE",
    "NVML_ERROR_GPU_IS_LOST",
    "NVML_ERROR_RESET_REQUIRED",
    "NVML_ERROR_LIB_RM_VERSION_MISMATCH",
    "NVML_ERROR_GPU_NOT_FOUND",
)


class Collector:
    """For the registry of prometheus_client.

    Args:
        nvml: the module pynvml, or one like it.
        xids: the errors so far.
    """

    def __init__(self, nvml: Any, xids: Xids) -> None:
        self._nvml = nvml
        self._xids = xids
        self._driver = ""
        self._ready = False
        self._said = ""
        self._known: dict[int, tuple[Any, list[str]]] = {}
        self._gone = {getattr(nvml, name) for name in _GONE}

    def collect(self) -> Iterator[Metric]:
        """Every value of every GPU."""
        up = GaugeMetricFamily("llm_gpu_driver_up", "1 where NVIDIA's driver answers.")
        try:
            number = self._count()
        except self._nvml.NVMLError as error:
            self._leave(str(error))
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from self._of_gpus(number)

    def _count(self) -> int:
        if not self._ready:
            self._nvml.nvmlInit()
            self._ready = True
            self._driver = str(self._nvml.nvmlSystemGetDriverVersion())
        number = int(self._nvml.nvmlDeviceGetCount())
        if self._said:
            self._said = ""
            logger.warning("NVIDIA's driver answers: %d GPU(s)", number)
        return number

    def _leave(self, said: str) -> None:
        """A driver that was loaded again is asked again; once is enough for the log."""
        if self._said != said:
            self._said = said
            logger.error("NVIDIA's driver does not answer: %s", said)
        if self._ready:
            self._ready = False
            self._known.clear()
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def _of_gpus(self, number: int) -> Iterator[Metric]:
        up = GaugeMetricFamily("llm_gpu_up", "1 where a GPU answers.", labels=["gpu"])
        families = _Families()
        for index in range(number):
            try:
                gpu, labels = self._gpu(index)
                for read in (self._values, self._throttles, self._links, self._errors):
                    read(gpu, labels, families)
            except self._nvml.NVMLError as error:
                logger.error("GPU %d does not answer: %s", index, error)
                self._known.pop(index, None)
                up.add_metric([str(index)], 0)
            else:
                up.add_metric([str(index)], 1)
        yield up
        yield from families.found.values()

    def _gpu(self, index: int) -> tuple[Any, list[str]]:
        """A handle and the values of LABELS; asked once."""
        if index not in self._known:
            nvml = self._nvml
            gpu = nvml.nvmlDeviceGetHandleByIndex(index)
            labels = [
                str(index),
                str(nvml.nvmlDeviceGetUUID(gpu)),
                _text(nvml.nvmlDeviceGetPciInfo(gpu).busId),
                f"nvidia{nvml.nvmlDeviceGetMinorNumber(gpu)}",
                str(nvml.nvmlDeviceGetName(gpu)),
                socket.gethostname(),
                self._driver,
            ]
            self._known[index] = (gpu, labels)
        return self._known[index]

    def _had(self, read: Callable[[], Any]) -> Any:
        """What is read; None of what a GPU does not have. Raises NVMLError where it is gone."""
        try:
            return read()
        except self._nvml.NVMLError as error:
            if error.value in self._gone:
                raise
            return None

    def _values(self, gpu: Any, labels: list[str], families: _Families) -> None:
        for one in readings.READINGS:
            value = self._had(lambda one=one: one.read(self._nvml, gpu))  # type: ignore[misc]
            if value is not None:
                families.gauge(one.name, one.text, labels, value)

    def _throttles(self, gpu: Any, labels: list[str], families: _Families) -> None:
        text = "1 where a GPU is slowed down for this reason."
        for reason, holds in self._had(lambda: [*readings.throttles(self._nvml, gpu)]) or ():
            families.gauge("llm_gpu_throttled", text, labels, holds, reason=reason)

    def _links(self, gpu: Any, labels: list[str], families: _Families) -> None:
        up = self._had(lambda: len(readings.up_links(self._nvml, gpu)))
        if up is not None:
            families.gauge("llm_gpu_nvlinks_up", "NVLinks that carry data.", labels, up)
        for direction, kib in self._had(lambda: [*readings.nvlink_kib(self._nvml, gpu)]) or ():
            text = "Bytes of data over all NVLinks."
            families.counter("llm_gpu_nvlink_bytes", text, labels, kib * 1024, direction=direction)

    def _errors(self, _gpu: Any, labels: list[str], families: _Families) -> None:
        uuid = labels[LABELS.index("UUID")]
        text = "The last Xid error since the collector started, 0 for none."
        families.gauge("DCGM_FI_DEV_XID_ERRORS", text, labels, self._xids.latest(uuid))
        for (whose, code), seen in self._xids.seen().items():
            if whose != uuid:
                continue
            told = {"xid": str(code), "action": seen.meaning.action, "meaning": seen.meaning.text}
            text = "Xid errors since the collector started, with NVIDIA's action."
            families.counter("llm_gpu_xid_errors", text, labels, seen.count, **told)
            text = "When there was the last one."
            families.gauge("llm_gpu_xid_timestamp_seconds", text, labels, seen.last, **told)


class _Families:
    """Metrics that are filled GPU by GPU, in the order in which they came."""

    def __init__(self) -> None:
        self.found: dict[str, Metric] = {}

    def gauge(self, name: str, text: str, labels: list[str], value: float, **more: str) -> None:
        names = [*LABELS, *more]
        family = self.found.setdefault(name, GaugeMetricFamily(name, text, labels=names))
        family.add_sample(name, dict(zip(names, [*labels, *more.values()], strict=True)), value)

    def counter(self, name: str, text: str, labels: list[str], value: float, **more: str) -> None:
        names = [*LABELS, *more]
        family = self.found.setdefault(name, CounterMetricFamily(name, text, labels=names))
        sample = f"{name}_total"
        family.add_sample(sample, dict(zip(names, [*labels, *more.values()], strict=True)), value)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
