#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

DOCUMENTATION = r"""
module: deployment_report
short_description: Write what is known of a deployment as a page, JSON and lists of components
version_added: 0.3.0
description:
  - Puts together what the earlier plays of C(report.yml) have read. Writes C(report.html),
    C(report.json) and for each host C(sbom-HOST.cdx.json) (CycloneDX 1.6).
  - The page loads nothing and has no script. Secrets of the settings are left out of all files.
  - Writes in check mode too, since nothing else is changed.
options:
  output:
    description: Folder on the controller. It is made where it is missing.
    type: path
    required: true
  name:
    description: Name of the deployment.
    type: str
    required: true
  hosts:
    description: Hosts whose results are put together.
    type: list
    elements: str
    required: true
  clouds:
    description: Hosts that stand for an instance each.
    type: list
    elements: str
    default: []
  template:
    description: The page, in Jinja.
    type: str
    required: true
  roles_dir:
    description: Folder of the roles, whose specs say which settings are secret.
    type: path
    required: true
  checklist:
    description: The checklist, or nothing.
    type: dict
    default: {}
  drift:
    description: The report of M(llmops.gce_vllm.drift), or nothing.
    type: dict
    default: {}
  hour_price:
    description: USD that a host costs an hour. Without it the instance's list price is taken.
    type: float
  benchmarks:
    description: Folder in which C(benchmark.yml) leaves a folder for each run.
    type: path
    required: true
attributes:
  check_mode:
    description: Does the same in check mode.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Write the report
  llmops.gce_vllm.deployment_report:
    output: build/report
    name: llm-server
    hosts: "{{ groups['llm_targets'] }}"
    template: "{{ lookup('ansible.builtin.file', 'report.html.j2') }}"
    roles_dir: "{{ playbook_dir }}/../roles"
    benchmarks: build/benchmark
"""

RETURN = r"""
summary:
  description: The report's first sentences, and what could not be read.
  returned: success
  type: list
  elements: str
files:
  description: What was written.
  returned: success
  type: list
  elements: str
"""
