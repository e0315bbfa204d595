# SPDX-License-Identifier: Apache-2.0
"""What a recreate does with each field of the API's Instance: it drops none in silence. Pure.

A test holds this against the schema in Google's discovery document: a field that Google adds there
has no row here, and an instance that has one is not recreated.

- `ours`: the flat fields say it (fields.py), and the request is made from them (body.py).
- `output`: Google's own to say, or said only in a request.
- `copy`: goes into the new request as it was.
- `refuse`: can't be said again, so that an instance with it is not recreated.
"""

from __future__ import annotations

from typing import Literal

Deed = Literal["ours", "output", "copy", "refuse"]


def _rows(**names: str) -> dict[str, Deed]:
    rows: dict[str, Deed] = {}
    for deed, fields in names.items():
        for field in fields.split():
            rows[field] = deed  # type: ignore[assignment]
    return rows


INSTANCE = _rows(
    ours="deletionProtection disks guestAccelerators labels machineType metadata name "
    "networkInterfaces reservationAffinity resourcePolicies scheduling serviceAccounts "
    "shieldedInstanceConfig tags",
    # What a machine image or a baseline was once taken from is no part of what the instance is.
    output="cpuPlatform creationTimestamp fingerprint id kind labelFingerprint lastStartTimestamp "
    "lastStopTimestamp lastSuspendedTimestamp params resourceStatus satisfiesPzi satisfiesPzs "
    "selfLink shieldedInstanceIntegrityPolicy sourceMachineImage "
    "sourceMachineImageEncryptionKey startRestricted status statusMessage zone",
    copy="advancedMachineFeatures canIpForward confidentialInstanceConfig description "
    "displayDevice hostname instanceEncryptionKey keyRevocationActionType "
    "localSsdEncryptionMode minCpuPlatform networkPerformanceConfig privateIpv6GoogleAccess "
    "workloadIdentityConfig",
)
# Of the first interface; of further ones network and subnetwork are copied too.
INTERFACE = _rows(
    ours="accessConfigs network subnetwork",
    output="fingerprint ipv6AccessType kind name",
    copy="aliasIpRanges aliasIpv6Ranges enableVpcScopedDns igmpQuery internalIpv6PrefixLength "
    "ipv6AccessConfigs ipv6Address networkIP nicType parentNicName queueCount serviceClassId "
    "stackType vlan",
    refuse="networkAttachment",
)
# Of accessConfigs and ipv6AccessConfigs. An address goes with the instance unless it is reserved.
ACCESS = _rows(
    output="kind",
    copy="externalIpv6 externalIpv6PrefixLength name natIP networkTier publicPtrDomainName "
    "securityPolicy setPublicPtr type",
)
# Of the boot disk, as it is attached.
ATTACHED = _rows(
    ours="autoDelete boot diskSizeGb source type",
    # What the image brings, and the interface, which is the machine's.
    output="architecture forceAttach guestOsFeatures index initializeParams interface kind "
    "licenses mode savedState shieldedInstanceInitialState",
    copy="deviceName diskEncryptionKey",
)
# Of the boot disk's own resource.
DISK = _rows(
    ours="name provisionedIops provisionedThroughput sizeGb sourceImage type",
    output="architecture asyncSecondaryDisks creationTimestamp diskEncryptionKey guestOsFeatures "
    "id kind labelFingerprint lastAttachTimestamp lastDetachTimestamp licenseCodes licenses "
    "locationHint options params region resourceStatus satisfiesPzi satisfiesPzs selfLink "
    "sourceConsistencyGroupPolicy sourceConsistencyGroupPolicyId sourceDisk sourceDiskId "
    "sourceImageEncryptionKey sourceImageId sourceInstantSnapshot sourceInstantSnapshotId "
    "sourceSnapshot sourceSnapshotEncryptionKey sourceSnapshotId sourceStorageObject status "
    "users zone",
    copy="description enableConfidentialCompute labels resourcePolicies storagePool",
    refuse="accessMode asyncPrimaryDisk physicalBlockSizeBytes replicaZones",
)
SCHEDULING = _rows(
    ours="automaticRestart instanceTerminationAction maxRunDuration onHostMaintenance "
    "onInstanceStopAction preemptible provisioningModel",
    copy="availabilityDomain gracefulShutdown hostErrorTimeoutSeconds localSsdRecoveryTimeout "
    "locationHint minNodeCpus nodeAffinities preemptionNoticeDuration skipGuestOsShutdown "
    "terminationTime",
)
# An encryption key: `sha256` says that there is one which is never told again.
KEY = _rows(
    copy="kmsKeyName kmsKeyServiceAccount", refuse="rawKey rsaEncryptedKey sha256"
)  # fmt: skip

# What Google chooses where nothing is said: nothing to carry.
DEFAULTS = {
    "stackType": ("IPV4_ONLY",),
    "keyRevocationActionType": ("NONE", "NONE_ON_KEY_REVOCATION"),
    "privateIpv6GoogleAccess": ("INHERIT_FROM_SUBNETWORK",),
    "networkTier": ("PREMIUM",),
    "igmpQuery": ("IGMP_QUERY_DISABLED",),
    "accessMode": ("READ_WRITE_SINGLE",),
    "physicalBlockSizeBytes": ("4096", 4096),
    "localSsdEncryptionMode": ("STANDARD_ENCRYPTION",),
}
# Belongs to the machine: another series may not take it.
OF_SERIES = (
    "advancedMachineFeatures",
    "confidentialInstanceConfig",
    "minCpuPlatform",
    "networkPerformanceConfig",
    "scheduling.minNodeCpus",
    "scheduling.nodeAffinities",
)
