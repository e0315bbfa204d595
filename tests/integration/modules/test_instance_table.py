# SPDX-License-Identifier: Apache-2.0
"""Every field of gce_instance: made, left alone, changed and changed back.

One table. Each step is predicted in check mode, refused where it needs a permission that is not
given, made, and found to be done; what goes over the wire is counted apart from the modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import operations
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance.change_table import (
    FIELDS,
    row,
)

from tests.support import exhaustive
from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Emulator, access_token

PROJECT = "table-project"
NEWEST = f"{m.FAMILY}-v20260918"
OLDER = f"{m.FAMILY}-v20260703"
OTHER_FAMILY = "common-cu129-ubuntu-2204-nvidia-580"
ACCOUNT, OTHER_ACCOUNT = (f"{name}@{PROJECT}.iam.gserviceaccount.com" for name in ("llm", "other"))
T4 = [{"type": "nvidia-tesla-t4", "count": 1}]
Options = dict[str, Any]


GONE = object()  # null, as a person writes it for a label that should go


def with_parts(base: Options, overlay: Options) -> Options:
    """Options over others: dictionaries part by part, all else whole; None leaves one out."""
    merged = dict(base)
    for name, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = with_parts(merged[name], value) if both else value
    given = {name: value for name, value in merged.items() if value is not None}
    return {name: None if value is GONE else value for name, value in given.items()}


DATA: Options = {
    "name": "data",
    "size_gb": 50,
    "type": "hyperdisk-balanced",
    "image": f"{m.IMAGES}/{NEWEST}",
    "device_name": "weights",
    "mode": "READ_WRITE",
    "auto_delete": False,
    "provisioned_iops": 3000,
    "provisioned_throughput": 140,
}
# Between them these name every option, `full` nearly all of them at once.
BASES: dict[str, Options] = {
    "full": {
        "zone": m.ZONE,
        "name": "full",
        "machine_type": "g2-standard-8",
        "boot_disk": {
            "image_project": m.IMAGES,
            "image_family": m.FAMILY,
            "size_gb": 100,
            "type": "hyperdisk-balanced",
            "provisioned_iops": 3000,
            "provisioned_throughput": 140,
            "auto_delete": True,
        },
        "disks": [DATA],
        "network": "default",
        "subnetwork": "default",
        "address": "first",
        "tags": ["llm-server"],
        "labels": {"owner": "tests"},
        "metadata": {"enable-guest-attributes": "TRUE"},
        "service_account": {"email": ACCOUNT, "scopes": ["logging.write"]},
        "shielded": {"secure_boot": False, "vtpm": True, "integrity_monitoring": True},
        "scheduling": {
            "provisioning_model": "STANDARD",
            "max_run_duration": 86400,
            "instance_termination_action": "STOP",
            "automatic_restart": False,
        },
        "reservation_affinity": {"type": "any"},
        "resource_policies": ["nights"],
        "deletion_protection": False,
    },
    "plain": {
        "zone": m.ZONE,
        "name": "plain",
        "machine_type": "n1-standard-8",
        "accelerators": [],
        "boot_disk": {"image": NEWEST, "image_project": m.IMAGES, "type": "pd-balanced"},
        "external_ip": True,
        "scheduling": {"on_host_maintenance": "MIGRATE"},
    },
    # Local SSDs come with it.
    "ssds": {
        "zone": m.ZONE,
        "name": "ssds",
        "machine_type": "a2-ultragpu-1g",
        "boot_disk": {"image": NEWEST, "image_project": m.IMAGES},
        "scheduling": {"max_run_duration": 86400, "instance_termination_action": "STOP"},
        "discard_local_ssd": True,
    },
}


def data_disk(**changes: Any) -> Options:
    return {"disks": [{**DATA, **changes}]}


def disk(name: str, **given: Any) -> Options:
    return {"disks": [DATA, {"name": name, **given}]}


def scheduling(**given: Any) -> Options:
    """The whole of that option, not over the base's."""
    left_out = dict.fromkeys(BASES["full"]["scheduling"])
    return {"scheduling": {**left_out, **given}}


