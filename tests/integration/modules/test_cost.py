# SPDX-License-Identifier: Apache-2.0
"""Prices from the emulated Cloud Billing catalog, what is kept of it, and the table without it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Api, Emulator

OFF = "projects/-/apis/cloudbilling.googleapis.com"
Json = dict[str, Any]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GCE_VLLM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def cloud(emulator: Emulator, cache: Path) -> Iterator[m.Cloud]:
    cloud = m.Cloud(emulator)
    yield cloud
    cloud.admin("PUT", OFF, {"enabled": True})


def cost(cloud: m.Cloud, machine_type: str, **changes: Any) -> Json:
    desired = {"region": m.REGION, "boot_disk_size_gb": 100, "boot_disk_type": "pd-balanced"}
    return cloud.ok("plan_cost_info", **{**desired, "machine_type": machine_type, **changes})


def hours(found: Json, model: str) -> list[float]:
    return [part[model]["hourly"] for part in found["parts"]]


def test_parts_from_the_catalog(cloud: m.Cloud) -> None:
    found = cost(cloud, "g2-standard-4")
    assert found["prices"]["kind"] == "catalog" and found["prices"]["instead"] == ""
    kinds = [part["kind"] for part in found["parts"]]
    assert kinds == ["cpu", "memory", "gpu", "disk", "address"]
    ten = round(10 / 730, 6)
    assert hours(found, "on_demand") == [0.099952, 0.046832, 0.56004, ten, 0.005]
    assert hours(found, "spot") == [0.03996, 0.01872, 0.2231, ten, 0.0025]
    assert hours(found, "commit_1y") == [0.062968, 0.029504, 0.352825, ten, 0.005]
    assert hours(found, "commit_3y") == [0.044976, 0.021072, 0.252018, ten, 0.005]
    assert found["total"]["stopped"]["monthly"] == pytest.approx(10.0, abs=0.01)
    other = cost(cloud, "g2-standard-4", region="europe-west4")
    assert other["total"]["on_demand"]["hourly"] > found["total"]["on_demand"]["hourly"]


def test_attached_gpus_bundled_disks_and_static_addresses(cloud: m.Cloud) -> None:
    t4 = [{"type": "nvidia-tesla-t4", "count": 2}]
    found = cost(cloud, "n1-standard-4", accelerators=t4, static_address=True)
    assert hours(found, "on_demand")[:3] == [0.126444, 0.063555, 0.7]
    assert found["total"]["stopped"]["hourly"] == pytest.approx(10 / 730 + 0.01, abs=1e-4)
    h100 = cost(cloud, "a3-highgpu-1g", external_ip=False)
    ssd = next(part for part in h100["parts"] if part["what"] == "750 GB of local SSD")
    assert ssd["spot"]["hourly"] < ssd["at_most"]["hourly"]
    assert (ssd["on_demand"], ssd["not_sold"][0]) == (None, "on_demand")


def test_what_the_catalog_lacks_is_unknown(cloud: m.Cloud) -> None:
    found = cost(cloud, "a4-highgpu-8g", boot_disk_type="hyperdisk-balanced")
    total = found["total"]["spot"]
    assert total["hourly"] is None
    assert {"8 x nvidia-b200", "disk 100 GB hyperdisk-balanced"} <= set(total["unknown"])
    on_demand = found["total"]["on_demand"]
    assert "8 x nvidia-b200" in on_demand["not_sold"]
    assert on_demand["unknown"] == ["disk 100 GB hyperdisk-balanced"]
    assert cost(cloud, "strange-8")["parts"][0]["on_demand"] is None


def test_the_catalog_is_read_once_a_day(cloud: m.Cloud, cache: Path) -> None:
    first = cost(cloud, "g2-standard-4")
    cloud.admin("PUT", OFF, {"enabled": False})
    assert cost(cloud, "g2-standard-4") == first
    (file,) = cache.iterdir()
    kept = json.loads(file.read_text(encoding="utf-8"))
    kept["read"] -= 25 * 3600
    file.write_text(json.dumps(kept), encoding="utf-8")
    assert cost(cloud, "g2-standard-4")["prices"]["kind"] == "table"
    file.write_text("half a fi", encoding="utf-8")
    cloud.admin("PUT", OFF, {"enabled": True})
    assert cost(cloud, "g2-standard-4") == first


def test_without_the_catalog_the_dated_table(cloud: m.Cloud, cache: Path) -> None:
    cloud.admin("PUT", OFF, {"enabled": False})
    found = cost(cloud, "g2-standard-4")
    assert (found["prices"]["kind"], found["prices"]["dated"]) == ("table", "2025-03-06")
    assert "gcloud services enable cloudbilling.googleapis.com" in found["prices"]["instead"]
    assert any("could not be read" in line for line in found["lines"])
    desired = {"region": m.REGION, "boot_disk_size_gb": 100, "boot_disk_type": "pd-balanced"}
    desired |= {"machine_type": "g2-standard-4", "price_source": "catalog"}
    assert cloud.fails("plan_cost_info", **desired)["reason"] == "SERVICE_DISABLED"
    bare = {"service_account_file": str(cache / "none.json")}
    assert cost(cloud, "g2-standard-4", **bare)["prices"]["instead"]
    assert cost(cloud, "g2-standard-4", price_source="table", **bare)["prices"]["instead"] == ""


def test_pages_of_the_catalog(cloud: m.Cloud, api: Api) -> None:
    url = f"{cloud.emulator.url}/v1/services/6F81-5844-456A/skus"
    found: list[Json] = []
    token = ""
    while True:
        query = {"pageSize": "20", "pageToken": token}
        page = api.session.get(url, params=query, timeout=120).json()
        found += page["skus"]
        token = page["nextPageToken"]
        if not token:
            break
    assert len({one["skuId"] for one in found}) == len(found) > 40
    assert found[0]["category"]["serviceDisplayName"] == "Compute Engine"
    wrong = api.session.get(url, params={"filter": "x"}, timeout=120)
    assert wrong.status_code == 400


def test_status_counts_what_nothing_uses(cloud: m.Cloud) -> None:
    name = m.new_name("llm")
    status = {"zone": m.ZONE, "name": name}
    cloud.ok("gce_address", name=f"{name}-ip", region=m.REGION)
    unused = cloud.ok("gce_status_info", **status)
    assert unused["report"]["cost"]["hourly"] == 0.01
    assert any("static address" in line and "not used" in line for line in unused["lines"])
    cloud.ok("gce_instance", **m.machine(name, address=f"{name}-ip"))
    running = cloud.ok("gce_status_info", **status)["report"]
    assert running["cost"]["hourly"] == pytest.approx(0.8722, abs=1e-3)
    assert running["cost_while_stopped"]["hourly"] == pytest.approx(10 / 730 + 0.01, abs=1e-4)
    cloud.ok("gce_instance", **m.machine(name, address=f"{name}-ip", state="stopped"))
    stopped = cloud.ok("gce_status_info", **status)["report"]
    assert stopped["cost"] == stopped["cost_while_stopped"] == running["cost_while_stopped"]
    assert stopped["prices"]["kind"] == "catalog"
