# SPDX-License-Identifier: Apache-2.0
"""Errors for a request without an answer, or with one that can't be read."""

from __future__ import annotations

import json
from typing import Any

from ..errors import GceError
from .asker import Asker
from .remedies import IMPERSONATION, NO_CREDENTIALS


def unreadable(client: Asker, what: str, answer: Any) -> GceError:
    """The error for an answer of success that is no JSON."""
    kind = answer.headers.get("Content-Type", "no content type")
    return GceError(
        f"Could not {what}: {client.endpoint} answered {answer.status_code} with something that "
        f"is no JSON ({kind}).",
        reason="unreadable",
        remedy=f"see that the endpoint is the API's own address ({client.endpoint_option}). "
        "A proxy may have answered in its place.",
        status=answer.status_code,
    )


def refused(client: Asker, what: str, error: Any) -> GceError:
    """The error for credentials from which no token could be got."""
    if error.retryable:
        # google-auth has tried again already; nothing is wrong with the credentials.
        return GceError(
            f"Could not {what}: the address that issues tokens failed ({str(error)[:200]}).",
            reason="tokenEndpoint",
            remedy="wait a minute and run again; see https://status.cloud.google.com.",
        )
    if client.settings.impersonate_service_account and "impersonated" in str(error):
        return GceError(
            f"Could not {what}: the service account "
            f"{client.settings.impersonate_service_account} could not be impersonated "
            f"({_iam_message(error)}).",
            reason="impersonation",
            remedy=IMPERSONATION.format(project=client.project),
        )
    if client.settings.access_token:
        # google-auth says only that it can't renew a bare token, which is not what is wrong.
        return GceError(
            f"Could not {what}: the access token was refused.",
            reason="unauthorized",
            remedy="it is mistyped or has expired (they last an hour): get a new one with "
            "`gcloud auth print-access-token`, or give credentials that renew themselves.",
        )
    return GceError(
        f"Could not {what}: the credentials were refused ({str(error)[:300]}).",
        reason="unauthorized",
        remedy=f"they may have expired or been revoked; {NO_CREDENTIALS}",
    )


def unreachable(client: Asker, what: str, where: str, error: Exception) -> GceError:
    """The error for an address that could not be reached; `where` is it, in words."""
    custom = client.endpoint != client.own_endpoint
    if "refused" in str(error).lower():
        text = f"Could not {what}: nothing answers at {where} (connection refused)."
    else:
        text = f"Could not {what}: {where} could not be reached ({_root_cause(error)})."
    return GceError(
        text,
        reason="unreachable",
        remedy=(
            "start what should listen there, or correct the endpoint "
            f"({client.endpoint_option}; Google's own is {client.own_endpoint})."
            if custom
            else "check this machine's network, DNS and proxy settings (HTTPS_PROXY, NO_PROXY)."
        ),
    )


def _iam_message(error: Any) -> str:
    """Google's own words from google-auth's error, whose second part is the answer's body."""
    try:
        text = json.loads(error.args[1])["error"]["message"]
    except (IndexError, KeyError, TypeError, ValueError):
        text = str(error)
    return str(text)[:300].rstrip(".")


def _root_cause(error: BaseException) -> str:
    seen: BaseException = error
    while seen.__cause__ or seen.__context__:
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]
    return f"{type(seen).__name__}: {str(seen)[:200]}"
