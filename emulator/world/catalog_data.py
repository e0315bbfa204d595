# SPDX-License-Identifier: Apache-2.0
"""What the emulated cloud offers: a seed for demo and tests, not a claim about the real one.

Machine shapes and GPUs follow Google's public pages. Which zone has what is plausible, no more: the
real cloud says so itself, and changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

L4, T4 = "nvidia-l4", "nvidia-tesla-t4"
A100, A100_80GB = "nvidia-tesla-a100", "nvidia-a100-80gb"
H100, H100_MEGA, H200 = "nvidia-h100-80gb", "nvidia-h100-mega-80gb", "nvidia-h200-141gb"
B200, RTX_PRO_6000 = "nvidia-b200", "nvidia-rtx-pro-6000"

# Zone to the accelerators it has.
ZONES: dict[str, tuple[str, ...]] = {
    "us-central1-a": (L4, T4, A100, A100_80GB, H100),
    "us-central1-b": (L4, T4, A100, H200, RTX_PRO_6000),
    "us-central1-c": (L4, T4, A100, A100_80GB, H100),
    "us-central1-f": (T4, A100),
    # An AI zone: docs.cloud.google.com/compute/docs/regions-zones/ai-zones.
    "us-central1-ai1a": (H100, H200, B200),
    "us-east1-b": (L4, A100),
    "us-east1-c": (L4, T4),
    "us-east1-d": (L4, T4),
    "us-east4-a": (L4, H100, H100_MEGA),
    "us-east4-c": (L4, A100_80GB),
    "us-west1-a": (L4, T4, H100),
    "us-west1-b": (L4, T4, A100),
    "us-west4-a": (L4, H100),
    "europe-west1-b": (L4, T4, H100, B200),
    "europe-west1-c": (L4, T4),
    "europe-west4-a": (L4, T4, A100, A100_80GB),
    "europe-west4-b": (L4, T4, A100, H100),
    "europe-west4-c": (L4, T4, H100),
    "asia-southeast1-a": (L4, T4),
    "asia-southeast1-b": (L4, T4, A100, H100),
    "asia-southeast1-c": (L4, T4, A100, A100_80GB),
}

# The subnetwork that an auto mode network has in each region.
SUBNET_RANGES = {
    "us-central1": "10.128.0.0/20",
    "europe-west1": "10.132.0.0/20",
    "us-west1": "10.138.0.0/20",
    "us-east1": "10.142.0.0/20",
    "asia-southeast1": "10.148.0.0/20",
    "us-east4": "10.150.0.0/20",
    "europe-west4": "10.164.0.0/20",
    "us-west4": "10.182.0.0/20",
}


@dataclass(frozen=True)
class Accelerator:
    """A kind of GPU.

    Attributes:
        quota: metric of regions.get; None for those that only Cloud Quotas knows.
        most: cards that one instance may have.
    """

    description: str
    quota: str | None
    most: int


ACCELERATORS = {
    T4: Accelerator("NVIDIA T4", "NVIDIA_T4_GPUS", 4),
    L4: Accelerator("NVIDIA L4", "NVIDIA_L4_GPUS", 8),
    A100: Accelerator("NVIDIA A100 40GB", "NVIDIA_A100_GPUS", 16),
    A100_80GB: Accelerator("NVIDIA A100 80GB", "NVIDIA_A100_80GB_GPUS", 8),
    H100: Accelerator("NVIDIA H100 80GB", None, 8),
    H100_MEGA: Accelerator("NVIDIA H100 80GB MEGA", None, 8),
    H200: Accelerator("NVIDIA H200 141GB", None, 8),
    B200: Accelerator("NVIDIA B200 180GB", None, 8),
    RTX_PRO_6000: Accelerator("NVIDIA RTX PRO 6000 96GB", None, 8),
}


# The `gpu_family` of those whose quota is None.
GPU_FAMILIES = {
    H100: "NVIDIA_H100",
    H100_MEGA: "NVIDIA_H100_MEGA",
    H200: "NVIDIA_H200",
    B200: "NVIDIA_B200",
    RTX_PRO_6000: "NVIDIA_RTX_PRO_6000",
}


@dataclass(frozen=True)
class Machine:
    """A machine type.

    Attributes:
        memory_mb: in MiB, as the API counts.
        gpus: bundled accelerator and how many; None for machines without.
        cpu_quota: metric of regions.get that its vCPUs count against; None: those of machines
            that bundle GPUs need no quota.
        sold_as: provisioning models in which it is sold.
    """

    cpus: int
    memory_mb: int
    gpus: tuple[str, int] | None = None
    cpu_quota: str | None = "CPUS"
    shared_cpu: bool = False
    sold_as: tuple[str, ...] = ("STANDARD", "SPOT", "FLEX_START", "RESERVATION_BOUND")

    @property
    def description(self) -> str:
        """As the API words it."""
        gpus = f", {self.gpus[1]} {self.gpus[0]} GPU" if self.gpus else ""
        return f"{self.cpus} vCPU, {self.memory_mb / 1024:g} GB RAM{gpus}"


# Those that are not sold in every way: docs.cloud.google.com/compute/docs/
# accelerator-optimized-machines and /cluster-director/docs/choose-consumption-option.
SOLD_AS: dict[str, tuple[str, ...]] = {
    **{f"a3-highgpu-{gpus}g": ("SPOT", "FLEX_START") for gpus in (1, 2, 4)},
    "a3-ultragpu-8g": ("SPOT", "FLEX_START", "RESERVATION_BOUND"),
    "a4-highgpu-8g": ("SPOT", "FLEX_START", "RESERVATION_BOUND"),
}


def _machines() -> dict[str, Machine]:
    machines = {
        "e2-micro": Machine(2, 1024, shared_cpu=True),
        "e2-small": Machine(2, 2048, shared_cpu=True),
        "e2-medium": Machine(2, 4096, shared_cpu=True),
    }
    for cpus in (2, 4, 8, 16, 32):
        machines[f"e2-standard-{cpus}"] = Machine(cpus, cpus * 4096)
    for cpus in (2, 4, 8, 16):
        machines[f"e2-highmem-{cpus}"] = Machine(cpus, cpus * 8192)
    for cpus in (1, 2, 4, 8, 16, 32, 64, 96):
        machines[f"n1-standard-{cpus}"] = Machine(cpus, cpus * 3840)
    for cpus in (2, 4, 8, 16, 32, 64, 96):
        machines[f"n1-highmem-{cpus}"] = Machine(cpus, cpus * 6656)
    for cpus in (2, 4, 8, 16, 32, 48, 64, 80):
        machines[f"n2-standard-{cpus}"] = Machine(cpus, cpus * 4096, cpu_quota="N2_CPUS")
    for name, shape in {
        "g2-standard-4": (4, 16, L4, 1),
        "g2-standard-8": (8, 32, L4, 1),
        "g2-standard-12": (12, 48, L4, 1),
        "g2-standard-16": (16, 64, L4, 1),
        "g2-standard-24": (24, 96, L4, 2),
        "g2-standard-32": (32, 128, L4, 1),
        "g2-standard-48": (48, 192, L4, 4),
        "g2-standard-96": (96, 384, L4, 8),
        "a2-highgpu-1g": (12, 85, A100, 1),
        "a2-highgpu-2g": (24, 170, A100, 2),
        "a2-highgpu-4g": (48, 340, A100, 4),
        "a2-highgpu-8g": (96, 680, A100, 8),
        "a2-megagpu-16g": (96, 1360, A100, 16),
        "a2-ultragpu-1g": (12, 170, A100_80GB, 1),
        "a2-ultragpu-2g": (24, 340, A100_80GB, 2),
        "a2-ultragpu-4g": (48, 680, A100_80GB, 4),
        "a2-ultragpu-8g": (96, 1360, A100_80GB, 8),
        "a3-highgpu-1g": (26, 234, H100, 1),
        "a3-highgpu-2g": (52, 468, H100, 2),
        "a3-highgpu-4g": (104, 936, H100, 4),
        "a3-highgpu-8g": (208, 1872, H100, 8),
        "a3-megagpu-8g": (208, 1872, H100_MEGA, 8),
        "a3-ultragpu-8g": (224, 2952, H200, 8),
        "a4-highgpu-8g": (224, 3968, B200, 8),
        # A part of a GPU: the accelerator is counted as one.
        "g4-standard-6": (6, 22, RTX_PRO_6000, 1),
        "g4-standard-12": (12, 45, RTX_PRO_6000, 1),
        "g4-standard-24": (24, 90, RTX_PRO_6000, 1),
        "g4-standard-48": (48, 180, RTX_PRO_6000, 1),
        "g4-standard-96": (96, 360, RTX_PRO_6000, 2),
        "g4-standard-192": (192, 720, RTX_PRO_6000, 4),
        "g4-standard-384": (384, 1440, RTX_PRO_6000, 8),
    }.items():
        cpus, memory_gb, kind, count = shape
        sold_as = SOLD_AS.get(name, Machine.sold_as)
        machines[name] = Machine(cpus, memory_gb * 1024, (kind, count), None, sold_as=sold_as)
    return machines


MACHINES = _machines()

# Series with custom types: vCPUs that there are, GiB of memory to each, and most GiB in all.
# docs.cloud.google.com/compute/docs/instances/creating-instance-with-custom-machine-type; that N1's
# are named without their series is on its page, too.
_CUSTOM = re.compile(r"^(?:(n1|n2|e2)-)?custom-(\d+)-(\d+)(-ext)?$")
_CUSTOM_MEMORY = {"n1": (0.9, 6.5), "n2": (0.5, 8.0), "e2": (0.5, 8.0)}
_CUSTOM_MOST_CPUS = {"n1": 96, "n2": 128, "e2": 32}


def canonical(name: str) -> str:
    """The name by which the API shows a machine type: N1's custom types have no series in it."""
    return name.removeprefix("n1-") if name.startswith("n1-custom-") else name


