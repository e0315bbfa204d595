# SPDX-License-Identifier: Apache-2.0
"""Where machines that are booted here get packages from."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo import package_sources

TORCH = "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder that holds the torch of the CPU lock."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / TORCH).touch()
    return folder


def test_config_of_pip_is_read_and_the_environment_wins() -> None:
    text = (
        ":env:.find-links='/one'\n"
        "global.find-links='/two'\n"
        "global.extra-index-url='\\nhttps://a.example/simple\\nhttps://b.example/simple'\n"
        "install.index-url='https://c.example/simple'\n"
        "global.index-url='https://d.example/simple'\n"
    )
    assert package_sources.parse_pip_config(text) == {
        "find-links": "/one",
        "extra-index-url": "https://a.example/simple https://b.example/simple",
        "index-url": "https://c.example/simple",
    }


def test_bare_machine_gets_torch_from_its_makers() -> None:
    found = package_sources.sources({}, {})
    assert found["index_url"] == ""
    assert found["extra_index_urls"] == [package_sources.TORCH_CPU_INDEX]
    assert found["find_links"] == []


def test_folder_with_the_torch_of_the_lock_is_enough(wheels: Path) -> None:
    found = package_sources.sources({"find-links": str(wheels)}, {})
    assert found["extra_index_urls"] == []
    assert found["find_links"] == [str(wheels)]
    assert f"{wheels}:{wheels}:ro" in found["mounts"]


def test_another_torch_is_not(wheels: Path) -> None:
    (wheels / TORCH).rename(wheels / TORCH.replace("2.13.0", "2.12.0"))
    found = package_sources.sources({"find-links": wheels.as_uri()}, {})
    assert found["extra_index_urls"] == [package_sources.TORCH_CPU_INDEX]
    assert found["find_links"] == [str(wheels)]


def test_settings_of_uv_count_too(wheels: Path) -> None:
    found = package_sources.sources(
        {"index-url": "https://pip.example/simple"},
        {"UV_DEFAULT_INDEX": "https://uv.example/simple", "UV_FIND_LINKS": f"{wheels},/gone"},
    )
    assert found["index_url"] == "https://uv.example/simple"
    assert found["find_links"] == [str(wheels)]


def test_index_in_files_is_mounted_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "index" / "simple").mkdir(parents=True)
    url = (tmp_path / "index" / "simple").as_uri()
    found = package_sources.sources({"extra-index-url": url}, {})
    assert url in found["extra_index_urls"]
    assert f"{tmp_path}/index:{tmp_path}/index:ro" in found["mounts"]


def test_ca_bundle_lands_where_the_machine_looks(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    found = package_sources.sources({"cert": str(bundle)}, {})
    assert found["ca_bundle"] == str(bundle)
    assert f"{bundle}:{package_sources.SYSTEM_CA_BUNDLE}:ro" in found["mounts"]
