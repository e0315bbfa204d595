# SPDX-License-Identifier: Apache-2.0
"""Everything that says which Ansible, Python and libraries are needed says the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = sorted((ROOT / "roles").glob("*/meta/main.yml"))


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def galaxy_info(path: Path) -> dict[str, Any]:
    info: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["galaxy_info"]
    return info


@pytest.mark.parametrize("path", ROLES, ids=lambda path: path.parts[-3])
def test_roles_ask_for_the_ansible_that_the_collection_asks_for(path: Path) -> None:
    asked = yaml.safe_load(text("meta/runtime.yml"))["requires_ansible"]
    assert asked == f">={galaxy_info(path)['min_ansible_version']}.0"


def test_roles_for_hosts_name_the_same_systems() -> None:
    told = [info["platforms"] for path in ROLES if (info := galaxy_info(path)).get("platforms")]
    assert len(told) > 1
    assert all(one == told[0] for one in told)


@pytest.mark.parametrize("lock", ["controller", "demo", "dev"])
def test_one_lock_serves_both_ends_of_the_matrix(lock: str) -> None:
    pins = re.findall(
        r"^(ansible|ansible-core)==(\d+\.\d+)\S* ; python_full_version (<|>=) '3\.12'",
        text(f"requirements/{lock}.txt"),
        re.MULTILINE,
    )
    older = {name: version for name, version, sign in pins if sign == "<"}
    newer = {name: version for name, version, sign in pins if sign == ">="}
    assert older == {"ansible": "12.3", "ansible-core": "2.19"}
    assert set(newer) == set(older)
    assert float(newer["ansible-core"]) > 2.19
    core = older["ansible-core"]
    assert yaml.safe_load(text("meta/runtime.yml"))["requires_ansible"] == f">={core}.0"


def test_execution_environments_get_what_the_modules_need() -> None:
    needed = yaml.safe_load(text("meta/execution-environment.yml"))["dependencies"]
    listed = [line for line in text(needed["python"]).splitlines() if line[:1] not in ("", "#")]
    fragment = re.findall(
        r"^  - (google-auth|requests) >= (\S+)$", text("plugins/doc_fragments/gce.py"), re.MULTILINE
    )
    assert {f"{name}>={bound}" for name, bound in fragment} == set(listed) - {
        "pygal>=3.1",
        "cyclonedx-python-lib>=11.12",
    }
    for pin in ("pygal~=3.1", "cyclonedx-python-lib~=11"):
        assert pin in text("requirements/controller.in")
    assert (ROOT / needed["system"]).is_file()


def test_the_oldest_python_of_hosts_is_said_where_it_counts() -> None:
    oldest = yaml.safe_load(text("roles/gpu_host/vars/main.yml"))["__gpu_host_oldest_python"]
    assert f"Python for Ansible's modules | {oldest} or newer" in text("docs/own-machines.md")
    assert f"mypy --python-version {oldest} plugins" in text("tests/run")
    assert f'"py{oldest.replace(".", "")}"' in text("pyproject.toml")


def test_the_oldest_python_of_the_controller_is_said_where_it_counts() -> None:
    oldest = re.search(r'requires-python = ">=([\d.]+)"', text("pyproject.toml"))
    assert oldest
    for page in ("README.md", "docs/production.md"):
        assert f"Python {oldest[1]} or newer" in text(page), page
    assert f"--python-version {oldest[1]}" in text("requirements/lock.sh")