def machine(name: str) -> Machine | None:
    """The machine type of a name, custom ones too; None where there is none."""
    if name in MACHINES:
        return MACHINES[name]
    found = _CUSTOM.match(name)
    if found is None:
        return None
    series, cpus, memory = found[1] or "n1", int(found[2]), int(found[3])
    low, high = (gib * 1024 * cpus for gib in _CUSTOM_MEMORY[series])
    extended = found[4] is not None and series != "e2"
    if (
        not 1 <= cpus <= _CUSTOM_MOST_CPUS[series]
        or (cpus % 2 and (cpus > 1 or series != "n1"))
        or memory % 256
        or memory < low
        or (memory > high) != extended
    ):
        return None
    return Machine(cpus, memory, cpu_quota="N2_CPUS" if series == "n2" else "CPUS")


# Machine type to the local SSDs that come with it, and the size of each in GB: Compute Engine
# attaches them on insert (docs/disks/add-local-ssd; counts: docs/disks/local-ssd and
# docs/accelerator-optimized-machines, all below docs.cloud.google.com/compute).
LOCAL_SSD_GB = 375
LOCAL_SSDS: dict[str, int] = {
    **{f"a2-ultragpu-{gpus}g": gpus for gpus in (1, 2, 4, 8)},
    **{f"a3-highgpu-{gpus}g": 2 * gpus for gpus in (1, 2, 4, 8)},
    "a3-megagpu-8g": 16,
    "a3-ultragpu-8g": 32,
    "a4-highgpu-8g": 32,
}

