# SPDX-License-Identifier: Apache-2.0
"""Credentials of the environment, which the google.cloud inventory does not know, in site.yml."""

from __future__ import annotations

import pytest

from tests.support.exhaustive import only_in_full
from tests.support.site_fixture import NAME, Site

SITE = ("site", "--tags", "preflight,provision")
ACCOUNT = "deployer@some-project.iam.gserviceaccount.com"


@only_in_full
def test_a_borrowed_account_finds_the_server_that_the_inventory_does_not_show(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.emulator.admin("PUT", f"service-accounts/{ACCOUNT}")
    monkeypatch.setenv("GCE_VLLM_IMPERSONATE_SERVICE_ACCOUNT", ACCOUNT)
    folder = site.folder / "group_vars"
    folder.mkdir()
    # A record has no machine behind it: this one stands in, as its group says.
    (folder / "llm_servers.yml").write_text(
        'ansible_connection: local\nansible_python_interpreter: "{{ ansible_playbook_python }}"\n'
    )
    assert site.servers == {}
    assert f"{NAME} : ok=" in site.ok(*SITE), "SSH was tried on it"
    # Named like another deployment's, it is left alone.
    other = site.play("playbooks/verify.yml", "-e", "gce_name=another")
    assert other.returncode == 2
    assert "labelled gce-vllm-name=another" in " ".join(other.stdout.split())

    site.emulator.admin("DELETE", f"service-accounts/{ACCOUNT}")
    monkeypatch.delenv("GCE_VLLM_IMPERSONATE_SERVICE_ACCOUNT")
    unseen = site.play("playbooks/verify.yml")
    assert unseen.returncode == 2
    said = " ".join(unseen.stdout.split())
    assert (
        "It comes from your application default credentials, or from GCP_SERVICE_ACCOUNT_FILE"
        in said
    )
