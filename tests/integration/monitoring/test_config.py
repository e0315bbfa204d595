# SPDX-License-Identifier: Apache-2.0
"""The distribution's own checkers take each configuration that the role or its page has."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests import debian

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles" / "monitoring"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
VARS = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
WEBHOOK = {"monitoring_webhook_url": "https://example.org/hook?a=1&b=2"}
SLACK = {"monitoring_slack_api_url": "https://hooks.example.org/x"}
MAIL = {
    "monitoring_email_to": "oncall@example.org",
    "monitoring_email_from": "llm@example.org",
    "monitoring_email_smarthost": "smtp.example.org:587",
}
LOGIN = {"monitoring_email_username": "llm", "monitoring_email_password": 'a "b" {{c}}'}


def render(template: str, **settings: Any) -> str:
    environment = jinja2.Environment(  # noqa: S701 - YAML
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"to_json": json.dumps, "bool": bool}
    known = DEFAULTS | VARS | {"ansible_managed": "a test", "inventory_hostname": "one"}
    text = (ROLE / "templates" / template).read_text()
    return environment.from_string(text).render(**known | settings)


@pytest.fixture(scope="module")
def amtool() -> str:
    return debian.unpacked("prometheus-alertmanager", "amtool")


@pytest.fixture(scope="module")
def promtool() -> str:
    return debian.unpacked("prometheus", "promtool")


def check(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("settings", "receivers"),
    [
        ({}, []),
        (WEBHOOK, ["webhook"]),
        (SLACK | {"monitoring_slack_channel": "#alerts"}, ["Slack"]),
        (MAIL, ["e-mail"]),
        (WEBHOOK | {"monitoring_watchdog_receiver": True}, ["webhook"]),
        (WEBHOOK | SLACK | MAIL | LOGIN, ["webhook", "Slack", "e-mail"]),
    ],
    ids=["nobody", "webhook", "Slack", "e-mail", "watchdog", "all"],
)
def test_alertmanager_takes_it(
    amtool: str, tmp_path: Path, settings: dict[str, Any], receivers: list[str]
) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(render("alertmanager.yml.j2", __monitoring_receivers=receivers, **settings))
    check(amtool, "check-config", file)
    config = yaml.safe_load(file.read_text())
    routes = ["--config.file", str(file), "severity=critical", "alertname=LLMServerDown"]
    said = check(amtool, "config", "routes", "test", *routes)
    assert said.strip() == ("people" if receivers else "nobody")
    people = next((one for one in config["receivers"] if one["name"] == "people"), {})
    assert len([kind for kind in people if kind.endswith("_configs")]) == len(receivers)
    if LOGIN.items() <= settings.items():
        mail = people["email_configs"][0]
        assert mail["auth_password"] == LOGIN["monitoring_email_password"]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("gpu", [False, True])
def test_prometheus_takes_it(promtool: str, tmp_path: Path, tls: bool, gpu: bool) -> None:
    text = render(
        "prometheus.yml.j2",
        __monitoring_etc=str(tmp_path),
        monitoring_server_port=8000,
        monitoring_server_tls=tls,
        monitoring_gpu=gpu,
    )
    checked(promtool, tmp_path, text)
    jobs = [job["job_name"] for job in yaml.safe_load(text)["scrape_configs"]]
    assert ("gpu" in jobs) == gpu
    assert ("scheme: https" in text) == tls


def test_objectives_are_those_of_the_file() -> None:
    """Who loads the rules by hand gets the same alerts."""
    file = yaml.safe_load((ROOT / "files/prometheus/llm-objectives.yml").read_text())
    made = yaml.safe_load(render("objectives.yml.j2"))
    assert values(made) == values(file)


def values(rules: dict[str, Any]) -> dict[str, float]:
    (group,) = rules["groups"]
    return {
        one["record"]: float(one["expr"].removeprefix("vector(").removesuffix(")"))
        for one in group["rules"]
    }


def checked(promtool: str, folder: Path, text: str) -> None:
    (folder / "llm-rules.yml").write_text((ROOT / "files/prometheus/llm-rules.yml").read_text())
    (folder / "llm-objectives.yml").write_text(render("objectives.yml.j2"))
    (folder / "llm_key").write_text("a key of the tests")
    (folder / "prometheus.yml").write_text(text)
    check(promtool, "check", "config", folder / "prometheus.yml")