# Accelerator to {count: most vCPUs}; only N1 machines take accelerators that they do not bundle.
N1_ACCELERATORS = {T4: {1: 48, 2: 48, 4: 96}}

# Disk type to (description, default size in GB, smallest, largest).
DISK_TYPES = {
    "pd-standard": ("Standard Persistent Disk", 500, 10, 65536),
    "pd-balanced": ("Balanced Persistent Disk", 100, 10, 65536),
    "pd-ssd": ("SSD Persistent Disk", 100, 10, 65536),
    "hyperdisk-balanced": ("Hyperdisk Balanced", 100, 4, 65536),
    "local-ssd": ("Local SSD", 375, 375, 375),
}

# Machine family prefix to the disk types that it can boot from; the first is the default.
_BOOT_DISKS = {
    "g4-": ("hyperdisk-balanced",),
    "a4-": ("hyperdisk-balanced",),
    "a3-ultragpu-": ("hyperdisk-balanced",),
    # The first is AttachedDiskInitializeParams.diskType's in the discovery document.
    "a3-": ("hyperdisk-balanced", "pd-balanced", "pd-ssd"),
    "g2-": ("pd-balanced", "pd-ssd", "hyperdisk-balanced"),
}


def boot_disk_types(machine_type: str) -> tuple[str, ...]:
    """Disk types that a machine type can boot from; the first is its default."""
    for prefix, kinds in _BOOT_DISKS.items():
        if machine_type.startswith(prefix):
            return kinds
    return ("pd-standard", "pd-balanced", "pd-ssd")


