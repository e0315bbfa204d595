# SPDX-License-Identifier: Apache-2.0
"""From the ways to give credentials to one session that renews its own token."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GceError
from .endpoints import is_googles, sibling
from .remedies import NO_CREDENTIALS

IAM_CREDENTIALS = "https://iamcredentials.googleapis.com/v1"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


@dataclass(frozen=True)
class Login:
    """Who asks; '' where an option is not given.

    Attributes:
        impersonate: e-mail of the service account to act as.
        endpoint: address of the Compute Engine API that is asked.
    """

    service_account_file: str = ""
    access_token: str = ""
    impersonate: str = ""
    endpoint: str = ""


def authorized_session(login: Login, deadline: float) -> Any:
    """A `google.auth.transport.requests.AuthorizedSession`; nothing is sent yet.

    An access token wins over a key file, a key file over application default credentials; whichever
    it is may act as another service account. Calls of the API and those for tokens are repeated by
    the same policy.

    Args:
        deadline: of the run, by `time.monotonic`.

    Raises:
        GceError: no credentials, or a key that can't be read.
    """
    try:
        # Only what the chosen way needs is imported: each import is paid for at every task.
        from google.auth.transport.requests import AuthorizedSession, Request  # noqa: PLC0415
        from requests import Session  # noqa: PLC0415
    except ImportError as missing:
        raise GceError(
            f"The Python at {sys.executable} has no module {missing.name}.",
            reason="missingLibrary",
            remedy=f"install it: {sys.executable} -m pip install google-auth requests.",
        ) from None
    for_tokens = patient(Session(), deadline)
    credentials = _credentials(login)
    if login.endpoint and not is_googles(login.endpoint):
        _ask_nobody_else(credentials)
    session = AuthorizedSession(credentials, auth_request=Request(for_tokens))
    return patient(session, deadline)


def _ask_nobody_else(credentials: Any) -> None:
    """Keeps google-auth from sending a token that an emulator or a gateway gave to Google.

    It looks up in the background where an account's requests may come from (the regional access
    boundary), at a fixed address of Google's; no public option switches that off.
    """
    each: Any = credentials
    while each is not None:
        if hasattr(each, "_is_regional_access_boundary_lookup_required"):
            each._is_regional_access_boundary_lookup_required = lambda: False
        each = getattr(each, "_source_credentials", None)


def patient(session: Any, deadline: float, address: str = "") -> Any:
    """The session, with failed requests repeated until a deadline.

    Args:
        address: start of the addresses that this is for; '' for all.
    """
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    from .retries import retry_policy  # noqa: PLC0415

    adapter = HTTPAdapter(max_retries=retry_policy(deadline))
    for start in [address] if address else ["https://", "http://"]:
        session.mount(start, adapter)
    return session


def _credentials(login: Login) -> Any:
    own = _own_credentials(login)
    if not login.impersonate:
        return own
    from google.auth import impersonated_credentials  # noqa: PLC0415

    more = {}
    if (address := sibling(IAM_CREDENTIALS, login.endpoint)) != IAM_CREDENTIALS:
        path = f"projects/-/serviceAccounts/{login.impersonate}:generateAccessToken"
        more["iam_endpoint_override"] = f"{address}/{path}"
    return impersonated_credentials.Credentials(
        own, target_principal=login.impersonate, target_scopes=list(SCOPES), **more
    )


def _own_credentials(login: Login) -> Any:
    if login.access_token:
        from google.oauth2.credentials import Credentials  # noqa: PLC0415

        return Credentials(token=login.access_token.strip())
    if login.service_account_file:
        return _from_key(Path(login.service_account_file).expanduser())
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
