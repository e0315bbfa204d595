#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.os_login_key."""

from __future__ import annotations

DOCUMENTATION = r"""
module: os_login_key
short_description: Keeps an SSH public key in a Google account's OS Login profile
version_added: 0.2.0
description:
  - Adds a public key to the OS Login profile of the account that runs this, or removes it. Returns
    the POSIX user name of that account on instances. Instances whose metadata has
    C(enable-oslogin=TRUE) let it in.
  - A key that is there and has not expired is left alone; nothing but a read is sent then.
  - To log in, the account needs C(roles/compute.osLogin), or C(roles/compute.osAdminLogin) for
    sudo. If the instance has a service account, it also needs C(roles/iam.serviceAccountUser) on
    that.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.attributes
options:
  public_key:
    description: The public key in OpenSSH's form, as it stands in a C(.pub) file. Its comment does
      not matter.
    type: str
    required: true
  user:
    description:
      - E-mail of the Google account whose profile it is. An account may change its own only.
      - A service account's is taken from its credentials; people have to give theirs.
    type: str
  state:
    description: Whether the profile should have the key.
    type: str
    choices: [present, absent]
    default: present
  expire_after:
    description:
      - Seconds for which the key is good. It is renewed once less than half of them is left.
      - V(0) means that it never expires. Left out, a key keeps the expiry that it has; one that has
        expired then never expires again.
    type: int
  os_login_endpoint:
    description:
      - Address of the OS Login API, up to and including the version. By default Google's own, or
        where O(endpoint) is not Google's the same machine.
      - The environment variable E(GCE_VLLM_OS_LOGIN_ENDPOINT) is used if this is not given.
    type: str
"""

EXAMPLES = r"""
- name: My key is let in for a day
  llmops.gce_vllm.os_login_key:
    project: my-project-123456
    user: me@example.com
    public_key: "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
    expire_after: 86400
  register: login

- name: It is removed
  llmops.gce_vllm.os_login_key:
    project: my-project-123456
    user: me@example.com
    public_key: "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
    state: absent
"""

RETURN = r"""
user:
  description: The account whose profile it is.
  returned: success
  type: str
  sample: me@example.com
username:
  description: POSIX user name with which it logs in to the project's instances; null where it has
    none yet.
  returned: success
  type: str
  sample: me_example_com
fingerprint:
  description: The key's name in the profile; null where it is not in it.
  returned: success
  type: str
  sample: 5fb1c0f2f4b4ac6f2d5ba1ef1e23d1a1a7b8e7d24f8b1e7d7f0d0f2ad1f3e6c9
expires:
  description: When it expires, in UTC, or V(never); null where it is not in the profile.
  returned: success
  type: str
  sample: "2026-01-31T12:00:00Z"
changes:
  description: What was done, one entry, or none.
  returned: success
  type: list
  elements: dict
  contains:
    field:
      description: V(key), V(posix_account) or V(expiration).
      type: str
    from:
      description: What was found.
      type: raw
    to:
      description: What the task asks for.
      type: raw
    how:
      description: V(create), V(live) or V(delete).
      type: str
  sample: [{"field": "key", "from": null, "to": "present", "how": "create"}]
"""

from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ..module_utils.errors import GceError
from ..module_utils.gce import endpoints
from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run
from ..module_utils.gce.os_login import DEFAULT_ENDPOINT, OsLoginClient, OsLoginKey, parts


def core(client: GceClient, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Current and desired state to the module's result."""
    parts(params["public_key"])
    if (params["expire_after"] or 0) < 0:
        raise GceError(
            f"expire_after is {params['expire_after']}, which is in the past.",
            reason="badExpiry",
            remedy="give seconds from 1 up, or 0 for a key that never expires.",
        )
    endpoint = endpoints.sibling(DEFAULT_ENDPOINT, client.endpoint, params["os_login_endpoint"])
    with OsLoginClient(replace(client.settings, endpoint=endpoint), beside=client) as api:
        user = (params["user"] or "").strip() or api.account()
        if "@" not in user or "/" in user:
            raise GceError(
                f"user is '{user}', which is no e-mail address."
                if user
                else "These credentials don't say whose they are, and user is not given.",
                reason="noUser",
                remedy="set user (gce_instance_os_login_user) to the e-mail of the account that "
                "runs this; `gcloud config get account` shows it.",
            )
        key = OsLoginKey(api, user, params["public_key"], params["expire_after"], check)
        return key.absent() if params["state"] == "absent" else key.present()


def main() -> None:
    """Entry point."""
    spec: dict[str, Any] = {
        "public_key": {"type": "str", "required": True, "no_log": False},
        "user": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "expire_after": {"type": "int"},
        "os_login_endpoint": {
            "type": "str",
            "fallback": (env_fallback, ["GCE_VLLM_OS_LOGIN_ENDPOINT"]),
        },
    }
    run(AnsibleModule(argument_spec={**common_spec(), **spec}, supports_check_mode=True), core)


if __name__ == "__main__":
    main()
