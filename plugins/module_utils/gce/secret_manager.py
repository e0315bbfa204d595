# SPDX-License-Identifier: Apache-2.0
"""Reading a secret from Secret Manager. What it holds is in no message."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from typing import Any

from ..errors import ApiError, GceError
from . import endpoints
from .client import GceClient, Settings

DEFAULT_ENDPOINT = "https://secretmanager.googleapis.com/v1"
_NAME = re.compile(r"projects/([^/:]+)/secrets/([A-Za-z0-9_-]+)(?:/versions/([A-Za-z0-9_-]+))?")


class SecretClient(GceClient):
    """The Secret Manager API; paths are relative to its endpoint."""

    own_endpoint = DEFAULT_ENDPOINT
    endpoint_option = "secrets_endpoint, or GCE_VLLM_SECRETS_ENDPOINT"
    api = "secretmanager.googleapis.com"

    def _error(self, answer: Any, what: str) -> ApiError:
        problem = super()._error(answer, what)
        if problem.status == 403 and problem.reason in ("forbidden", "PERMISSION_DENIED"):
            problem.remedy = (
                "grant the account that runs this roles/secretmanager.secretAccessor on the "
                "secret; check that project and secret are spelled right."
            )
        elif problem.status == 404:
            problem.remedy = (
                f"`gcloud secrets list --project {self.project}` shows the secrets, "
                "`gcloud secrets versions list SECRET` the versions of one."
            )
        elif problem.status == 400:
            problem.remedy = "enable that version, add a new one, or name another."
        return problem


def read(settings: Settings, name: str, endpoint: str | None = None) -> str:
    """A secret's text, without the line break that an editor leaves at its end.

    Args:
        settings: credentials, and the address of Compute Engine; the project is the secret's.
        name: `projects/P/secrets/S`, for its latest version, or `projects/P/secrets/S/versions/V`.
        endpoint: address of Secret Manager, where it is not to be derived.

    Raises:
        GceError: it can't be read, or is no text.
    """
    found = _NAME.fullmatch(name.strip())
    if not found:
        raise GceError(
            f"'{name}' is not the name of a secret.",
            reason="badSecret",
            remedy="write projects/PROJECT/secrets/SECRET, for its latest version, or "
            "projects/PROJECT/secrets/SECRET/versions/VERSION.",
        )
    project, secret, version = found.groups()
    path = f"projects/{project}/secrets/{secret}/versions/{version or 'latest'}"
    where = endpoints.sibling(DEFAULT_ENDPOINT, settings.endpoint, endpoint)
    with SecretClient(replace(settings, project=project, endpoint=where)) as client:
        answer = client.get(f"{path}:access", f"read the secret {path}")
    try:
        text = base64.b64decode(answer["payload"]["data"], validate=True).decode().rstrip("\r\n")
    except (KeyError, TypeError, binascii.Error, UnicodeDecodeError):
        text = ""
    if not text:
        raise GceError(
            f"The secret {path} is empty, or no text.",
            reason="emptySecret",
            remedy="add a version that holds the token: "
            f"`gcloud secrets versions add {secret} --project {project} --data-file=FILE`.",
        )
    return text