Step = tuple[Options, dict[str, str] | str]
BACK: Options = {}


@dataclass(frozen=True)
class Row:
    """Steps from the base and back.

    Attributes:
        field: of the table in instance_table.py.
        steps: options over the base's, and what changes how; `fixed` where it is refused.
    """

    base: str
    field: str
    steps: list[Step] = field(default_factory=list)


def simple(base: str, name: str, how: str, overlay: Options) -> Row:
    return Row(base, row(name), [(overlay, {name: how}), (BACK, {name: how})])


NO_SPEED = {"provisioned_iops": None, "provisioned_throughput": None}
ATTACHED = {f"disks.more.{o}": "live" for o in ("attached", "size_gb", "type", "device_name",
                                                 "mode", "auto_delete")}  # fmt: skip
ADDRESS_RECORD = "metadata.gce-vllm-address"
MODEL, LIMIT, ACTION, HOST, RESTART = (
    f"scheduling.{name}"
    for name in (
        "provisioning_model",
        "max_run_duration",
        "instance_termination_action",
        "on_host_maintenance",
        "automatic_restart",
    )
)
TABLE = [
    simple("full", "machine_type", "stop", {"machine_type": "g2-standard-12"}),
    simple("ssds", "machine_type", "recreate", {"machine_type": "a2-ultragpu-2g"}),
    simple("ssds", "discard_local_ssd", "stop", {"discard_local_ssd": False}),
    Row("ssds", "scheduling.max_run_duration", [
        ({"scheduling": {"max_run_duration": 3600}}, {LIMIT: "stop"}),
        ({"scheduling": {"max_run_duration": 0, "instance_termination_action": None}},
         {LIMIT: "stop", ACTION: "stop"}),
        (BACK, {LIMIT: "stop", ACTION: "stop", "discard_local_ssd": "stop"}),
    ]),
    Row("ssds", ACTION, [
        ({"scheduling": {"instance_termination_action": "DELETE"}}, {ACTION: "stop"}),
        (BACK, {ACTION: "stop", "discard_local_ssd": "stop"}),
    ]),
    Row("plain", "accelerators", [
        ({"accelerators": T4, "scheduling": {"on_host_maintenance": "TERMINATE"}},
         {"accelerators": "stop", HOST: "stop"}),
        (BACK, {"accelerators": "stop", HOST: "stop"}),
    ]),
    simple("plain", "boot_disk.image", "recreate", {"boot_disk": {"image": OLDER}}),
    simple("full", "boot_disk.image_family", "recreate",
           {"boot_disk": {"image_family": OTHER_FAMILY}}),
    simple("plain", "boot_disk.type", "recreate", {"boot_disk": {"type": "pd-ssd"}}),
    Row("full", "boot_disk.size_gb", [
        ({"boot_disk": {"size_gb": 120}}, {"boot_disk.size_gb": "live"}),
        (BACK, {}),  # a larger one will do
    ]),
    simple("full", "boot_disk.provisioned_iops", "live", {"boot_disk": {"provisioned_iops": 6000}}),
    simple("full", "boot_disk.provisioned_throughput", "live",
           {"boot_disk": {"provisioned_throughput": 200}}),
    simple("full", "boot_disk.auto_delete", "live", {"boot_disk": {"auto_delete": False}}),
    Row("full", "disks.*.attached", [
        (disk("more", size_gb=20), ATTACHED),
        # What is not named is left alone.
        (BACK, {}),
        (disk("more", state="detached"), {"disks.more.attached": "live"}),
    ]),
    Row("full", "disks.*.size_gb", [
        (disk("more", size_gb=20), ATTACHED),
        (disk("more", size_gb=30), {"disks.more.size_gb": "live"}),
        (disk("more", size_gb=20), "fixed"),
        (disk("more", state="detached"), {"disks.more.attached": "live"}),
    ]),
    Row("full", "disks.*.type", [(data_disk(type="pd-ssd", **NO_SPEED), "fixed")]),
    Row("full", "disks.*.image", [(data_disk(image=f"{m.IMAGES}/{OLDER}"), {})]),
    simple("full", "disks.data.device_name", "stop", data_disk(device_name="scratch")),
    simple("full", "disks.data.mode", "stop", data_disk(mode="READ_ONLY")),
    simple("full", "disks.data.auto_delete", "live", data_disk(auto_delete=True)),
    simple("full", "disks.data.provisioned_iops", "live", data_disk(provisioned_iops=5000)),
    simple("full", "disks.data.provisioned_throughput", "live",
           data_disk(provisioned_throughput=200)),
    Row("full", "network", [
        ({"network": "other", "subnetwork": "other"},
         {"network": "recreate", "subnetwork": "recreate"}),
        (BACK, {"network": "recreate", "subnetwork": "recreate"}),
    ]),
    simple("full", "subnetwork", "recreate", {"subnetwork": "second"}),
    simple("plain", "external_ip", "live", {"external_ip": False}),
    # With the record by which the next run knows the address that it has.
    Row("full", "address", [
        ({"address": "second"}, {"address": "live", ADDRESS_RECORD: "live"}),
        (BACK, {"address": "live", ADDRESS_RECORD: "live"}),
    ]),
    Row("full", "tags.*", [
        ({"tags": ["llm-server", "http"]}, {"tags.http": "live"}),
        (BACK, {}),
        ({"absent_tags": ["http"]}, {"tags.http": "live"}),
    ]),
    Row("full", "labels.*", [
        ({"labels": {"owner": "others", "team": "search"}},
         {"labels.owner": "live", "labels.team": "live"}),
        ({"labels": {"team": GONE}}, {"labels.owner": "live", "labels.team": "live"}),
    ]),
    simple("full", "metadata.enable-guest-attributes", "live",
           {"metadata": {"enable-guest-attributes": "FALSE"}}),
    Row("full", "service_account.email", [
        ({"service_account": {"email": OTHER_ACCOUNT}}, {"service_account.email": "stop"}),
        ({"service_account": {"email": "", "scopes": None}},
         {"service_account.email": "stop", "service_account.scopes": "stop"}),
        (BACK, {"service_account.email": "stop", "service_account.scopes": "stop"}),
    ]),
    simple("full", "service_account.scopes", "stop",
           {"service_account": {"scopes": ["cloud-platform"]}}),
    simple("full", "shielded.secure_boot", "stop", {"shielded": {"secure_boot": True}}),
    simple("full", "shielded.vtpm", "stop", {"shielded": {"vtpm": False}}),
    simple("full", "shielded.integrity_monitoring", "stop",
           {"shielded": {"integrity_monitoring": False}}),
    Row("full", MODEL, [
        (scheduling(provisioning_model="SPOT"), {MODEL: "recreate"}),
        (scheduling(provisioning_model="FLEX_START", max_run_duration=604800)
         | {"reservation_affinity": {"type": "none"}},
         {MODEL: "recreate", LIMIT: "stop", "reservation_affinity": "stop"}),
        (BACK, {MODEL: "recreate", LIMIT: "stop", "reservation_affinity": "recreate"}),
    ]),
    simple("full", LIMIT, "stop", {"scheduling": {"max_run_duration": 3600}}),
    Row("plain", LIMIT, [
        ({"scheduling": {"max_run_duration": 3600}}, {LIMIT: "stop", ACTION: "stop"}),
        ({"scheduling": {"max_run_duration": 0}}, {LIMIT: "stop", ACTION: "stop"}),
        (BACK, {}),
    ]),
    simple("full", ACTION, "stop", {"scheduling": {"instance_termination_action": "DELETE"}}),
    simple("plain", HOST, "stop", {"scheduling": {"on_host_maintenance": "TERMINATE"}}),
    simple("full", RESTART, "stop", {"scheduling": {"automatic_restart": True}}),
    Row("full", "reservation_affinity", [
        ({"reservation_affinity": {"type": "none"}}, {"reservation_affinity": "stop"}),
        ({"reservation_affinity": {"type": "specific", "reservations": ["mine"]}},
         {"reservation_affinity": "recreate"}),
        (BACK, {"reservation_affinity": "recreate"}),
    ]),
    Row("full", "resource_policies", [
        ({"resource_policies": ["weekends"]}, {"resource_policies": "live"}),
        ({"resource_policies": []}, {"resource_policies": "live"}),
        (BACK, {"resource_policies": "live"}),
    ]),
    simple("full", "deletion_protection", "live", {"deletion_protection": True}),
]  # fmt: skip


