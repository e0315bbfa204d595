# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of the emulator's own and a certificate for Google's names from it."""

from __future__ import annotations

from pathlib import Path

import trustme

NAMES = ("*.googleapis.com", "accounts.google.com", "localhost", "127.0.0.1")


def certificate(state: Path) -> Path:
    """The server's key and chain, made once; the authority lies beside it as ca.pem."""
    server = state / "server.pem"
    if not (server.exists() and (state / "ca.pem").exists()):
        authority = trustme.CA(organization_name="Emulated Compute Engine")
        issued = authority.issue_cert(*NAMES)
        authority.cert_pem.write_to_path(str(state / "ca.pem"))
        server.touch(mode=0o600)
        issued.private_key_and_cert_chain_pem.write_to_path(str(server))
    return server
