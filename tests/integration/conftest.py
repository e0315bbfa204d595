# SPDX-License-Identifier: Apache-2.0
"""Fixtures: `emulator` is a live one with an empty project, `api` speaks to it.

`site` runs playbooks on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.emulator_fixture import Api, Emulator
from tests.integration.site_fixture import Site

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prices of the emulated catalog stay out of the user's cache, and state out of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GCE_VLLM_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        patch.setenv("GCE_VLLM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


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
