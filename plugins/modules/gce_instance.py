#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_instance."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_instance
short_description: Compute Engine instances that run, are stopped, or are gone
version_added: 0.1.0
description:
  - Creates an instance, changes what differs, starts, stops or deletes it. Waits until that is
    done.
  - Options that are not given are left as they are; labels, metadata, tags and lines of
    C(ssh-keys) that others set survive.
  - A difference is changed live, by a stop and start, or by recreating the instance. A stop needs
    O(allow_stop), recreating needs O(allow_recreate). Where the needed permission is missing, the
    run fails, names the differences and changes nothing.
  - These need a stop - O(machine_type) within a series, O(accelerators), O(service_account),
    O(shielded), and O(scheduling) without its provisioning model. So do the device name and mode of
    a further disk, and O(reservation_affinity) from any to none. O(discard_local_ssd) needs one
    where the run time is limited.
  - These need a recreate - O(boot_disk.image), O(boot_disk.image_family), O(boot_disk.type),
    O(network), O(subnetwork) and O(scheduling.provisioning_model). So do any other change of
    O(reservation_affinity), and a O(machine_type) of another series with bundled GPUs. Google
    changes no machine with local SSDs, so that O(machine_type) needs one too.
  - Type, image and a smaller size of a further disk that exists are refused, as that would lose
    data.
  - An image family is resolved when the instance is made. What it was resolved to is recorded in
    the metadata keys C(gce-vllm-image-family), C(gce-vllm-image) and C(gce-vllm-image-id). A newer
    image in the same family is no difference, and RV(newer_image) tells of it; another family is.
  - If O(boot_disk.type) is given at creation, C(gce-vllm-boot-disk) records the name and type of
    the boot disk. A later run that finds the desired type there, for the attached disk, doesn't
    read the disk.
  - A run that has nothing to change reads the instance and asks for the newest image (see
    O(report_newer_image)). It reads the disks only where the instance doesn't tell enough. That is
    three requests at most. It is one more where O(address) is a name that something else attached.
    It is one request for an instance of this module, with an image family and without
    O(report_newer_image). What was attached by name is recorded in C(gce-vllm-address).
  - Diffs and results hide metadata values whose key contains C(secret), C(token), C(passw),
    C(credential), C(private) or C(key). C(ssh-keys) are shown. Scripts, C(user-data) and the
    declaration of containers are hidden too. Values of more than 100 characters are given by length
    and digest. The log of the machine that runs the module shows no more. Whoever may read the
    instance may read its metadata, so put no secrets there.
  - Check mode finds wrong zones, machine types, accelerators, images and networks as a real run
    does. That quota is exceeded or a zone has no such machine left, only a real run can find out.
  - With O(placements) there is one instance of this name in all of their zones together. It is
    looked for in all of them, and compared with the placement that it differs least from.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes
