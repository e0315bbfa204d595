# SPDX-License-Identifier: Apache-2.0
"""A key pair counts as it is only where openssh_keypair would leave it alone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils.ssh_keys import public_key


def make(path: Path, *options: str) -> None:
    path.unlink(missing_ok=True)
    usual = ["-q", "-t", "ed25519", "-C", "ubuntu", "-N", ""]
    subprocess.run(["ssh-keygen", *usual, *options, "-f", str(path)], check=True)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    make(tmp_path / "ssh_key")
    return tmp_path / "ssh_key"


def test_a_whole_pair(pair: Path) -> None:
    words = pair.with_suffix(".pub").read_text().split()
    assert public_key(pair, "ed25519", "ubuntu") == f"{words[0]} {words[1]}"


@pytest.mark.parametrize(
    "change",
    [
        lambda pair: pair.unlink(),
        lambda pair: pair.with_suffix(".pub").unlink(),
        lambda pair: pair.chmod(0o640),
        lambda pair: pair.write_text("no key"),
        lambda pair: pair.with_suffix(".pub").write_text(""),
        lambda pair: pair.with_suffix(".pub").write_bytes(b"\xff"),
        lambda pair: make(pair, "-C", "other"),
        lambda pair: make(pair, "-C", "ubuntu and more"),
        lambda pair: make(pair, "-t", "ecdsa"),
        lambda pair: make(pair, "-N", "secret"),
        lambda pair: (make(pair.with_name("b")), pair.with_name("b").rename(pair)),
    ],
    ids=[
        "no private key",
        "no public key",
        "mode",
        "broken private key",
        "empty public key",
        "public key is no text",
        "comment",
        "longer comment",
        "type",
        "passphrase",
        "halves of two pairs",
    ],
)
def test_what_differs_counts_as_none(pair: Path, change: Callable[[Path], object]) -> None:
    change(pair)
    assert public_key(pair, "ed25519", "ubuntu") == ""
