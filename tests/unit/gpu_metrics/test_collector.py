# SPDX-License-Identifier: Apache-2.0
"""The GPUs' metrics from an NVML whose answers stand in a table, and what happens without one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prometheus_client
import pynvml
import pytest
from gpu_metrics.collector import LABELS, Collector
from gpu_metrics.page import Page
from gpu_metrics.readings import READINGS
from gpu_metrics.xids import Xids
from prometheus_client.parser import text_string_to_metric_families

from tests.support.fake_nvml import NOT_SUPPORTED, FakeNvml, h200

RECORDED = (
    Path(__file__).parents[3] / "benchmarks/results/h200-2026-11-30/collector/page-loaded.txt"
)
Samples = dict[str, list[tuple[dict[str, str], float]]]


def samples(collector: Collector) -> Samples:
    """What Prometheus would read, name -> (labels, value)."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(collector)
    text = prometheus_client.generate_latest(registry).decode()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def read(nvml: FakeNvml) -> Samples:
    return samples(Collector(nvml, Xids(nvml)))


VALUES = {
    "GPU_UTIL": 97, "MEM_COPY_UTIL": 41, "FB_TOTAL": 143771, "FB_USED": 120000, "FB_FREE": 23000,
    "FB_RESERVED": 771, "POWER_USAGE": 612.345, "ENFORCED_POWER_LIMIT": 700,
    "TOTAL_ENERGY_CONSUMPTION": 9e9, "GPU_TEMP": 64, "MEMORY_TEMP": 71, "SM_CLOCK": 1980,
    "MEM_CLOCK": 3201, "CLOCK_THROTTLE_REASONS": 0x24, "ECC_SBE_VOL_TOTAL": 12,
    "ECC_DBE_VOL_TOTAL": 1, "ECC_SBE_AGG_TOTAL": 40, "ECC_DBE_AGG_TOTAL": 2,
    "CORRECTABLE_REMAPPED_ROWS": 3, "UNCORRECTABLE_REMAPPED_ROWS": 1, "ROW_REMAP_PENDING": 1,
    "ROW_REMAP_FAILURE": 0, "PCIE_REPLAY_COUNTER": 0, "NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL": 0,
    "NVLINK_REPLAY_ERROR_COUNT_TOTAL": 1, "NVLINK_RECOVERY_ERROR_COUNT_TOTAL": 0, "XID_ERRORS": 0,
}  # fmt: skip


def test_every_value_has_its_name_and_unit() -> None:
    found = read(FakeNvml([h200(0)]))
    dcgm = {name.removeprefix("DCGM_FI_DEV_"): v for name, v in found.items() if "DCGM" in name}
    assert {name: value for name, [(_labels, value)] in dcgm.items()} == VALUES
    # What this GPU lacks is left out: pages are retired on older ones.
    known = {one.name.removeprefix("DCGM_FI_DEV_") for one in READINGS} | {"XID_ERRORS"}
    assert known - set(VALUES) == {"RETIRED_SBE", "RETIRED_DBE", "RETIRED_PENDING", "SLOWDOWN_TEMP"}


def test_an_h200_of_its_own_has_all_but_links_and_retired_pages() -> None:
    """Of the page that the collector served there while vLLM answered."""
    page = RECORDED.read_text()
    found = {family.name for family in text_string_to_metric_families(page)}
    absent = {one.name.removeprefix("DCGM_FI_DEV_") for one in READINGS if one.name not in found}
    assert absent == {
        "RETIRED_SBE", "RETIRED_DBE", "RETIRED_PENDING", "NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL",
        "NVLINK_REPLAY_ERROR_COUNT_TOTAL", "NVLINK_RECOVERY_ERROR_COUNT_TOTAL",
    }  # fmt: skip
    known = {one.name for one in READINGS} | {"DCGM_FI_DEV_XID_ERRORS"}
    assert {name for name in found if name.startswith("DCGM")} <= known


