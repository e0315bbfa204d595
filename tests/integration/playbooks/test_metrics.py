# SPDX-License-Identifier: Apache-2.0
"""metrics.yml: a real Prometheus with two hours of two GPUs, and a host that has none."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.support.dashboard_host import prometheus
from tests.support.modules_fixtures import free_port
from tests.support.site_fixture import NAME, Site

COLUMNS = [
    *("time", "host", "gpu", "gpu_memory_used_mib", "gpu_memory_total_mib"),
    *("gpu_utilisation_percent", "gpu_power_watts", "gpu_temperature_celsius"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as (url, _):
        yield url.removeprefix("http://")


@pytest.fixture
def watched(site: Site, address: str) -> Site:
    """This machine as a host with monitoring; there is no cloud."""
    site.clouds = {}
    site.reach_locally()
    site.servers[NAME]["__metrics_prometheus"] = address
    return site


def test_the_hosts_figures_are_written(watched: Site) -> None:
    target = watched.folder / "gpu.csv"
    options = ("-e", f"metrics_output={target}", "-e", "metrics_step=30s")
    said = watched.ok("metrics", *options, "--check", changed=0)
    assert f"Written to {target}." in said
    with target.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert {(row["host"], row["gpu"]) for row in rows} == {(NAME, "0"), (NAME, "1")}
    assert {row["gpu_memory_total_mib"] for row in rows} == {"143771"}
    assert all(120 <= float(row["gpu_power_watts"]) < 800 for row in rows)
    times = sorted({datetime.fromisoformat(row["time"]) for row in rows})
    assert len(rows) == 2 * len(times)
    apart = {later - earlier for earlier, later in itertools.pairwise(times)}
    assert apart == {timedelta(seconds=30)}
    assert timedelta(minutes=59) <= times[-1] - times[0] <= timedelta(hours=1)

    # Another host has no Prometheus: it is named, and the file has the first one's other series.
    watched.servers["llm-2"] = watched.servers[NAME] | {
        "__metrics_prometheus": f"127.0.0.1:{free_port()}"
    }
    series = {"metrics_series": {"tokens_per_second": "sum(rate(llm_tokens_total[1m]))"}}
    done = watched.play("playbooks/metrics.yml", *options, "-e", json.dumps(series))
    text = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert "Not all figures could be read. llm-2: no Prometheus answers on it" in text
    with target.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["time", "host", "tokens_per_second"]
    assert {row["host"] for row in rows} == {NAME}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["metrics_since=soon"], "metrics_since is 'soon', which is no time."),
        (["metrics_outptu=x"], "Did you mean metrics_output"),
        (['{"metrics_series": {"a": "sum("}}'], "Prometheus refuses metrics_series.a: "),
        (["metrics_output=none/x.csv"], "none/x.csv, and there is no such folder for a file."),
    ],
    ids=["time", "name", "expression", "folder"],
)
def test_what_is_wrong_is_said(watched: Site, options: list[str], said: str) -> None:
    target = watched.folder / "none.csv"
    given = [part for option in options for part in ("-e", option)]
    done = watched.play("playbooks/metrics.yml", "-e", f"metrics_output={target}", *given)
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split())
    assert not target.exists()