options:
  zone:
    description: Zone of the instance, for example V(us-central1-a). Either this or O(placements).
    type: str
  placements:
    description:
      - Where the instance may be and as what, first choice first. Where Google has no such machine
        left (stock-out) or the quota doesn't suffice, the next is tried; zones that Google names as
        having some come first among those listed. Any other error ends the run at once.
      - All of them are checked for mistakes before the first is tried.
      - An instance that exists stays where it is. If its zone has no room to start it again, it is
        changed to another placement in its zone. With O(allow_recreate), placements in other zones
        are tried too. The instance is then deleted with its boot disk, and recreated there.
      - An instance of this name in none of these zones stops the creation of another.
      - Disks can't follow into another zone. An instance with further disks only goes to placements
        in its own zone. A new instance only goes to zones with those of O(disks) that exist
        already, anywhere in the project. No other instance may write to these disks. If they are in
        different zones, or in none of the placements, nothing is created.
      - A O(subnetwork) given by name is looked for in the region of each placement.
    type: list
    elements: dict
    version_added: 0.1.0
    suboptions:
      zone:
        description: Zone, for example V(us-central1-a).
        type: str
        required: true
      machine_type:
        description: Machine type there. O(machine_type) where not given.
        type: str
      accelerators:
        description: GPUs of an N1 instance there. O(accelerators) where neither this nor the
          placement's machine type is given.
        type: list
        elements: dict
        suboptions:
          type:
            description: For example V(nvidia-tesla-t4).
            type: str
            required: true
          count:
            description: How many of them.
            type: int
            default: 1
      provisioning_model:
        description:
          - That of O(scheduling) where not given; V(STANDARD) where that doesn't say either and
            another placement does.
          - For V(SPOT) and V(FLEX_START), C(automatic_restart) of O(scheduling) is left out. For
            V(STANDARD), C(instance_termination_action) is left out, unless C(max_run_duration) is
            set.
          - V(FLEX_START) needs C(max_run_duration) of O(scheduling), which then counts for every
            placement, and V(RESERVATION_BOUND) a specific O(reservation_affinity).
        type: str
        choices: [STANDARD, SPOT, FLEX_START, RESERVATION_BOUND]
  name:
    description: Name of the instance, unique in the project and zone.
    type: str
    required: true
  state:
    description:
      - V(present) means running. An instance that is stopped or suspended is started.
      - V(stopped) never makes an instance; where there is none, nothing is done, unless an earlier
        run deleted it to recreate it and was interrupted.
      - V(absent) deletes the instance with its boot disk and all disks that are set to be deleted
        with it. RV(kept_disks) names the others.
    type: str
    choices: [present, stopped, absent]
    default: present
  machine_type:
    description: For example V(g2-standard-8). Required where the instance has to be made.
    type: str
  accelerators:
    description:
      - GPUs of an N1 instance. GPUs that come with the machine type (series g2, g4, a2, a3, a4)
        need not be named; if they are, they
        have to agree.
    type: list
    elements: dict
    suboptions:
      type:
        description: For example V(nvidia-tesla-t4).
        type: str
        required: true
      count:
        description: How many of them.
        type: int
        default: 1
  boot_disk:
    description: The disk that the instance boots from. An image or a family is required where the
      instance has to be made.
    type: dict
    suboptions:
      image:
        description: An image by name, or by path.
        type: str
      image_family:
        description: The newest image of this family, at the time when the instance is made.
        type: str
      image_project:
        description: Project of the image or family. The instance's own where this is not given.
        type: str
      size_gb:
        description: The least size. A disk can grow while the instance runs. One that is larger
          is left so, with a warning, and a recreate keeps its size.
        type: int
      type:
        description: For example V(pd-balanced), V(pd-ssd) or V(hyperdisk-balanced). Machines of the
          series g4, a4 and a3-ultragpu take V(hyperdisk-balanced) only.
        type: str
      provisioned_iops:
        description: Input and output operations a second that a Hyperdisk is to do. Changes live,
          at most once in a few hours.
        type: int
      provisioned_throughput:
        description: MiB a second that a Hyperdisk is to do. Changes live, at most once in a few
          hours.
        type: int
      auto_delete:
        description: Whether the disk goes when the instance is deleted. V(true) for a new one. With
          V(false) the instance is not recreated, as the old disk would hold the new one's name.
        type: bool
  disks:
    description:
      - Further disks that it has to have. One that doesn't exist is made, with a new instance or
        while it runs; one that exists in the zone is attached. Disks that are not named here are
        left alone; see O(disks[].state) for one that is to go.
      - A recreate keeps all further disks and attaches them again. It is refused where it would
        lead into another zone, where disks can't follow. Local SSDs that come with the machine type
        are none of them; see O(discard_local_ssd).
      - What is on a new disk is for the machine to format and mount; it is found there as
        C(/dev/disk/by-id/google-DEVICE_NAME).
    type: list
    elements: dict
    version_added: 0.1.0
    suboptions:
      name:
        description: Name of the disk, unique in the project and zone.
        type: str
        required: true
      state:
        description: V(detached) takes the disk from the instance, live, and leaves it in the zone
          with what is on it; unmount it before. Nothing else is then looked at.
        type: str
        choices: [attached, detached]
        default: attached
      size_gb:
        description: Size. Required where the disk has to be made, unless O(disks[].image) is given.
          It grows while the instance runs; the file system on it, the machine has to grow.
        type: int
      type:
        description: For example V(pd-balanced) or V(hyperdisk-balanced). Without it, a new disk is
          V(pd-balanced), or V(hyperdisk-balanced) for a machine that takes Hyperdisks only. Can't
          be changed.
        type: str
      image:
        description: An image that a new disk is made from, by name or path. An empty disk where not
          given. Ignored for a disk that exists.
        type: str
      device_name:
        description: Name by which the machine finds it. Its own for one that is newly attached.
        type: str
      mode:
        description: V(READ_WRITE) for one that is newly attached. Several instances may share a
          disk that all of them only read.
        type: str
        choices: [READ_WRITE, READ_ONLY]
      auto_delete:
        description: Whether the disk goes when the instance is deleted. V(false) for one that is
          newly attached.
        type: bool
      provisioned_iops:
        description: Input and output operations a second that a Hyperdisk is to do. Changes live,
          at most once in a few hours.
        type: int
      provisioned_throughput:
        description: MiB a second that a Hyperdisk is to do. Changes live, at most once in a few
          hours.
        type: int
  delete_disks:
    description: With O(state=absent), delete the disks that O(disks) names too, with what is on
      them. Otherwise only those go that are set to go with the instance.
    type: bool
    default: false
    version_added: 0.1.0
  network:
    description: Network by name, or by path where it belongs to another project. A new instance
      goes into V(default).
    type: str
  subnetwork:
    description: Subnetwork by name or path, in the zone's region.
    type: str
  external_ip:
    description: Whether it has an external address, ephemeral unless O(address) names one. A new
      instance has one.
    type: bool
  address:
    description:
      - A reserved external address of the region, by name or as an IP address. It is attached live;
        the interface's former external address is given up for it.
      - The instance keeps it when it is stopped, started, or recreated. See
        M(llmops.gce_vllm.gce_address). With O(placements) in several regions, give a name that is
        reserved in each.
      - To have an ephemeral one again, leave this out, set O(external_ip) to V(false), then to
        V(true).
      - In check mode a name that is not reserved yet is a warning, because an earlier task may
        reserve it.
    type: str
    version_added: 0.1.0
  tags:
    description: Network tags it has to have, beside those that others gave it.
    type: list
    elements: str
  absent_tags:
    description: Network tags it must not have. Firewall rules for them then no longer count for it.
    type: list
    elements: str
    version_added: 0.1.0
  labels:
    description: Labels it has to have. A label of V(null) is removed.
    type: dict
  metadata:
    description: Metadata it has to have. A key of V(null) is removed.
    type: dict
  service_account:
    description: The service account whose rights programs on the instance have. A new instance has
      none.
    type: dict
    suboptions:
      email:
        description: Address of the account. Empty means none.
        type: str
        required: true
      scopes:
        description: OAuth scopes, in full or by their last part. V(devstorage.read_only) where not
          given for a new account, which is what weights in a bucket need.
        type: list
        elements: str
  shielded:
    description:
      - Shielded VM options. A new instance has vTPM and integrity monitoring; Secure Boot is off,
        as it refuses NVIDIA's kernel
        module on images that build it themselves.
    type: dict
    suboptions:
      secure_boot:
        description: Boots signed software only.
        type: bool
      vtpm:
        description: Virtual trusted platform module.
        type: bool
      integrity_monitoring:
        description: Compares each boot with a known good one.
        type: bool
  scheduling:
    description: Availability and price.
    type: dict
    suboptions:
      provisioning_model:
        description:
          - V(SPOT) costs less, and Google may take the machine back. V(FLEX_START) runs for
            O(scheduling.max_run_duration) and is not taken back before. V(RESERVATION_BOUND) comes
            from the reservation of O(reservation_affinity), and goes with it. A new instance is
            V(STANDARD).
          - A4 and A3 Ultra machines are not sold as V(STANDARD). A3 High ones with 1, 2 or 4 GPUs
            are sold only as V(SPOT) or V(FLEX_START). What is not sold is refused beforehand.
          - An instance that is V(RESERVATION_BOUND) is left so where V(STANDARD) is desired.
        type: str
        choices: [STANDARD, SPOT, FLEX_START, RESERVATION_BOUND]
      max_run_duration:
        description:
          - Seconds that it may run from each start; then O(scheduling.instance_termination_action)
            is done. V(0) means without limit.
          - 30 seconds to 120 days, with V(FLEX_START), which needs it, 10 minutes to 7 days.
        type: int
        version_added: 0.1.0
      instance_termination_action:
        description: What becomes of a Spot instance that Google takes back, and of any whose
          O(scheduling.max_run_duration) is over. V(STOP) for a new one.
        type: str
        choices: [STOP, DELETE]
      on_host_maintenance:
        description: Instances with GPUs, Spot and Flex-start instances can't migrate, so
          V(TERMINATE) is their default, as it is with O(scheduling.max_run_duration).
        type: str
        choices: [MIGRATE, TERMINATE]
      automatic_restart:
        description: Whether Google starts it again after a failure of the host. Not possible with
          Spot and Flex-start; V(false) for a new one with O(scheduling.max_run_duration).
        type: bool
  reservation_affinity:
    description: Which reserved capacity it may use. A new instance uses any that fits, a Flex-start
      one none.
    type: dict
    version_added: 0.1.0
    suboptions:
      type:
        description: V(any) that fits, V(none), or V(specific), which are those of
          O(reservation_affinity.reservations).
        type: str
        required: true
        choices: [any, none, specific]
      reservations:
        description: Reservations by name, or as C(projects/PROJECT/reservations/NAME) where another
          project shares them.
        type: list
        elements: str
  resource_policies:
    description:
      - Resource policies of the region, such as an instance schedule, that it has to have, by name.
      - This is the whole list, as an instance can have only one schedule. Those not named are
        detached, and an empty list detaches all. Leave it out to leave them alone.
    type: list
    elements: str
    version_added: 0.1.0
  deletion_protection:
    description: Refuses every deletion, also by this module, until it is switched off by name.
    type: bool
  discard_local_ssd:
    description:
      - What becomes of the data on local SSDs when this module or Google stops the instance. Google
        does so at the end of C(max_run_duration) of O(scheduling). Google requires this for every
        machine that has local SSDs (A2 Ultra, A3, A4).
      - They are emptied unless this is V(false). Then Google keeps the data, at a price, and an
        instance that would have to be recreated is refused.
    type: bool
    version_added: 0.1.0
  report_newer_image:
    description: Ask whether there is a newer image than the boot disk's, for RV(newer_image). With
      many instances of one family, switch it off for all but one.
    type: bool
    default: true
    version_added: 0.1.0
  allow_stop:
    description:
      - Stop and start a running instance where a difference needs it.
      - If Google has no room for the new machine, the instance gets its old machine type back. It
        is started again, and the run fails.
    type: bool
    default: false
  allow_recreate:
    description:
      - Recreate the instance where a difference needs it. What is on its boot disk
        is lost.
      - Options that the task doesn't name are carried over. Further disks are kept and attached
        again, see O(disks).
      - All of the old instance is kept in O(state_dir) until the new one runs. If a run is
        interrupted, or gets no machine, the next run continues from there.
      - With O(state=stopped) the new one boots once and is then stopped.
    type: bool
    default: false
  state_dir:
    description:
      - Folder on the machine that the module runs on. A file in it holds all of an instance while
        it is recreated or moved to another of O(placements). That includes secret metadata. Only
        the user who runs this can read it. Afterwards it is deleted.
      - A next run from another machine does not know of it, and makes the instance from its options
        alone.
      - The environment variable E(GCE_VLLM_STATE_DIR) is used if this is not given.
    type: path
    default: ~/.local/state/gce-vllm
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: An L4 machine from the newest image of a family
  llmops.gce_vllm.gce_instance:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
    machine_type: g2-standard-8
    boot_disk:
      image_project: deeplearning-platform-release
      image_family: common-cu129-ubuntu-2404-nvidia-580
      size_gb: 100
      type: pd-balanced
    tags: [llm-server]
    labels:
      owner: search-team

