# SPDX-License-Identifier: Apache-2.0
"""State survives: a clean restart, and one without warning in the middle of an operation."""

from __future__ import annotations

import signal

import pytest

from tests.support.emulator_fixture import ZONE, Api, Emulator, access_token, instance_body

VMS = f"zones/{ZONE}/instances"


def test_everything_is_there_again(own_emulator: Emulator) -> None:
    api = Api(own_emulator)
    api.must("POST", VMS, instance_body("runs"))
    api.must("POST", VMS, instance_body("stopped"))
    api.must("POST", f"{VMS}/stopped/stop")
    token = access_token(own_emulator)
    before = {name: api.get(f"{VMS}/{name}") for name in ("runs", "stopped")}
    key = own_emulator.credentials_file.read_text()
    authority = own_emulator.ca_file.read_text()
    assert own_emulator.stop() == 0

    own_emulator.start()
    again = Api(own_emulator)
    again.session.headers["Authorization"] = f"Bearer {token}"  # tokens survive as well
    assert own_emulator.ca_file.read_text() == authority
    assert own_emulator.credentials_file.read_text() != key  # its token_uri follows the port
    for name, instance in before.items():
        now = again.get(f"{VMS}/{name}")
        now.pop("lastStartTimestamp")
        instance.pop("lastStartTimestamp")
        assert now == instance


def test_killed_in_the_middle(own_emulator: Emulator) -> None:
    own_emulator.admin("PUT", "operation-delay", {"seconds": 30})
    api = Api(own_emulator)
    _, insert = api.call("POST", VMS, instance_body("vm"))
    body = {"name": "late-rule", "allowed": [{"IPProtocol": "icmp"}]}
    _, rule = api.call("POST", "global/firewalls", body)
    own_emulator.stop(signal.SIGKILL)

    own_emulator.start()
    again = Api(own_emulator)
    done = again.wait(insert)
    assert "error" not in done
    assert again.get(f"{VMS}/vm")["status"] == "RUNNING"
    done = again.wait(rule)
    assert "restarted" in done["error"]["errors"][0]["message"]
    again.must("DELETE", f"{VMS}/vm")


def test_a_waiting_client_does_not_hold_up_the_end(own_emulator: Emulator) -> None:
    own_emulator.admin("PUT", "operation-delay", {"seconds": 2})
    api = Api(own_emulator)
    status, _ = api.call("POST", VMS, instance_body("vm"))
    assert status == 200
    assert own_emulator.stop() == 0


def test_a_port_that_is_taken(own_emulator: Emulator) -> None:
    port = own_emulator.url.rsplit(":", 1)[1]
    other = Emulator(own_emulator.state.parent / "other", options=("--port", port))
    with pytest.raises(AssertionError, match="ended with 1"):
        other.start()