class Site(m.Cloud):
    """One project for the whole table."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        # Tokens are none of what is counted here.
        self.options = {
            "project": PROJECT,
            "endpoint": emulator.endpoint,
            "access_token": access_token(emulator),
        }
        self.sent: list[tuple[str, str]] = []
        self.made: dict[str, m.Json] = {}

    def api(self) -> Any:
        from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import (
            client as gce_client,
        )

        return gce_client.GceClient(gce_client.Settings(**self.options))

    def watched(self, *, mutates: bool, check: bool = False, **options: Any) -> m.Json:
        """Run the module; that it changes something is seen from what it sends."""
        self.sent.clear()
        result = self.run("gce_instance", check, **options)
        changing = [one for one in self.sent if one[0] != "GET" and not one[1].endswith("/wait")]
        assert bool(changing) == mutates, (changing, result)
        return result

    def step(self, options: Options, expected: dict[str, str] | str, rests: bool = False) -> m.Json:
        """Refused without permission, predicted, made, and then nothing left to do.

        Args:
            rests: whether it is to be stopped in the end.
        """
        permit = {"allow_stop": True, "allow_recreate": True}
        if expected == "fixed":
            for check in (True, False):
                failed = self.watched(mutates=False, check=check, **options, **permit)
                assert failed["reason"] == "fixedDisk", failed
            return failed
        assert isinstance(expected, dict)
        if set(expected.values()) & ({"recreate"} if rests else {"stop", "recreate"}):
            self._refused(options, expected)
        predicted = self.watched(mutates=False, check=True, **options, **permit)
        assert not predicted.get("failed"), predicted["msg"]
        made = self.watched(mutates=bool(expected), **options, **permit)
        assert not made.get("failed"), made["msg"]
        for part in ("changed", "changes", "diff"):
            assert made[part] == predicted[part], part
        assert {one["field"]: one["how"] for one in made["changes"]} == expected
        again = self.watched(mutates=False, **options)
        assert again["changed"] is False, again
        assert again["instance"] == made["instance"]
        assert again["instance"]["status"] == ("TERMINATED" if rests else "RUNNING")
        return made

    def drop_loose_disks(self) -> None:
        """So that a disk of the name is a new one again."""
        with self.api() as api:
            for one in self.stored("disks"):
                if not one.get("users"):
                    path = f"{api.root}/zones/{m.ZONE}/disks/{one['name']}"
                    operations.remove(api, path, "delete a disk")

    def stored(self, collection: str) -> list[m.Json]:
        found: list[m.Json] = self.admin("GET", "state")["projects"][PROJECT][collection]
        return found

    def power(self, base: str, state: str) -> None:
        """Switch it, and no other field."""
        options = {name: BASES[base][name] for name in ("zone", "name")}
        result = self.run("gce_instance", **options, state=state)
        assert not result.get("failed"), result["msg"]

    def _refused(self, options: Options, expected: dict[str, str]) -> None:
        for check in (True, False):
            failed = self.watched(mutates=False, check=check, **options)
            assert failed["reason"] == "notAllowed", failed
            worst = "recreate" if "recreate" in expected.values() else "stop"
            assert failed["blocked"] == sorted(f for f, how in expected.items() if how == worst)
            assert f"allow_{worst}: true" in failed["msg"]
            for one in failed["changes"]:
                if one["field"] in failed["blocked"]:
                    was = "not set" if one["from"] is None else one["from"]
                    will = "not set" if one["to"] is None else one["to"]
                    assert f"{one['field']} is {was} and should be {will}" in failed["msg"]


@pytest.fixture(scope="module")
def site(emulator_process: Emulator) -> Iterator[Site]:
    """A project with what the table names, and the two instances that it changes."""
    emulator_process.admin("PUT", f"projects/{PROJECT}")
    limits = f"projects/{PROJECT}/regions/{m.REGION}/quotas"
    emulator_process.admin("PUT", f"{limits}/NVIDIA_A100_80GB_GPUS", {"limit": 2})
    cloud = Site(emulator_process)
    with cloud.api() as api:
        region = f"{api.root}/regions/{m.REGION}"
        network = {"name": "other", "autoCreateSubnetworks": True}
        api.post(f"{api.root}/global/networks", "make a network", network)
        second = {
            "name": "second",
            "network": f"{api.root}/global/networks/default",
            "ipCidrRange": "10.10.0.0/20",
        }
        api.post(f"{region}/subnetworks", "make a subnetwork", second)
        for name in ("first", "second"):
            api.post(f"{region}/addresses", "reserve", {"name": name})
        for name in ("nights", "weekends"):
            times = {"vmStopSchedule": {"schedule": "0 20 * * *"}, "timeZone": "Europe/Berlin"}
            policy = {"name": name, "instanceSchedulePolicy": times}
            api.post(f"{region}/resourcePolicies", "make a schedule", policy)
    patch = pytest.MonkeyPatch()
    send = requests.Session.send

    def noted(session: Any, request: Any, **rest: Any) -> Any:
        if "/compute/v1/" in request.url:
            cloud.sent.append((request.method, request.path_url.split("?")[0]))
        return send(session, request, **rest)

    patch.setattr(requests.Session, "send", noted)
    for name, options in BASES.items():
        cloud.made[name] = cloud.step(options, {"instance": "create"})
    yield cloud
    patch.undo()


def test_creation_knows_every_field(site: Site) -> None:
    """What was named when they were made is in the result's diff, as it was predicted."""
    known = {row(one) for made in site.made.values() for one in made["diff"]["after"]}
    assert set(FIELDS) <= known


