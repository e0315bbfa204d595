# SPDX-License-Identifier: Apache-2.0
"""Which users and keys metadata asks for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from emulator.machines import guest

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def expiring(at: str) -> str:
    return f'ssh-ed25519 AAAA google-ssh {{"userName":"ann@example.com","expireOn":"{at}"}}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("ann:ssh-ed25519 AAAA ann@host", {"ann": ["ssh-ed25519 AAAA ann@host"]}),
        ("ann:k1\nbob:k2\nann:k3\n", {"ann": ["k1", "k3"], "bob": ["k2"]}),
        ("ann:k1\nann:k1", {"ann": ["k1"]}),
        ("  ann: k1  \r\n\n", {"ann": ["k1"]}),
        ("ssh-ed25519 AAAA ann@host", {}),
        ("ann:", {}),
        (":k1", {}),
        ("-rf:k1", {}),
        ("a b:k1", {}),
        ("../x:k1", {}),
        ("Ann.B_c-1:k1", {"Ann.B_c-1": ["k1"]}),
        (f"{'a' * 33}:k1", {}),
        (
            f"ann:{expiring('2026-06-01T12:00:01+0000')}",
            {"ann": [expiring("2026-06-01T12:00:01+0000")]},
        ),
        (f"ann:{expiring('2026-06-01T11:59:59+0000')}", {}),
        (f"ann:{expiring('2026-06-01T13:30:00+0200')}", {}),
        (f"ann:{expiring('soon')}", {}),
        ("ann:ssh-ed25519 AAAA google-ssh {broken", {}),
        ('ann:ssh-ed25519 AAAA google-ssh {"userName":"a"}', {}),
        ("ann:ssh-ed25519 AAAA google-ssh []", {}),
    ],
)
def test_accounts(text: str, expected: dict[str, list[str]]) -> None:
    assert guest.accounts({"ssh-keys": text}, NOW) == expected


def test_no_metadata_means_no_users() -> None:
    assert guest.accounts({}) == {}
