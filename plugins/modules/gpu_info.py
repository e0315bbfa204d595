#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: which NVIDIA GPUs and which driver a host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_info
short_description: Tell which NVIDIA GPUs and which driver a host has
version_added: 0.1.0
description:
  - Reads C(nvidia-smi -q -x), compute capabilities, links between GPUs, the CUDA toolkit's version,
    the PCI bus, the kernel's modules and its log.
  - A host without a GPU, or with one that doesn't work, is no error of this module. It says so in
    RV(status).
options:
  nvidia_smi:
    description: The program, or its name on the search path.
    type: str
    default: nvidia-smi
  own_units:
    description: Systemd services that may hold a GPU's memory without that being a problem.
    type: list
    elements: str
    default: []
  foreign_memory_mib:
    description: How much memory of one GPU others may hold together, in MiB.
    type: int
    default: 1024
  timeout:
    description: Seconds that each command gets. One that takes longer is given up.
    type: float
    default: 60
  needs:
    description: What the GPUs are wanted for; what they lack of it is told in RV(problems).
    type: dict
    suboptions:
      build:
        description: Name of the build of vLLM, for the messages.
        type: str
        default: ""
      driver:
        description: The oldest driver that will do.
        type: str
        default: ""
      capability:
        description: The least compute capability.
        type: str
        default: ""
      count:
        description: How many GPUs there must be.
        type: int
        default: 0
      brought:
        description: How many the machine type brings. Fewer that answer are a problem; 0 asks
          nothing.
        type: int
        default: 0
      visible:
        description: Which of them vLLM gets to see, as C(CUDA_VISIBLE_DEVICES) has it, best by
          UUID. Empty stands for all.
        type: str
        default: ""
        version_added: 0.3.0
extends_documentation_fragment:
  - llmops.gce_vllm.host.attributes_info
author:
  - gce-vllm maintainers (@llmops)
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
      fell off the bus; V(nouveau), the kernel gave it to nouveau; V(hung), nvidia-smi gave no
      answer in time; V(no_library), NVIDIA's library is missing; V(no_right), it must be asked as
      root; V(no_access), the driver refuses; V(no_power), a cable is missing; V(interrupts), the
      kernel found a fault of its interrupts; V(unreadable), anything else.
  returned: always
  type: str
output:
  description: What nvidia-smi printed where the status is not V(ok).
  returned: always
  type: str
machine:
  description: Kind of the host's processor.
  returned: always
  type: str
  sample: x86_64
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
problems:
  description: What keeps the GPUs from being used, a sentence with its remedy each.
  returned: always
  type: list
  elements: str
findings:
  description: What the GPUs' state asks for, as a monitor reads it, well or not.
  returned: always
  type: list
  elements: dict
  contains:
    gpu:
      description: Which GPU, by its place on the bus; empty for the host.
      type: str
    kind:
      description: V(xid), V(ecc), V(remap), V(remap failure), V(repair), V(recovery),
        V(throttling), V(unread) (words where numbers belong), V(kinds) (several kinds of GPU) or
        V(status).
      type: str
    text:
      description: What was found.
      type: str
    action:
      description: V(go on), V(reset) (reboot the host) or V(recreate elsewhere) (stop and start the
        instance, so that it moves to other hardware).
      type: str
visible:
  description: UUIDs of those of RV(gpus) that vLLM gets to see. The problems are theirs alone.
  returned: always
  type: list
  elements: str
  version_added: 0.3.0
nvidia_smi_warnings:
  description: What nvidia-smi warned of while it told the rest. Ansible warns of it, too.
  returned: always
  type: list
  elements: str
kernel_causes:
  description: Known causes in the kernel's log of a driver that does not run.
  returned: always
  type: list
  elements: str
  sample: ["secure boot"]
kernel_lines:
  description: What the driver wrote into the kernel's log last.
  returned: always
  type: list
  elements: str
kernel_module:
  description: Version of the loaded kernel module; null where none is loaded.
  returned: always
  type: str
nouveau:
  description: Whether the kernel has loaded nouveau, which keeps NVIDIA's driver out.
  returned: always
  type: bool
xid_errors:
  description:
    - What the driver wrote into the kernel's log since the boot, each kind once per GPU. Empty also
      where the log can't be read (it needs root).
  returned: always
  type: list
  elements: dict
  contains:
    pci_bus_id:
      description: Which GPU.
      type: str
    code:
      description: Number of the error in NVIDIA's list.
      type: int
    count:
      description: How often.
      type: int
    last:
      description: Text of the last one.
      type: str
