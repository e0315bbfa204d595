# SPDX-License-Identifier: Apache-2.0
"""timer.yml: units that systemd takes, a run that never overlaps another, and no trace after it.

This machine runs no systemd: systemctl is a stand-in that writes down what it was told.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.emulator_fixture import ROOT
from tests.support.site_fixture import NAME, Site

SYSTEMCTL = """#!/bin/sh
echo "$@" >> {log}
case "$*" in *show*) echo LoadState=loaded; echo ActiveState=inactive;; esac
case "$*" in *is-enabled*) echo disabled; exit 1;; esac
"""


TOLD = '50% of $HOME "it\'s" a \\\\ path \u00fc'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with a systemctl that does nothing."""
    home, fake = tmp_path / "home", tmp_path / "bin" / "systemctl"
    fake.parent.mkdir()
    fake.write_text(SYSTEMCTL.format(log=tmp_path / "log"))
    fake.chmod(0o755)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    return home


def judged_by_systemd(tmp_path: Path, *units: Path) -> str:
    """What systemd makes of units, in which it must find nothing wrong; '' where none runs."""
    if not shutil.which("systemd-analyze"):
        return ""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    judged = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", *units],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert units[0].name not in judged.stderr, judged.stderr
    wants = units[0].with_name("default.target.wants")
    wants.mkdir(exist_ok=True)
    (wants / units[0].name).symlink_to(units[0])
    read = subprocess.run(
        ["/usr/lib/systemd/systemd", "--test", "--user"],
        env=environment | {"XDG_CONFIG_HOME": str(units[0].parents[2])},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    shutil.rmtree(wants)
    return read.partition(f"-> Unit {units[0].name}:")[2].partition("-> Unit ")[0]


def as_systemd_runs(service: Path, runtime: Path) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a unit, by systemd's rules for quotes, % and $."""
    environment, command = {}, []
    for line in service.read_text().splitlines():
        key, _, rest = line.partition("=")
        words = shlex.split(rest) if key in {"ExecStart", "Environment"} else []
        if key == "Environment":
            [pair] = words
            name, _, value = pair.replace("%%", "%").partition("=")
            environment[name] = value
        if key == "ExecStart":
            command = [
                "%".join(part.replace("%t", str(runtime)) for part in word.split("%%")).replace(
                    "$$", "$"
                )
                for word in words
            ]
    return command, environment


def test_runs_what_it_was_installed_for(
    site: Site, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vault").write_text("not-needed\n")
    more = tmp_path / "more settings.yml"
    more.write_text("gce_instance_machine_type: g2-standard-8\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost,50%.example")
    monkeypatch.setenv("GCE_VLLM_IMPERSONATE_SERVICE_ACCOUNT", "")
    own = {"gce_name": "b", "gce_instance_metadata": {"note": TOLD}}
    site.ok(
        "timer",
        *("-e", json.dumps(own), "-e", f"@{more.name}", "-e", "timer_mode=repair llm_model=Other"),
        *("--limit", "all", "--vault-password-file", "vault"),
        cwd=tmp_path,
    )
    units = home / ".config" / "systemd" / "user"
    service = units / "gce-vllm-b.service"
    command, environment = as_systemd_runs(service, tmp_path)
    read = judged_by_systemd(tmp_path, service, units / "gce-vllm-b.timer")
    if read:  # in some containers systemd ends at once, also for units that are well
        [line] = [one.strip() for one in read.splitlines() if "Command Line: " in one]
        seen = shlex.split(line.removeprefix("Command Line: "))
        assert [one.replace("$$", "$") for one in seen] == command
        assert "NO_PROXY=127.0.0.1,localhost,50%.example" in read
    assert "timer_mode" not in str(command)
    assert f"--extra-vars=@{more}" in command
    assert f"--vault-password-file={tmp_path / 'vault'}" in command
    assert "--limit=all" in command
    assert environment["NO_PROXY"].endswith("50%.example")

    monkeypatch.chdir(ROOT)
    kept = {k: v for k, v in os.environ.items() if k not in environment}
    done = subprocess.run(
        command, env=kept | environment, capture_output=True, text=True, timeout=600, check=False
    )
    # A record has no host, which is what the run stops at.
    assert "labelled gce-vllm-name=b" in " ".join(done.stdout.split()), done.stdout + done.stderr
    [made] = site.stored("instances")
    assert made["name"] == "b"
    assert made["machineType"].endswith("/g2-standard-8")
    assert {"key": "note", "value": TOLD} in made["metadata"]["items"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-e", "llm_api_key=sixteen-letters-x"), "llm_api_key would stand in the timer's unit"),
        (
            ("-e", '{"llm_server_environment": {"HF_TOKEN": "hf_never"}}'),
            "llm_server_environment.HF_TOKEN would stand",
        ),
    ],
)
def test_no_secret_comes_into_a_unit(
    site: Site, home: Path, options: tuple[str, ...], words: str
) -> None:
    refused = site.play("playbooks/timer.yml", *options)
    assert refused.returncode != 0
    assert words in " ".join(refused.stdout.split())
    assert not (home / ".config").exists()


def test_no_proxy_password_comes_into_a_unit(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:never-this@proxy.example:3128")
    refused = site.play("playbooks/timer.yml")
    assert refused.returncode == 2
    assert "A proxy's password" in refused.stdout
    assert "never-this" not in refused.stdout
    assert not (home / ".config").exists()


def test_token_of_the_hub_stays_out_and_that_is_said(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "HF_TOKEN" not in site.ok("timer")
    monkeypatch.setenv("HF_TOKEN", "hf_never")
    said = " ".join(site.ok("timer").split())
    assert "HF_TOKEN of this environment is not handed to the timer" in said
    assert "hf_never" not in said
    units = home / ".config" / "systemd" / "user"
    assert all("hf_never" not in one.read_text() for one in units.iterdir() if one.is_file())


def test_installed_judged_by_systemd_never_overlapping_and_removed(
    site: Site, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("GCE_VLLM_ACCESS_TOKEN", "ya29.never-to-be-written")

    said = site.ok("timer", "-e", "timer_mode=repair", "-e", "timer_minutes=5")
    assert "journalctl --user -u gce-vllm-llm-server" in said
    units = home / ".config" / "systemd" / "user"
    service, timer = units / f"gce-vllm-{NAME}.service", units / f"gce-vllm-{NAME}.timer"
    text = service.read_text()
    assert "ya29" not in text
    assert "OnUnitInactiveSec=5min" in timer.read_text()
    told = log.read_text()
    assert f"--user enable gce-vllm-{NAME}.timer" in told
    assert f"--user start gce-vllm-{NAME}.timer" in told
    judged_by_systemd(tmp_path, service, timer)

    lock = tmp_path / f"gce-vllm-{NAME}.lock"
    command, _ = as_systemd_runs(service, tmp_path)
    assert command[-1].endswith("playbooks/site.yml")
    assert "--extra-vars=gce_instance_start_outside_schedule=false" in command
    assert "--extra-vars=gce_instance_start_when_idle=false" in command
    assert command[command.index("0") + 1] == str(lock)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        idle = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (idle.returncode, idle.stdout) == (0, "")

    # It would bring back what these take away.
    for playbook in ("stop", "destroy"):
        refused = site.play(f"playbooks/{playbook}.yml", "-e", f"confirm={NAME}")
        assert refused.returncode == 2
        assert "playbooks/timer.yml -e timer_state=absent." in " ".join(refused.stdout.split())

    site.ok("timer", "-e", "timer_state=absent")
    assert list(units.iterdir()) == []
