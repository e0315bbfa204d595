# SPDX-License-Identifier: Apache-2.0
"""From the three ways to give credentials to one session that renews its own token."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from .errors import GceError
from .remedies import NO_CREDENTIALS

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


def authorized_session(service_account_file: str, access_token: str) -> Any:
    """A `google.auth.transport.requests.AuthorizedSession`; nothing is sent yet.

    An access token wins over a key file, a key file over application default credentials.

    Raises:
        GceError: no credentials, or a key that can't be read.
    """
    try:
        # Only what the chosen way needs is imported: each import is paid for at every task.
        from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415
    except ImportError as missing:
        raise GceError(
            f"The Python at {sys.executable} has no module {missing.name}.",
            reason="missingLibrary",
            remedy=f"install it: {sys.executable} -m pip install google-auth requests.",
        ) from None
    return AuthorizedSession(_credentials(service_account_file, access_token))


def _credentials(service_account_file: str, access_token: str) -> Any:
    if access_token:
        from google.oauth2.credentials import Credentials  # noqa: PLC0415

        return Credentials(token=access_token.strip())
    if service_account_file:
        return _from_key(Path(service_account_file).expanduser())
    return _default()


def _from_key(path: Path) -> Any:
    from google.oauth2 import service_account  # noqa: PLC0415

    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        return service_account.Credentials.from_service_account_info(info, scopes=SCOPES)
    except OSError as error:
        problem = f"can't be read ({error.strerror})"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"is not a service account's JSON key ({_without_key(error)})"
    raise GceError(
        f"The service account file {path} {problem}.",
        reason="badCredentials",
        remedy=NO_CREDENTIALS,
    )


def _default() -> Any:
    import google.auth  # noqa: PLC0415
    from google.auth import exceptions  # noqa: PLC0415

    # Away from Google Cloud nothing answers at the metadata server's address: ask once, briefly.
    os.environ.setdefault("GCE_METADATA_DETECT_RETRIES", "1")
    os.environ.setdefault("GCE_METADATA_TIMEOUT", "2")
    try:
        credentials, _ = google.auth.default(scopes=SCOPES)
    except exceptions.DefaultCredentialsError as error:
        named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        where = f" GOOGLE_APPLICATION_CREDENTIALS names {named}: {error}." if named else ""
        raise GceError(
            f"There are no Google Cloud credentials.{where}",
            reason="noCredentials",
            remedy=NO_CREDENTIALS,
        ) from None
    return credentials


def _without_key(error: Exception) -> str:
    """The parser's complaint, shortened: a broken key must not be quoted into a log."""
    return type(error).__name__ if len(str(error)) > 120 else str(error)
