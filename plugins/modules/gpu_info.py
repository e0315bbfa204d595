#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: which NVIDIA GPUs and which driver a host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_info
short_description: Tell which NVIDIA GPUs and which driver a host has
version_added: 0.1.0
description:
  - Reads C(nvidia-smi -q -x), the compute capabilities, the CUDA toolkit's version and the PCI bus.
  - A host without a GPU, or with one that doesn't work, is no error of this module. It says so in
    RV(status).
options:
  nvidia_smi:
    description: The program, or its name on the search path.
    type: str
    default: nvidia-smi
attributes:
  check_mode:
    support: full
    description: Changes nothing, ever.
  diff_mode:
    support: none
    description: There is nothing to compare.
author:
  - gce-vllm maintainers
"""

EXAMPLES = r"""
- name: Look at the host's GPUs
  llmops.gce_vllm.gpu_info:
  register: gpu
"""

RETURN = r"""
status:
  description:
    - V(ok); V(no_gpu), the PCI bus has none; V(no_driver), it has one and nvidia-smi is missing;
      V(driver_not_running); V(driver_mismatch), kernel module and libraries differ; V(gpu_lost), it
      fell off the bus; V(unreadable), anything else.
  returned: always
  type: str
output:
  description: What nvidia-smi printed where the status is not V(ok).
  returned: always
  type: str
driver:
  description: Version of the driver.
  returned: always
  type: str
cuda:
  description: Newest CUDA version that the driver serves.
  returned: always
  type: str
cuda_toolkit:
  description: Version of the CUDA toolkit, where one is installed.
  returned: always
  type: str
gpus:
  description: Each GPU's name, memory, compute capability, modes and processes.
  returned: always
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.llmops.gce_vllm.plugins.module_utils import nvidia_smi

NVIDIA_VENDOR = "0x10de"
CUDA_BIN = ["/usr/local/cuda/bin"]


def nvidia_on_pci(bus: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Whether the kernel sees a PCI device made by NVIDIA, driver or not."""
    return any(path.read_text().strip() == NVIDIA_VENDOR for path in bus.glob("*/vendor"))


def collect(module: AnsibleModule) -> dict[str, Any]:
    """Ask the host; returns the module's result."""
    facts: dict[str, Any] = {
        "driver": None,
        "cuda": None,
        "cuda_toolkit": None,
        "gpus": [],
        "output": "",
    }
    program = module.get_bin_path(module.params["nvidia_smi"])
    if program is None:
        return {**facts, "status": nvidia_smi.status_of(127, "", nvidia_on_pci())}
    code, out, err = module.run_command([program, "-q", "-x"])
    status = nvidia_smi.status_of(code, out + err, nvidia_on_pci())
    if status != "ok":
        return {**facts, "status": status, "output": (out + err).strip()[-2000:]}
    query = [program, "--query-gpu=uuid,compute_cap", "--format=csv,noheader"]
    _code, capabilities, _err = module.run_command(query)
    try:
        facts.update(
            nvidia_smi.merge(nvidia_smi.parse_log(out), nvidia_smi.parse_capabilities(capabilities))
        )
    except ValueError as error:
        return {**facts, "status": "unreadable", "output": str(error)}
    nvcc = module.get_bin_path("nvcc", opt_dirs=CUDA_BIN)
    if nvcc:
        _code, out, _err = module.run_command([nvcc, "--version"])
        facts["cuda_toolkit"] = nvidia_smi.parse_nvcc(out)
    return {**facts, "status": "ok" if facts["gpus"] else "no_gpu"}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={"nvidia_smi": {"type": "str", "default": "nvidia-smi"}},
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **collect(module))


if __name__ == "__main__":
    main()