@dataclass(frozen=True)
class SeedImage:
    """A public image.

    Attributes:
        stamp: version at the end of the name; the newest of a family is the family's.
    """

    project: str
    family: str
    stamp: str
    size_gb: int
    description: str
    deprecated: bool = False
    features: tuple[str, ...] = field(
        default=("VIRTIO_SCSI_MULTIQUEUE", "UEFI_COMPATIBLE", "GVNIC", "SEV_CAPABLE")
    )

    @property
    def name(self) -> str:
        """The image's own name."""
        return f"{self.family}-{self.stamp}"


_DEEP, _ACCELERATOR = "deeplearning-platform-release", "ubuntu-os-accelerator-images"
IMAGES = [
    *(
        SeedImage(_DEEP, family, stamp, 50, text, deprecated=stamp == "v20260212")
        for family, text in {
            "common-cu129-ubuntu-2204-nvidia-580": "CUDA 12.9, driver 580, Ubuntu 22.04",
            "common-cu129-ubuntu-2404-nvidia-580": "CUDA 12.9, driver 580, Ubuntu 24.04",
            "pytorch-2-9-cu129-ubuntu-2204-nvidia-580": "PyTorch 2.9, CUDA 12.9, Ubuntu 22.04",
            "pytorch-2-9-cu129-ubuntu-2404-nvidia-580": "PyTorch 2.9, CUDA 12.9, Ubuntu 24.04",
        }.items()
        for stamp in ("v20260212", "v20260703", "v20260918")
    ),
    *(
        SeedImage(_ACCELERATOR, family, "v20260910", 20, text)
        for family, text in {
            "ubuntu-accelerator-2204-amd64-with-nvidia-580": "Ubuntu 22.04 with driver 580",
            "ubuntu-accelerator-2404-amd64-with-nvidia-580": "Ubuntu 24.04 with driver 580",
        }.items()
    ),
    SeedImage("debian-cloud", "debian-12", "v20260910", 10, "Debian 12 (bookworm)"),
    SeedImage("debian-cloud", "debian-13", "v20260910", 10, "Debian 13 (trixie)"),
    SeedImage("ubuntu-os-cloud", "ubuntu-2204-lts", "v20260912", 10, "Ubuntu 22.04 LTS"),
    SeedImage("ubuntu-os-cloud", "ubuntu-2404-lts-amd64", "v20260912", 10, "Ubuntu 24.04 LTS"),
]
IMAGE_PROJECTS = frozenset(image.project for image in IMAGES)

# Limits of a new project. A100 at 0 is what new projects really have, and a test of 'no quota'.
REGION_QUOTAS: dict[str, float] = {
    "CPUS": 96,
    "N2_CPUS": 24,
    "A2_CPUS": 24,
    "PREEMPTIBLE_CPUS": 0,
    "DISKS_TOTAL_GB": 4096,
    "SSD_TOTAL_GB": 2048,
    "HDB_TOTAL_GB": 2048,
    "STATIC_ADDRESSES": 8,
    "IN_USE_ADDRESSES": 8,
    "INSTANCES": 100,
    "NVIDIA_L4_GPUS": 4,
    "NVIDIA_T4_GPUS": 4,
    "NVIDIA_A100_GPUS": 0,
    "NVIDIA_A100_80GB_GPUS": 0,
    "PREEMPTIBLE_NVIDIA_L4_GPUS": 4,
    "PREEMPTIBLE_NVIDIA_T4_GPUS": 4,
    "PREEMPTIBLE_NVIDIA_A100_GPUS": 0,
    "PREEMPTIBLE_NVIDIA_A100_80GB_GPUS": 0,
}
GLOBAL_QUOTAS: dict[str, float] = {
    "GPUS_ALL_REGIONS": 8,
    "CPUS_ALL_REGIONS": 128,
    "NETWORKS": 5,
    "SUBNETWORKS": 100,
    "FIREWALLS": 100,
    "STATIC_ADDRESSES": 8,
}