def test_checksum_errors_of_data_are_left_out() -> None:
    # On two H200 without traffic NVML counted them up; nvidia-smi showed none.
    assert not [name for name in read(FakeNvml([h200(0)])) if "CRC_DATA" in name]


def test_labels_are_those_of_dcgm_exporter() -> None:
    [_first, (labels, _value)] = read(FakeNvml([h200(0), h200(1)]))["DCGM_FI_DEV_GPU_TEMP"]
    assert set(labels) == set(LABELS)
    assert labels | {"Hostname": ""} == {
        "gpu": "1",
        "UUID": "GPU-1",
        "pci_bus_id": "00000000:01:00.0",
        "device": "nvidia1",
        "modelName": "NVIDIA H200",
        "Hostname": "",
        "DCGM_FI_DRIVER_VERSION": "580.95.05",
    }


def test_reasons_for_lower_clocks_are_told_apart() -> None:
    found = read(FakeNvml([h200(0)]))["llm_gpu_throttled"]
    assert {labels["reason"]: value for labels, value in found} == {
        "power_cap": 1, "thermal": 1, "hw_slowdown": 0, "hw_thermal": 0, "hw_power_brake": 0,
        "sync_boost": 0,
    }  # fmt: skip


def test_links() -> None:
    found = read(FakeNvml([h200(0)]))
    assert found["llm_gpu_nvlinks_up"][0][1] == 18
    bytes_of = {each[0]["direction"]: each[1] for each in found["llm_gpu_nvlink_bytes_total"]}
    assert bytes_of == {"tx": 2048 * 1024, "rx": 1024 * 1024}


def test_a_gpu_without_links_has_no_series_of_them() -> None:
    table = h200(0) | {("nvmlDeviceGetNvLinkState", 0): NOT_SUPPORTED}
    found = read(FakeNvml([table]))
    assert not [name for name in found if "nvlink" in name.lower()]
    assert found["llm_gpu_up"] == [({"gpu": "0"}, 1)]


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("nvmlDeviceGetHandleByIndex", pynvml.NVML_ERROR_UNKNOWN),
        ("nvmlDeviceGetUUID", pynvml.NVML_ERROR_UNKNOWN),
        ("nvmlDeviceGetPowerUsage", pynvml.NVML_ERROR_GPU_IS_LOST),
        ("nvmlDeviceGetPowerUsage", pynvml.NVML_ERROR_RESET_REQUIRED),
    ],
)
def test_a_gpu_that_is_gone_does_not_hide_the_others(where: str, error: int) -> None:
    found = read(FakeNvml([h200(0) | {where: error}, h200(1)]))
    assert found["llm_gpu_up"] == [({"gpu": "0"}, 0), ({"gpu": "1"}, 1)]
    assert [labels["gpu"] for labels, _value in found["DCGM_FI_DEV_XID_ERRORS"]] == ["1"]


@pytest.mark.parametrize("error", [NOT_SUPPORTED, pynvml.NVML_ERROR_UNKNOWN])
def test_a_value_that_a_gpu_lacks_is_left_out(error: int) -> None:
    found = read(FakeNvml([h200(0) | {"nvmlDeviceGetPowerUsage": error}]))
    assert "DCGM_FI_DEV_POWER_USAGE" not in found
    assert found["llm_gpu_up"] == [({"gpu": "0"}, 1)]