- name: A Spot machine with a T4
  llmops.gce_vllm.gce_instance:
    project: my-project-123456
    zone: us-central1-b
    name: llm-server
    machine_type: n1-standard-8
    accelerators:
      - type: nvidia-tesla-t4
    boot_disk:
      image_project: deeplearning-platform-release
      image_family: common-cu129-ubuntu-2404-nvidia-580
    scheduling:
      provisioning_model: SPOT
      instance_termination_action: STOP

- name: Spot where there is some, else at the full price, else a T4
  llmops.gce_vllm.gce_instance:
    project: my-project-123456
    name: llm-server
    placements:
      - zone: us-central1-a
        machine_type: g2-standard-8
        provisioning_model: SPOT
      - zone: us-central1-b
        machine_type: g2-standard-8
        provisioning_model: SPOT
      - zone: us-central1-a
        machine_type: g2-standard-8
      - zone: us-east1-c
        machine_type: n1-standard-8
        accelerators:
          - type: nvidia-tesla-t4
    boot_disk:
      image_project: deeplearning-platform-release
      image_family: common-cu129-ubuntu-2404-nvidia-580
  register: server

- name: Say where it is
  ansible.builtin.debug:
    msg: "{{ server.zone }}, after {{ server.attempts | length }} attempts"

- name: More vCPUs, by a stop and a start
  llmops.gce_vllm.gce_instance:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
    machine_type: g2-standard-16
    allow_stop: true

