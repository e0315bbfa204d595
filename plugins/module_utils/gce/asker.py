# SPDX-License-Identifier: Apache-2.0
"""What errors need to know of the client that met them; so they need not import it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class Login(Protocol):
    """Of the credentials, what a remedy names."""

    @property
    def access_token(self) -> str:
        """A bare token; empty where there is none."""

    @property
    def impersonate_service_account(self) -> str:
        """E-mail of the account to act as; empty where there is none."""


class Asker(Protocol):
    """A client of one API in one project."""

    project: str
    endpoint: str
    own_endpoint: str
    endpoint_option: str

    @property
    def settings(self) -> Login:
        """How it logs in."""

    @property
    def root(self) -> str:
        """Path of the project."""

    def list(self, path: str, what: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item of a collection."""