def test_a_driver_that_comes_back_is_asked_again() -> None:
    nvml = FakeNvml([h200(0)], init=pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    collector = Collector(nvml, Xids(nvml))
    assert samples(collector) == {"llm_gpu_driver_up": [({}, 0)]}
    nvml.init = 0
    assert samples(collector)["llm_gpu_driver_up"] == [({}, 1)]
    nvml.initialised = 0  # loaded again under it
    assert samples(collector) == {"llm_gpu_driver_up": [({}, 0)]}
    found = samples(collector)
    assert found["llm_gpu_driver_up"] == [({}, 1)]
    assert found["DCGM_FI_DEV_GPU_TEMP"][0][1] == 64


def test_without_nvidias_library_it_says_so() -> None:
    """The real pynvml, on a machine without a GPU."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        found = samples(Collector(pynvml, Xids(pynvml)))
        assert found == {"llm_gpu_driver_up": [({}, 0)]}
    else:
        pytest.skip("this machine has NVIDIA's driver")


class TestXids:
    def test_each_has_nvidias_action(self) -> None:
        nvml = FakeNvml([h200(0), h200(1)], events=[(1, 79), (0, 94), (0, 94), (0, 48)])
        nvml.nvmlInit()
        xids = Xids(nvml, clock=lambda: 1_000.0)
        events = xids.register()
        assert nvml.listening == [0, 1]
        for _each in range(4):
            xids.look(events)
        found = samples(Collector(nvml, xids))
        told = {
            (labels["gpu"], labels["xid"], labels["action"]): value
            for labels, value in found["llm_gpu_xid_errors_total"]
        }
        assert told == {
            ("0", "94", "go on"): 2,
            ("0", "48", "reset"): 1,
            ("1", "79", "recreate elsewhere"): 1,
        }
        assert [value for _labels, value in found["DCGM_FI_DEV_XID_ERRORS"]] == [48, 79]
        assert {value for _labels, value in found["llm_gpu_xid_timestamp_seconds"]} == {1_000}

    def test_nothing_within_the_time_is_no_error(self) -> None:
        nvml = FakeNvml([h200(0)], events=[pynvml.NVML_ERROR_TIMEOUT])
        xids = Xids(nvml)
        xids.look("events")
        assert xids.seen() == {}

    def test_blackwell_has_meanings_of_its_own(self) -> None:
        newest = h200(0) | {"nvmlDeviceGetArchitecture": (pynvml.NVML_DEVICE_ARCH_BLACKWELL,)}
        nvml = FakeNvml([newest], events=[(0, 74)])
        nvml.nvmlInit()
        xids = Xids(nvml)
        xids.look(xids.register())
        assert [each.meaning.action for each in xids.seen().values()] == ["go on"]

    def test_it_starts_over_after_a_driver_that_went(self) -> None:
        gone = pynvml.NVML_ERROR_GPU_IS_LOST
        nvml = FakeNvml([h200(0)], events=[(0, 13), gone, (0, 31), gone])
        xids = Xids(nvml)
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            xids.run(sleep)
        assert [code for _uuid, code in xids.seen()] == [13, 31]
        assert nvml.initialised == 0


class Hanging:
    """A collector whose driver does not answer until it is let go."""

    def __init__(self) -> None:
        self.asked, self.let_go = threading.Event(), threading.Event()

    def collect(self) -> Iterator[Any]:
        self.asked.set()
        assert self.let_go.wait(120)
        return iter(())


def get(page: Page, path: str = "/metrics") -> tuple[str, bytes]:
    said: list[str] = []
    body = page(
        {"REQUEST_METHOD": "GET", "PATH_INFO": path}, lambda status, _headers: said.append(status)
    )
    return said[0], b"".join(body)


def test_a_driver_that_hangs_is_asked_once() -> None:
    hanging = Hanging()
    page = Page(hanging, wait=0.05)
    first = threading.Thread(target=get, args=(page,))
    first.start()
    try:
        assert hanging.asked.wait(120)
        for _each in range(3):
            status, body = get(page)
            assert status.startswith("503")
            assert b"has not answered" in body
    finally:
        hanging.let_go.set()
        first.join(120)
    assert get(page)[0].startswith("200")


def test_the_page_has_one_address() -> None:
    nvml = FakeNvml([h200(0)])
    page = Page(Collector(nvml, Xids(nvml)))
    assert get(page, "/")[0].startswith("404")
    status, body = get(page)
    assert status.startswith("200")
    assert b"\nDCGM_FI_DEV_GPU_TEMP{" in body