- name: A Flex-start machine for two days, with a disk for weights that outlives it
  llmops.gce_vllm.gce_instance:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
    machine_type: a3-highgpu-1g
    boot_disk:
      image_project: deeplearning-platform-release
      image_family: common-cu129-ubuntu-2404-nvidia-580
    disks:
      - name: weights
        size_gb: 500
        type: hyperdisk-balanced
        provisioned_throughput: 600
    scheduling:
      provisioning_model: FLEX_START
      max_run_duration: 172800
      instance_termination_action: STOP

- name: The disk is given back, and a tag with the rules that went by it
  llmops.gce_vllm.gce_instance:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
    disks:
      - name: weights
        state: detached
    absent_tags: [old-rules]

- name: Nothing is left of it, nor of its disk
  llmops.gce_vllm.gce_instance:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
    state: absent
    disks:
      - name: weights
    delete_disks: true

- name: Nothing is left of it
  llmops.gce_vllm.gce_instance:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
    state: absent
"""

RETURN = r"""
instance:
  description:
    - The instance as the API shows it, secret metadata hidden; null where there is none.
    - In check mode the instance as it is now.
  returned: success
  type: dict
  sample: {"name": "llm-server", "status": "RUNNING", "machineType":
    "https://www.googleapis.com/compute/v1/…/g2-standard-8"}
