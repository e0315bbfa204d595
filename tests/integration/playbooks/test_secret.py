# SPDX-License-Identifier: Apache-2.0
"""Secrets from the emulated Secret Manager, and the hub's token that comes from there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import GceError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import secret_manager
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.client import Settings

from tests.integration.modules.test_weights_followed import Role
from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Emulator
from tests.support.exhaustive import only_in_full
from tests.support.model_places import Places
from tests.support.playbook_runs import ansible_playbook

TOKEN = "hf_" + "MarkerOfASecret" * 2
SECRET = "hf-token"


@pytest.fixture
def name(emulator: Emulator) -> str:
    """A secret that holds the token, as an editor saves it."""
    secret = m.new_name(SECRET)
    put(emulator, secret, data=f"{TOKEN}\n")
    return f"projects/{emulator.project}/secrets/{secret}"


def put(emulator: Emulator, secret: str, **body: Any) -> None:
    emulator.admin("PUT", f"projects/{emulator.project}/secrets/{secret}", body)


def read(emulator: Emulator, name: str) -> str:
    settings = Settings("-", str(emulator.credentials_file), endpoint=emulator.endpoint)
    return secret_manager.read(settings, name)


def test_the_latest_version_and_a_named_one(emulator: Emulator, name: str) -> None:
    assert read(emulator, name) == TOKEN
    put(emulator, name.rpartition("/")[2], data="second")
    assert read(emulator, name) == "second"
    assert read(emulator, f"{name}/versions/1") == TOKEN


@pytest.mark.parametrize(
    ("change", "asked", "said"),
    [
        ({"denied": True}, "{}", "roles/secretmanager.secretAccessor"),
        ({}, "{}-none", "not found or has no versions"),
        ({}, "{}/versions/7", "gcloud secrets versions list"),
        ({"data": "x", "state": "DISABLED"}, "{}", "enable that version"),
        ({"data": "\n"}, "{}", "is empty, or no text"),
        ({}, "hf-token", "write projects/PROJECT/secrets/SECRET"),
        ({}, "{}/versions/1:destroy", "is not the name of a secret"),
    ],
)
def test_a_refusal_says_what_to_do(
    emulator: Emulator, name: str, change: dict[str, Any], asked: str, said: str
) -> None:
    put(emulator, name.rpartition("/")[2], **change)
    with pytest.raises(GceError) as refused:
        read(emulator, asked.format(name))
    assert said in str(refused.value) and TOKEN not in str(refused.value)


def test_an_api_that_is_off_is_named(emulator: Emulator, name: str) -> None:
    path = f"projects/{emulator.project}/apis/secretmanager.googleapis.com"
    emulator.admin("PUT", path, {"enabled": False})
    try:
        with pytest.raises(GceError, match=r"services enable secretmanager\.googleapis\.com"):
            read(emulator, name)
    finally:
        emulator.admin("PUT", path, {"enabled": True})


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    with Places() as one:
        monkeypatch.setenv("GCE_METADATA_HOST", one.host)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield one


def hub_tokens(places: Places) -> set[str | None]:
    return {one for path, one in places.tokens if path.startswith("/api/")}


def kept(folder: Path) -> list[Path]:
    """Files that hold the token."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_the_role_takes_it_from_the_secret_and_shows_it_nowhere(
    emulator: Emulator, name: str, places: Places, tmp_path: Path
) -> None:
    role = Role(places, tmp_path)
    role.variables |= {
        "llm_model_token_secret": name,
        "gce_endpoint": emulator.endpoint,
        "gce_service_account_file": str(emulator.credentials_file),
    }
    # Facts and the log are kept on disk here, so that the token would be found in them.
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_LOG_PATH": str(tmp_path / "log")}
    os.environ.update(cache | {"ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "facts")})
    try:
        for options in (("--check", "--diff", "-vvv"), ("--diff", "-vvv"), ("-vvvvv",)):
            done = role.run_alone(*options)
            assert done.returncode == 0, done.stdout
            assert TOKEN not in done.stdout + done.stderr
        # Where a value is wrong, Ansible shows all options with their defaults.
        wrong = role.run_alone("-vvv", llm_model_verify="maybe")
        assert wrong.returncode != 0 and TOKEN not in wrong.stdout + wrong.stderr
    finally:
        for key in (*cache, "ANSIBLE_CACHE_PLUGIN_CONNECTION"):
            del os.environ[key]
    assert hub_tokens(places) == {f"Bearer {TOKEN}"}
    assert (tmp_path / "log").stat().st_size and not [
        path for path in kept(tmp_path) if "ansible-tmp-" not in str(path)
    ]


@only_in_full
def test_the_environments_token_goes_to_the_hub_alone(places: Places, tmp_path: Path) -> None:
    os.environ["HF_TOKEN"] = TOKEN
    try:
        role = Role(places, tmp_path)
        assert role.run().returncode == 0
        assert hub_tokens(places) == {f"Bearer {TOKEN}"}
        places.tokens.clear()
        mirror = role.run(llm_model=f"{places.url}/mirror/model", llm_model_name="other")
        assert mirror.returncode == 0, mirror.stdout
        bucket = role.run(
            llm_model="gs://models/org/model", llm_model_storage=places.url, llm_model_name="third"
        )
        assert bucket.returncode == 0, bucket.stdout
        assert {one for _, one in places.tokens} == {None, "Bearer of-the-instance"}
    finally:
        del os.environ["HF_TOKEN"]


def test_a_secret_that_cannot_be_read_stops_the_role_with_one_message(
    emulator: Emulator, name: str, places: Places, tmp_path: Path
) -> None:
    put(emulator, name.rpartition("/")[2], denied=True)
    role = Role(places, tmp_path)
    failed = role.run(
        llm_model_token_secret=name,
        gce_endpoint=emulator.endpoint,
        gce_service_account_file=str(emulator.credentials_file),
    )
    assert failed.returncode == 2 and not hub_tokens(places)
    assert "roles/secretmanager.secretAccessor" in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr


def test_the_plan_asks_the_hub_with_it(emulator: Emulator, name: str, places: Places) -> None:
    variables = {
        "llm_model": "org/model",
        "plan_gpu": "nvidia-l4",
        "llm_model_token_secret": name,
        "gce_endpoint": emulator.endpoint,
        "gce_service_account_file": str(emulator.credentials_file),
    }
    done = ansible_playbook(
        *("playbooks/plan.yml", "-vvv", "-e", json.dumps(variables)),
        environment={"HF_ENDPOINT": places.url},
        timeout=120,
    )
    assert TOKEN not in done.stdout + done.stderr
    assert f"Bearer {TOKEN}" in {one for _, one in places.tokens}, done.stdout[-2000:]
