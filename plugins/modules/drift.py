# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

DOCUMENTATION = r"""
module: drift
short_description: Tell what a playbook would change
version_added: 0.2.0
description:
  - Runs a playbook of this collection in check mode and reports every difference. It runs in a
    process of its own, with the inventory, variables and connection options of this run.
  - Changes nothing, also without C(--check). Fails where anything differs or could not be looked
    at.
options:
  site:
    description: The playbook.
    type: path
    required: true
  tags:
    description: Its phases to look at.
    type: list
    elements: str
    required: true
  output:
    description: File on the controller that the report is written to, as JSON.
    type: path
attributes:
  check_mode:
    description: Reads only, so that it does the same in check mode.
    support: full
  diff_mode:
    description: Differences are the result.
    support: none
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Look for drift
  llmops.gce_vllm.drift:
    site: "{{ playbook_dir }}/site.yml"
    tags: [preflight, provision, configure]
    output: /var/tmp/drift.json
"""

RETURN = r"""
report:
  description:
    - C(status) is V(clean), V(drift) or V(error).
    - C(differences) has C(layer) (V(cloud), V(host) or V(service)), C(host), C(object), C(field),
      C(is) and C(should_be).
    - C(errors) has C(layer), C(host), C(task) and C(message).
    - C(layers_checked) says of each layer whether it was looked at.
    - C(at_rest) names instances that are stopped as they should be, each with the reason.
    - C(checked_at) is the time in UTC.
  returned: always
  type: dict
"""
