# SPDX-License-Identifier: Apache-2.0
"""Fixtures: `emulator` is a live one with an empty project, `api` speaks to it.

`site` runs playbooks on it. `make_server` makes inference servers with a real vLLM, each of which
takes half a minute to start. So tests share: `shared_server` is ready, and every test leaves it so;
`fallen` may be killed; `vectors` makes vectors.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.emulator_fixture import Api, Emulator
from tests.support.lora_adapter import write_adapter
from tests.support.playbook_runs import close
from tests.support.server_fixture import ARGS, STALL_S, Server, setting
from tests.support.site_fixture import Site

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prices of the emulated catalog stay out of the user's cache, and state out of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GCE_VLLM_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        patch.setenv("GCE_VLLM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        # Tests read what a stock callback writes; ours has tests of its own.
        patch.setenv("ANSIBLE_STDOUT_CALLBACK", "ansible.builtin.default")
        yield


@pytest.fixture(scope="session", autouse=True)
def _playbook_runs() -> Iterator[None]:
    """Ends what playbooks were forked from."""
    yield
    close()


@pytest.fixture(scope="session")
def emulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One process for the whole run."""
    emulator = Emulator(tmp_path_factory.mktemp("emulator"))
    emulator.start()
    yield emulator
    assert emulator.stop() == 0


@pytest.fixture
def emulator(emulator_process: Emulator) -> Iterator[Emulator]:
    """The live emulator with a new project that no other test has touched."""
    emulator_process.project = f"test-project-{next(_numbers)}"
    emulator_process.admin("PUT", f"projects/{emulator_process.project}")
    yield emulator_process
    emulator_process.admin("DELETE", "faults")
    emulator_process.admin("PUT", "tokens", {"lifetime": 3600})
    emulator_process.admin("DELETE", "stockouts")
    emulator_process.admin("DELETE", "images")
    emulator_process.admin("PUT", "operation-delay", {"seconds": 0})
    emulator_process.admin("PUT", "quota-requests", {"outcome": "granted"})


@pytest.fixture
def own_emulator(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator that a test may stop and start."""
    emulator = Emulator(tmp_path / "state")
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture
def api(emulator: Emulator) -> Iterator[Api]:
    """Raw calls to `emulator`."""
    client = Api(emulator)
    yield client
    client.session.close()


@pytest.fixture
def site(emulator: Emulator, api: Api, tmp_path: Path) -> Iterator[Site]:
    """A project with nothing in it."""
    yield Site(emulator, api, tmp_path)


@pytest.fixture
def made(site: Site) -> Site:
    """A project with an instance that runs, and its rules."""
    site.make()
    return site


@pytest.fixture(scope="session")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Makes servers that are not started yet, and ends them all."""
    python, model = setting("GCE_VLLM_TEST_PYTHON"), setting("GCE_VLLM_TEST_MODEL")
    root = tmp_path_factory.mktemp("llm-servers")
    made: list[Server] = []

    def new(variables: dict[str, str] | None = None, **settings: Any) -> Server:
        folder = root / str(len(made))
        made.append(Server(folder, python, model, settings, variables or {}))
        return made[-1]

    yield new
    for server in made:
        if hasattr(server, "process"):
            server.close()


@pytest.fixture(scope="session")
def shared_server(
    make_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> Server:
    """One that is ready, takes tool calls, has a LoRA adapter, and no C++ compiler.

    Pages of any site may ask it. It counts as stuck soon, though not after a step of its engine on
    a busy machine.
    """
    folder = tmp_path_factory.mktemp("adapters")
    adapter = write_adapter(folder / "pirate", Path(setting("GCE_VLLM_TEST_MODEL")))
    new = make_server(
        variables={"CXX": "/nowhere/c++", "TORCHINDUCTOR_CACHE_DIR": str(folder / "torchinductor")},
        stall_timeout=20,
        vllm_args=ARGS
        | {
            "enable_auto_tool_choice": True,
            "tool_call_parser": "hermes",
            "allowed_origins": ["*"],
            "enable_lora": True,
            "max_lora_rank": 8,
            "lora_modules": [{"name": "pirate", "path": str(adapter)}],
        },
    )
    new.start()
    new.wait_for("healthy")
    return new


@pytest.fixture(scope="session")
def fallen(make_server: Callable[..., Server]) -> Server:
    """One that is killed again and again; it says how large its tables are."""
    stall = float(os.environ.get("GCE_VLLM_STALL_TIMEOUT", str(STALL_S)))
    return make_server(stall_timeout=stall, shutdown_timeout=20, log_level="debug")


@pytest.fixture(scope="session")
def vectors(
    make_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Server, Path]:
    """One that makes vectors, after a plain start, over TLS and below a prefix; its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "tls.pem", folder / "tls.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    made = make_server(
        start="plain",
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        root_path="/llm",
        shutdown_timeout=1,
        vllm_args=ARGS | {"runner": "pooling", "convert": "embed"},
    )
    made.over_tls(certificate)
    made.start()
    # Answers over TLS also while it loads.
    assert made.wait_for("loading").status == 503
    made.wait_for("healthy")
    return made, certificate
