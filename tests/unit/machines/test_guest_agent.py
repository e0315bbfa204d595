# SPDX-License-Identifier: Apache-2.0
"""The text work of the agent; what it does to users is in emulator/test_machines.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.machines import guest_agent

MARK = guest_agent.MARK


@pytest.mark.parametrize(
    ("text", "keys", "expected"),
    [
        ("", [], ""),
        ("", ["k1", "k2"], f"{MARK}\nk1\n{MARK}\nk2\n"),
        ("own\n", ["k1"], f"own\n{MARK}\nk1\n"),
        ("own", ["k1"], f"own\n{MARK}\nk1\n"),
        (f"{MARK}\nold\nown\n", ["k1"], f"own\n{MARK}\nk1\n"),
        (f"own\n{MARK}\nk1\n", ["k1"], f"own\n{MARK}\nk1\n"),
        (f"own\n{MARK}\nk1\n", [], "own\n"),
        (f"own\n{MARK}", [], "own\n"),
    ],
)
def test_merged(text: str, keys: list[str], expected: str) -> None:
    assert guest_agent.merged(text, keys) == expected


def test_host_keys_are_the_public_ones_by_type(tmp_path: Path) -> None:
    (tmp_path / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA root@vm\n")
    (tmp_path / "ssh_host_rsa_key.pub").write_text("ssh-rsa BBBB\n")
    (tmp_path / "ssh_host_rsa_key").write_text("private\n")
    assert guest_agent.host_keys(tmp_path) == {"ssh-ed25519": "AAAA", "ssh-rsa": "BBBB"}
    assert guest_agent.host_keys(tmp_path / "none") == {}
