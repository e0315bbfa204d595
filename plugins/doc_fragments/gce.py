# SPDX-License-Identifier: Apache-2.0
"""Options that every module of this collection shares."""

from __future__ import annotations


class ModuleDocFragment:
    """Credentials, project and endpoint."""

    DOCUMENTATION = r"""
options:
  project:
    description:
      - Id of the Google Cloud project, for example V(my-project-123456). Not its name, nor its
        number.
    type: str
    required: true
  service_account_file:
    description:
      - Path of a service account's JSON key.
      - Empty, and with O(access_token) empty too, application default credentials are used,
        E(GOOGLE_APPLICATION_CREDENTIALS), C(gcloud auth application-default login), or the
          machine's own service account.
    type: path
  access_token:
    description:
      - An OAuth 2 access token, for example what C(gcloud auth print-access-token) prints. It is
        used as it is and never renewed.
      - Wins over O(service_account_file). The environment variable E(GCE_VLLM_ACCESS_TOKEN) is used
        if this is not given.
    type: str
  impersonate_service_account:
    description:
      - E-mail of a service account to act as. The credentials above are then used only to get
        short-lived tokens for it. Nobody needs a key of that account.
      - They need the role C(roles/iam.serviceAccountTokenCreator) on that account, and the project
        the IAM Service Account Credentials API.
      - The environment variable E(GCE_VLLM_IMPERSONATE_SERVICE_ACCOUNT) is used if this is not
        given.
    type: str
  endpoint:
    description:
      - Address of the Compute Engine API, up to and including the version.
      - The environment variable E(GCE_VLLM_ENDPOINT) is used if this is not given.
    type: str
    default: https://compute.googleapis.com/compute/v1
  timeout:
    description:
      - Seconds that one run of the module may wait, all operations of Google Cloud together.
    type: int
    default: 600
requirements:
  - google-auth >= 2.20
  - requests >= 2.28
"""

    PRICES = r"""
options:
  price_source:
    description:
      - V(catalog) is the Cloud Billing catalog, and an error where it can't be read; it needs
        credentials, and C(cloudbilling.googleapis.com) enabled in their project.
      - V(table) is the dated table that comes with this collection, for which nobody is asked.
      - V(auto) is the catalog where it can be read, else the table.
    type: str
    choices: [auto, catalog, table]
    default: auto
  billing_endpoint:
    description:
      - Address of the Cloud Billing API, up to and including the version. By default Google's own,
        or where O(endpoint) is not Google's the same machine.
      - The environment variable E(GCE_VLLM_BILLING_ENDPOINT) is used if this is not given.
    type: str
  cache_dir:
    description:
      - Folder in which the catalog's prices are kept for a day.
      - The environment variable E(GCE_VLLM_CACHE_DIR) is used if this is not given.
    type: path
    default: ~/.cache/gce-vllm
"""

    SHARED = r"""
options:
  shared_reads:
    description:
      - Folder in which hosts of one play keep Google's answers. Many hosts that ask the same then
        send one request. It is created for its owner alone. Its parent folder has to exist on the
        machine that runs the module, else nothing is shared.
      - What is read so serves only to find that there is nothing to change. Whatever differs is
        read again before it is changed.
      - Use a new folder whenever the answers have to be fresh, as the roles of this collection do.
    type: path
"""

    ATTRIBUTES = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict what a real run would do, changing nothing.
    support: full
  diff_mode:
    description: Says in C(diff_mode) what differs, before and after, for the fields that the task
      names.
    support: full
"""

    ATTRIBUTES_INFO = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode). This module only reads.
    support: full
  diff_mode:
    description: This module only reads, so that there is never a difference to show.
    support: full
"""