addresses:
  description: Addresses of the first network interface, each null where there is none.
  returned: success
  type: dict
  contains:
    internal:
      description: Address in the network.
      type: str
    external:
      description: Address on the internet.
      type: str
  sample: {"internal": "10.128.0.2", "external": "203.0.113.10"}
zone:
  description: Zone where the instance is, was deleted, or, in check mode, would be tried first;
    null where there is none.
  returned: success
  type: str
  sample: us-central1-a
newer_image:
  description:
    - The newest image of the family that the boot disk was made from, where that is not its own;
      null where it is, where the task names no image or the instance was just made, and without
      O(report_newer_image).
    - It changes nothing by itself. To have it, let the instance be recreated.
  returned: success
  type: dict
  contains:
    family:
      description: The family, as PROJECT/FAMILY.
      type: str
    current:
      description: The boot disk's image, as PROJECT/IMAGE.
      type: str
    newest:
      description: The newest image, as PROJECT/IMAGE.
      type: str
  sample: null
kept_disks:
  description: Names of the instance's disks that stay without it.
  returned: with O(state=absent)
  type: list
  elements: str
  sample: [weights]
attempts:
  description: What was asked of Google, in order. Empty where nothing had to be made or started.
    Also returned where the run fails after an attempt.
  returned: success
  type: list
  elements: dict
  contains:
    zone:
      description: The placement's zone.
      type: str
    machine_type:
      description: Its machine type; null where the task doesn't name one.
      type: str
    provisioning_model:
      description: Its provisioning model.
      type: str
    outcome:
      description: V(created), V(started), V(stockout), V(quota), V(not_allowed) (needs
        O(allow_recreate)), or in check mode V(planned).
      type: str
    reason:
      description: Google's reason; empty where there is none.
      type: str
  sample: [{"zone": "us-central1-a", "machine_type": "g2-standard-8", "provisioning_model": "SPOT",
    "outcome": "stockout", "reason": "ZONE_RESOURCE_POOL_EXHAUSTED"}, {"zone": "us-central1-b",
    "machine_type": "g2-standard-8", "provisioning_model": "SPOT", "outcome": "created",
    "reason": ""}]