def test_table_has_every_field() -> None:
    assert set(FIELDS) == {one.field for one in TABLE}


@pytest.mark.parametrize("change", TABLE, ids=lambda one: f"{one.field}-{one.base}")
def test_transitions(site: Site, change: Row) -> None:
    base = BASES[change.base]
    for overlay, expected in change.steps:
        site.step(with_parts(base, overlay), expected)
    # All rows lead back.
    site.step(base, {})
    site.drop_loose_disks()


@pytest.mark.parametrize("was", ["running", "stopped"])
@pytest.mark.parametrize(
    "change", exhaustive.part("to be stopped", TABLE, 3), ids=lambda one: f"{one.field}-{one.base}"
)
def test_transitions_of_one_that_is_to_be_stopped(site: Site, change: Row, was: str) -> None:
    base = BASES[change.base]
    for overlay, expected in change.steps:
        site.power(change.base, "present" if was == "running" else "stopped")
        goes_down = isinstance(expected, dict) and was == "running"
        found = {**expected, "status": "live"} if goes_down else expected
        site.step({**with_parts(base, overlay), "state": "stopped"}, found, rests=True)
    site.power(change.base, "present")
    # Nothing but the switch differs from the base.
    site.step(base, {})
    site.drop_loose_disks()


def test_run_without_a_change_is_cheap(site: Site) -> None:
    """With every option set; the address by its name and by its IP."""
    result = site.watched(mutates=False, **BASES["full"])
    assert len(site.sent) <= 3, site.sent
    ip = result["addresses"]["external"]
    site.watched(mutates=False, **{**BASES["full"], "address": ip})
    assert len(site.sent) <= 3, site.sent


def test_address_of_another_name_is_asked_for(site: Site) -> None:
    """What was recorded counts for the name and the IP that it was recorded with only."""
    failed = site.watched(mutates=False, **{**BASES["full"], "address": "nowhere"})
    assert failed["reason"] == "addressNotFound"
