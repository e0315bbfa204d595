# SPDX-License-Identifier: Apache-2.0
"""Lookup: secrets from Secret Manager, read on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gce_secret
short_description: Read secrets from Google's Secret Manager
version_added: 0.2.0
author:
  - gce-vllm maintainers (@llmops)
description:
  - Reads secrets with the credentials of the machine that runs Ansible; nothing of them is kept.
  - The account needs C(roles/secretmanager.secretAccessor) on each secret.
options:
  _terms:
    description: Names, C(projects/PROJECT/secrets/SECRET) for the latest version, or
      C(projects/PROJECT/secrets/SECRET/versions/VERSION).
    type: list
    elements: str
    required: true
  service_account_file:
    description: Path of a service account's JSON key. Without it, and without O(access_token),
      application default credentials are used.
    type: str
    default: ""
  access_token:
    description: An OAuth 2 access token.
    type: str
    default: ""
    env:
      - name: GCE_VLLM_ACCESS_TOKEN
  impersonate_service_account:
    description: E-mail of a service account to act as.
    type: str
    default: ""
    env:
      - name: GCE_VLLM_IMPERSONATE_SERVICE_ACCOUNT
  endpoint:
    description: Address of the Compute Engine API. Where it is not Google's, the same machine is
      asked for secrets.
    type: str
    default: https://compute.googleapis.com/compute/v1
    env:
      - name: GCE_VLLM_ENDPOINT
  secrets_endpoint:
    description: Address of the Secret Manager API, up to and including the version.
    type: str
    default: ""
    env:
      - name: GCE_VLLM_SECRETS_ENDPOINT
  timeout:
    description: Seconds that it may take.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Log in to the hub
  ansible.builtin.uri:
    url: https://huggingface.co/api/whoami-v2
    headers:
      Authorization: "Bearer {{ lookup('llmops.gce_vllm.gce_secret', secret) }}"
  vars:
    secret: projects/my-project-123456/secrets/hf-token
  no_log: true
"""

RETURN = r"""
_raw:
  description: Text of each secret, without a line break at its end.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils.errors import GceError
from ..module_utils.gce import secret_manager
from ..module_utils.gce.client import Settings


class LookupModule(LookupBase):  # type: ignore[misc]
    """Asks for each secret once."""

    def run(
        self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[str]:
        """Text of each secret; an error says which could not be read, and why."""
        self.set_options(var_options=variables, direct=kwargs)
        settings = Settings(
            project="-",
            service_account_file=self.get_option("service_account_file") or "",
            access_token=self.get_option("access_token") or "",
            impersonate_service_account=(
                self.get_option("impersonate_service_account") or ""
            ).strip(),
            endpoint=self.get_option("endpoint"),
            timeout=self.get_option("timeout"),
        )
        try:
            return [
                secret_manager.read(settings, str(term), self.get_option("secrets_endpoint"))
                for term in terms
            ]
        except GceError as error:
            raise AnsibleLookupError(str(error)) from None