changes:
  description: What differed, one entry a field, in check mode as in a real run. Also returned where
    the run fails because a permission is missing.
  returned: success
  type: list
  elements: dict
  contains:
    field:
      description: Name of the option (V(labels.owner), V(boot_disk.size_gb),
        V(disks.weights.size_gb)) or V(status). V(instance) where it was created or deleted,
        V(disks.weights) where a disk was deleted. V(placement) where it was recreated elsewhere.
      type: str
    from:
      description: What was found.
      type: raw
    to:
      description: What the task asks for.
      type: raw
    how:
      description: V(live), V(stop), V(recreate), V(create) or V(delete).
      type: str
  sample: [{"field": "machine_type", "from": "g2-standard-8", "to": "g2-standard-16", "how":
    "stop"}]
blocked:
  description: Fields whose change needs O(allow_stop) or O(allow_recreate).
  returned: when the run fails for that reason
  type: list
  elements: str
  sample: [machine_type]
"""

from typing import Any

from ..module_utils.gce.client import GceClient
from ..module_utils.gce.instance.argspec import EXCLUSIVE, SPEC
from ..module_utils.gce.instance.instance import STOPPED
from ..module_utils.gce.instance.module import InstanceModule
from ..module_utils.gce.instance.placed import PlacedInstance
from ..module_utils.gce.module import common_spec, run, shared_spec


def core(client: GceClient, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Current and desired state to the module's result."""
    return PlacedInstance(client, params, check).reach()


def _at_rest(result: dict[str, Any]) -> bool:
    """Whether it is on its way to no other status."""
    now = (result["instance"] or {}).get("status")
    return now in {None, "RUNNING", "SUSPENDED"} | STOPPED


def main() -> None:
    """Entry point."""
    module = InstanceModule(
        argument_spec={**common_spec(), **shared_spec(), **SPEC},
        supports_check_mode=True,
        mutually_exclusive=EXCLUSIVE,
        required_one_of=EXCLUSIVE,
    )
    run(module, core, at_rest=_at_rest)


if __name__ == "__main__":
    main()
