# SPDX-License-Identifier: Apache-2.0
"""os_login_key against the emulated OS Login API, and the role that logs in with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Api, Emulator
from tests.support.site_fixture import MAKE, Site

Json = dict[str, Any]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "B" * 43


def profile(api: Api, cloud: m.Cloud, user: str) -> Json:
    answer = api.session.get(f"{cloud.emulator.url}/v1/users/{user}/loginProfile", timeout=120)
    assert answer.status_code == 200
    found: Json = answer.json()
    return found


def changing(cloud: m.Cloud) -> int:
    """Requests so far of the OS Login API that are no reads."""
    sent = cloud.admin("GET", "requests")["requests"]
    return len([one for one in sent if "/v1/users/" in one["path"] and one["method"] != "GET"])


def transition(cloud: m.Cloud, **options: Any) -> Json:
    """Check, run, run again: the prediction holds, and the second run only reads."""
    predicted = cloud.ok("os_login_key", check=True, **options)
    made = cloud.ok("os_login_key", **options)
    for part in ("changed", "changes", "diff"):
        assert made[part] == predicted[part], part
    before = changing(cloud)
    assert cloud.ok("os_login_key", **options)["changed"] is False
    assert changing(cloud) == before
    return made


def test_added_kept_and_removed(cloud: m.Cloud, api: Api) -> None:
    assert transition(cloud, public_key=OTHER, user=None)["username"].startswith("sa_")
    planned = cloud.ok("os_login_key", check=True, public_key=KEY)
    assert planned["changed"] and planned["fingerprint"] is None
    made = transition(cloud, public_key=f"{KEY} first@host")
    assert made["expires"] == "never" and len(made["fingerprint"]) == 64
    # The comment is no part of the key.
    assert cloud.ok("os_login_key", public_key=f"{KEY} second@host")["changed"] is False
    there = profile(api, cloud, made["user"])
    assert len(there["sshPublicKeys"]) == 2
    assert [one["username"] for one in there["posixAccounts"]] == [made["username"]]
    gone = transition(cloud, public_key=KEY, state="absent")
    assert gone["changed"]
    keys = [one["key"] for one in profile(api, cloud, made["user"])["sshPublicKeys"].values()]
    assert keys == [OTHER]
    transition(cloud, public_key=OTHER, state="absent")


def test_expiry_is_set_renewed_and_taken_away(cloud: m.Cloud, api: Api) -> None:
    made = transition(cloud, public_key=KEY, expire_after=3600)
    path = f"{cloud.emulator.url}/v1/users/{made['user']}/sshPublicKeys/{made['fingerprint']}"

    def left() -> float:
        return (
            int(api.session.get(path, timeout=120).json()["expirationTimeUsec"]) / 1e6 - time.time()
        )

    assert 3500 < left() <= 3600
    assert cloud.ok("os_login_key", public_key=KEY, expire_after=7000)["changed"] is False
    assert cloud.ok("os_login_key", public_key=KEY)["changed"] is False
    # Less than half is left of what is asked, and more than is asked.
    for seconds in (86400, 600):
        renewed = transition(cloud, public_key=KEY, expire_after=seconds)
        assert [one["field"] for one in renewed["changes"]] == ["expiration"]
        assert seconds - 100 < left() <= seconds
    assert transition(cloud, public_key=KEY, expire_after=0)["expires"] == "never"
    cloud.ok("os_login_key", public_key=KEY, state="absent")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"public_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0"}, "not a public key"),
        ({"public_key": "ssh-ed25519 c2VjcmV0"}, "not a public key"),
        ({"user": "llm"}, "no e-mail address"),
        ({"user": "somebody@example.com"}, "its own profile only"),
        ({"expire_after": -1}, "in the past"),
    ],
)
def test_mistakes(cloud: m.Cloud, options: Json, words: str) -> None:
    before = changing(cloud)
    failed = cloud.fails("os_login_key", **{"public_key": KEY, **options})
    assert words in failed["msg"] and "c2VjcmV0" not in failed["msg"]
    assert changing(cloud) == before


def test_token_does_not_say_whose_it_is(cloud: m.Cloud) -> None:
    failed = cloud.fails("os_login_key", public_key=KEY, access_token="token")
    assert failed["reason"] == "noUser" and "gcloud config get account" in failed["msg"]


def test_role_logs_in_by_os_login(emulator: Emulator, api: Api, tmp_path: Path) -> None:
    site = Site(emulator, api, tmp_path)

    def metadata() -> Json:
        (one,) = site.stored("instances")
        return {item["key"]: item["value"] for item in one["metadata"]["items"]}

    playbook = tmp_path / "instance.yml"
    playbook.write_text(yaml.safe_dump([{**MAKE[0], "roles": [MAKE[0]["roles"][1]]}]))

    def play(*options: str) -> str:
        done = site.play(str(playbook), *options)
        assert done.returncode == 0, done.stdout
        return done.stdout

    play()
    assert metadata()["enable-oslogin"] == "FALSE" and "ssh-keys" in metadata()
    site.variables["gce_instance_ssh_access"] = "oslogin"
    play()
    assert metadata()["enable-oslogin"] == "TRUE" and "ssh-keys" not in metadata()
    assert (tmp_path / "keys" / "ssh_user").read_text().startswith("sa_")
    assert "changed=0" in play("--check")