topology:
  description: For each GPU its links to the others, V(NV18) for 18 NVLinks, V(PIX) to V(SYS) for
    PCIe.
  returned: always
  type: dict
  sample: {"GPU0": {"GPU1": "NV18"}}
gpus:
  description: Each GPU. What it lacks is null.
  returned: always
  type: list
  elements: dict
  contains:
    uuid:
      description: Its UUID.
      type: str
    pci_bus_id:
      description: Its place on the bus.
      type: str
    name:
      description: Product name.
      type: str
      sample: NVIDIA L4
    architecture:
      description: Product architecture.
      type: str
      sample: Ada Lovelace
    compute_capability:
      description: Major and minor number.
      type: str
      sample: "8.9"
    memory_mib:
      description: Memory in MiB; C(total), C(reserved) by the driver, C(used) and C(free).
      type: dict
    ecc:
      description: Whether errors in memory are corrected.
      type: bool
    ecc_pending:
      description: The same after the next reboot.
      type: bool
    ecc_errors:
      description: Errors since the driver was loaded, C(corrected) and C(uncorrected).
      type: dict
    row_remap:
      description: Rows of memory replaced by spare ones (C(corrected), C(uncorrected));
        C(pending), a reset is needed; C(failed), no spare is left.
      type: dict
    retired_pages:
      description: What GPUs before Ampere have instead, pages of memory that are not used any more
        (C(single_bit), C(double_bit)); C(pending), a reset is needed.
      type: dict
    repair:
      description: Whether a repair of memory (C(channel)) or of processors (C(tpc)) waits for a
        reset. C(unrepairable) says whether there is memory that can't be repaired.
      type: dict
    fabric:
      description: On machines with NVSwitch whether the GPU has joined them; C(state) and
        C(status).
      type: dict
    mig:
      description: Whether it is split into instances (MIG).
      type: bool
    mig_pending:
      description: The same after the next reset.
      type: bool
    mig_devices:
      description: How many instances there are.
      type: int
    mig_memory_mib:
      description: Memory of each instance in MiB.
      type: list
    sram_threshold_exceeded:
      description: Whether its SRAM had more errors than NVIDIA lets pass.
      type: bool
    broken_fields:
      description: Fields in which the driver has an error in the place of a number.
      type: list
    persistence_mode:
      description: Whether the driver stays loaded while nobody uses the GPU.
      type: bool
    recovery_action:
      description: What NVIDIA's driver asks for, for example V(Reset) or V(Reboot).
      type: str
    temperature_c:
      description: Degrees Celsius, C(gpu) and C(memory).
      type: dict
    power_w:
      description: Watts; C(draw), C(limit), C(default_limit), C(max_limit).
      type: dict
    clocks_mhz:
      description: MHz; C(sm), C(memory), and the highest possible, C(max_sm), C(max_memory).
      type: dict
    throttled_by:
      description: Why the clocks are held down now, for example V(sw_power_cap).
      type: list
      elements: str
    processes:
      description: Who holds memory; C(pid), C(name), C(used_mib) and C(unit), the systemd service.
      type: list
      elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host import (
    gpu_health,
    gpu_probe,
    this_host,
)


def main() -> None:
    """Entry point of the module."""
    needs = {
        "build": {"type": "str", "default": ""},
        "driver": {"type": "str", "default": ""},
        "capability": {"type": "str", "default": ""},
        "count": {"type": "int", "default": 0},
        "brought": {"type": "int", "default": 0},
        "visible": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "nvidia_smi": {"type": "str", "default": "nvidia-smi"},
            "own_units": {"type": "list", "elements": "str", "default": []},
            "foreign_memory_mib": {"type": "int", "default": 1024},
            "timeout": {"type": "float", "default": 60},
            "needs": {"type": "dict", "options": needs},
        },
        supports_check_mode=True,
    )
    params = module.params
    facts = gpu_probe.collect(
        this_host.ThisHost(params["timeout"]),
        program=params["nvidia_smi"],
        own_units=params["own_units"],
        foreign_memory_mib=params["foreign_memory_mib"],
        needs=gpu_health.Needs(**(params["needs"] or {})),
    )
    # `warnings` is Ansible's own word in a result: as a fact of a module it is deprecated.
    for text in facts["nvidia_smi_warnings"]:
        module.warn(text)
    module.exit_json(changed=False, **facts)


if __name__ == "__main__":
    main()
