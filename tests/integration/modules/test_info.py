# SPDX-License-Identifier: Apache-2.0
"""What the reading modules say, above all where what is asked for does not exist."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.filter.start_placements import start_placements
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    guest_attributes,
)

from tests.support import modules_fixtures as m


def plan(cloud: m.Cloud, **options: Any) -> dict[str, Any]:
    return cloud.ok("gce_machine_type_info", **{"zone": m.ZONE, **options})


def test_bundled_gpus_quota_and_price(cloud: m.Cloud) -> None:
    found = plan(
        cloud, machine_type="g2-standard-8", boot_disk_size_gb=100, external_ip=True, count=2
    )
    assert found["gpus"] == [{"type": "nvidia-l4", "count": 1}]
    assert found["quota_needs"] == {
        "NVIDIA_L4_GPUS": 2,
        "GPUS_ALL_REGIONS": 2,
        "SSD_TOTAL_GB": 200,
        "IN_USE_ADDRESSES": 2,
        "INSTANCES": 2,
    }
    assert found["price"]["hourly"] == pytest.approx(0.8723)
    assert found["changed"] is False


def test_quota_beside_what_the_instance_has_taken(cloud: m.Cloud) -> None:
    name, more = m.new_name("llm"), {"name": m.new_name("data"), "size_gb": 20}
    cloud.ok("gce_instance", **m.machine(name, disks=[more]))
    resized = {
        "machine_type": "g2-standard-48",
        "boot_disk_size_gb": 150,
        "more_disks": [more, {"name": "new", "size_gb": 10}],
        "external_ip": True,
    }
    added = {"SSD_TOTAL_GB": 60, "INSTANCES": 0}
    found = plan(cloud, **resized)
    assert found["quota_to_add"] == found["quota_needs"]
    found = plan(cloud, instance=name, **resized)
    gpus = {"NVIDIA_L4_GPUS": 3, "GPUS_ALL_REGIONS": 3}
    assert found["quota_to_add"] == {**gpus, "IN_USE_ADDRESSES": 0, **added}
    # A smaller one needs nothing more, and what it would give back is not counted.
    smaller = {**resized, "machine_type": "g2-standard-4", "boot_disk_size_gb": 50}
    found = plan(cloud, instance=name, **smaller)
    assert set(found["quota_to_add"].values()) == {0}
    elsewhere = {"zone": "us-east1-c", "instance": name, "instance_zone": m.ZONE}
    found = plan(cloud, **{**resized, **elsewhere})
    assert found["quota_to_add"] == found["quota_needs"] | {"GPUS_ALL_REGIONS": 3}
    cloud.ok("gce_instance", zone=m.ZONE, name=name, state="stopped")
    found = plan(cloud, instance=name, **resized)
    gpus = {"NVIDIA_L4_GPUS": 4, "GPUS_ALL_REGIONS": 4}
    assert found["quota_to_add"] == {**gpus, "IN_USE_ADDRESSES": 1, **added}
    # A disk that is there already is not counted again, with or without an instance.
    cloud.ok("gce_instance", zone=m.ZONE, name=name, state="absent")
    found = plan(cloud, instance=name, **resized)
    assert found["quota_to_add"]["SSD_TOTAL_GB"] == found["quota_needs"]["SSD_TOTAL_GB"] - 20


@pytest.mark.parametrize("model", ["SPOT", "FLEX_START"])
def test_what_is_not_standard_draws_on_the_preemptible_quota(cloud: m.Cloud, model: str) -> None:
    name = m.new_name("llm")
    needs = plan(cloud, machine_type="g2-standard-8", provisioning_model=model)["quota_needs"]
    assert needs["PREEMPTIBLE_NVIDIA_L4_GPUS"] == 1 and "NVIDIA_L4_GPUS" not in needs
    seconds = {"max_run_duration": 7200} if model == "FLEX_START" else {}
    cloud.ok("gce_instance", **m.machine(name, scheduling={"provisioning_model": model, **seconds}))
    rows = cloud.ok("gce_quota_info", region=m.REGION)["quotas"]
    used = {row["metric"]: row["usage"] for row in rows}
    assert (used["PREEMPTIBLE_NVIDIA_L4_GPUS"], used["NVIDIA_L4_GPUS"]) == (1, 0)
    found = plan(cloud, machine_type="g2-standard-8", provisioning_model=model, instance=name)
    assert found["quota_to_add"]["PREEMPTIBLE_NVIDIA_L4_GPUS"] == 0


def test_disks_have_a_metric_of_their_type(cloud: m.Cloud) -> None:
    types = {"balanced": "HDB", "extreme": "HDX", "ml": "HDML", "throughput": "HDT"}
    disks = [{"size_gb": 10, "type": f"hyperdisk-{one}"} for one in types]
    needs = plan(cloud, machine_type="g2-standard-8", more_disks=disks)["quota_needs"]
    assert {one: n for one, n in needs.items() if one.endswith("_TOTAL_GB")} == {
        f"{one}_TOTAL_GB": 10 for one in types.values()
    }


def test_attached_gpus_on_spot_draw_on_the_preemptible_quota(cloud: m.Cloud) -> None:
    found = plan(
        cloud,
        machine_type="n1-standard-8",
        accelerator_type="nvidia-tesla-t4",
        accelerator_count=2,
        provisioning_model="SPOT",
    )
    assert found["gpus"] == [{"type": "nvidia-tesla-t4", "count": 2}]
    assert found["quota_needs"]["PREEMPTIBLE_NVIDIA_T4_GPUS"] == 2
    assert found["quota_needs"]["PREEMPTIBLE_CPUS"] == 8
    assert found["price"]["hourly"] == pytest.approx(8 * 0.0130025 + 2 * 0.14, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "reason", "words"),
    [
        (
            {"zone": "us-centrall-a", "machine_type": "g2-standard-8"},
            "zoneNotFound",
            ["us-centrall-a", "us-central1-a", "gcloud compute zones list"],
        ),
        (
            {"zone": "us-central1-q", "machine_type": "g2-standard-8"},
            "zoneNotFound",
            ["Region us-central1 has us-central1-a, us-central1-ai1a"],
        ),
        (
            {"machine_type": "g2-standard-7"},
            "machineTypeNotFound",
            ["Did you mean g2-standard-4 or g2-standard-8", "a2-highgpu-1g", "g2-standard-96"],
        ),
        (
            {"machine_type": "n1-standard-8", "accelerator_type": "nvidia-t4"},
            "acceleratorNotFound",
            ["Did you mean nvidia-tesla-t4", "nvidia-l4"],
        ),
        (
            {"machine_type": "n1-standard-8", "accelerator_type": "nvidia-l4"},
            "badCombination",
            ["n1-standard-8", "nvidia-l4", "g2-standard-4"],
        ),
        (
            {"machine_type": "g2-standard-8", "accelerator_type": "nvidia-tesla-t4"},
            "badCombination",
            ["comes with 1 x nvidia-l4", "an n1 machine type"],
        ),
        (
            {
                "machine_type": "g2-standard-8",
                "accelerator_type": "nvidia-l4",
                "accelerator_count": 2,
            },
            "badCombination",
            ["comes with 1 x nvidia-l4", "g2-standard-24"],
        ),
        (
            {
                "machine_type": "n1-standard-64",
                "accelerator_type": "nvidia-tesla-t4",
                "accelerator_count": 2,
            },
            "badCombination",
            ["64 vCPUs", "at most 48"],
        ),
        (
            {
                "machine_type": "n1-standard-8",
                "accelerator_type": "nvidia-tesla-t4",
                "accelerator_count": 3,
            },
            "badCombination",
            ["1, 2 or 4"],
        ),
    ],
)
def test_what_can_not_be_had_is_named_with_what_can(
    cloud: m.Cloud, options: dict[str, Any], reason: str, words: list[str]
) -> None:
    for check in (True, False):
        failed = cloud.fails("gce_machine_type_info", check=check, **{"zone": m.ZONE, **options})
        assert failed["reason"] == reason
        assert "Next: " in failed["msg"]
        for word in words:
            assert word in failed["msg"]


def test_machine_type_that_other_zones_have(cloud: m.Cloud) -> None:
    """Some zone lacks some bundled type that the table knows."""
    zones = {one["zone"] for one in _lacking(cloud, "a3-megagpu-8g")}
    assert zones, "the emulator's catalog has it everywhere"
    failed = cloud.fails(
        "gce_machine_type_info", zone=sorted(zones)[0], machine_type="a3-megagpu-8g"
    )
    assert "this zone does not have it" in failed["msg"]


def _lacking(cloud: m.Cloud, machine_type: str) -> list[dict[str, str]]:
    with cloud.api() as api:
        zones = [one["name"] for one in api.list(f"{api.root}/zones", "list zones")]
        return [
            {"zone": zone}
            for zone in zones
            if api.find(f"{api.root}/zones/{zone}/machineTypes/{machine_type}", "look") is None
        ]


def test_image_of_a_family(cloud: m.Cloud) -> None:
    found = cloud.ok("gce_image_info", image_project=m.IMAGES, family=m.FAMILY)
    assert found["image"]["family"] == m.FAMILY
    name = found["image"]["name"]
    assert cloud.ok("gce_image_info", image_project=m.IMAGES, name=name)["image"]["name"] == name


def test_newest_image_of_a_pattern(cloud: m.Cloud) -> None:
    family = cloud.ok("gce_image_info", image_project=m.IMAGES, family=m.FAMILY)
    pattern = m.FAMILY.replace("cu129", "cu*") + "-*"
    found = cloud.ok("gce_image_info", image_project=m.IMAGES, name_pattern=pattern)
    assert found["image"] == family["image"]
    assert found["id"] == found["image"]["id"]
    # One that is deprecated is read by its name, with a word about its successor.
    old = f"{m.FAMILY}-v20260212"
    named = cloud.ok("gce_image_info", image_project=m.IMAGES, name=old)
    said = f"The image {old} is deprecated, its successor is {found['image']['name']}."
    assert said in str(named["warnings"])
    for wrong, words in (
        (f"{m.FAMILY}-v202602*", f"its successor is {found['image']['name']}"),
        (m.FAMILY.replace("cu129", "cu999") + "-v*", "Did you mean"),
    ):
        failed = cloud.fails("gce_image_info", image_project=m.IMAGES, name_pattern=wrong)
        assert failed["reason"] == "imageNotFound"
        assert words in failed["msg"]
        assert wrong in failed["msg"]


def test_vanished_family_names_those_that_exist(cloud: m.Cloud) -> None:
    gone = "pytorch-2-7-cu128-ubuntu-2204-nvidia-570"
    failed = cloud.fails("gce_image_info", image_project=m.IMAGES, family=gone)
    assert gone in failed["msg"]
    assert failed["closest"][0] == "pytorch-2-9-cu129-ubuntu-2204-nvidia-580"
    assert m.FAMILY in failed["families"]
    assert failed["families"][0] in failed["msg"]
    newest = failed["newest"][failed["closest"][0]]
    assert newest.startswith(failed["closest"][0])
    assert f"{failed['closest'][0]} (newest image {newest})" in failed["msg"]
    # The instance module fails with the same words before it makes anything.
    name = m.new_name("llm")
    boot = {"image_project": m.IMAGES, "image_family": gone}
    for check in (True, False):
        same = cloud.fails("gce_instance", check=check, **m.machine(name, boot_disk=boot))
        assert same["msg"] == failed["msg"]
    assert cloud.stored("instances") == []


def test_family_of_deprecated_images_names_what_google_says_replaces_them(cloud: m.Cloud) -> None:
    # None of the families that are nearest by name.
    heir = "common-cu129-ubuntu-2204-nvidia-580-v20260918"
    of = "pytorch-2-9-cu129-ubuntu-2404-nvidia-580"
    name = m.new_name("llm")
    boot = {"image_project": m.IMAGES, "image_family": of}
    cloud.ok("gce_instance", **m.machine(name, boot_disk=boot))
    state = {"state": "DEPRECATED", "replacement": heir}
    cloud.admin("PUT", f"images/{m.IMAGES}/{of}", state)
    failed = cloud.fails("gce_image_info", image_project=m.IMAGES, family=of)
    said = f"Every image of the family {of} of project {m.IMAGES} is deprecated. Google names as"
    assert failed["msg"].startswith(f"{said} successor: {heir} (family {heir[:-10]}).")
    assert failed["successors"] == [heir]
    assert failed["closest"][0] == heir[:-10]
    # One that runs goes on, and hears of it.
    seen = cloud.ok("gce_instance", **m.machine(name, boot_disk=boot))
    assert seen["changed"] is False
    assert heir in str(seen["warnings"])

    cloud.admin("PUT", f"images/{m.IMAGES}/{of}", {"state": "GONE"})
    optional = {"image_project": m.IMAGES, "family": of, "required": False}
    missing = cloud.ok("gce_image_info", **optional)
    assert missing["image"] is None
    assert f"has no image family {of}" in str(missing["warnings"])
    assert cloud.fails("gce_image_info", **optional | {"image_project": "no-such"})


def test_successors_of_successors_are_followed() -> None:
    from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import images

    def one(name: str, day: int, heir: str = "") -> m.Json:
        state = {"state": "DEPRECATED", "replacement": f"https://x/images/{heir}"} if heir else {}
        return {"name": name, "creationTimestamp": f"2026-01-0{day}", "deprecated": state}

    old, older = one("old", 2, "middle"), one("older", 1, "old")
    known = [older, old, one("middle", 3, "new"), one("new", 4)]
    assert images.successors([older, old], known) == ["new"]
    ring = [one("a", 1, "b"), one("b", 2, "a")]
    assert images.successors(ring, ring) == []
    assert images.successors([one("a", 1, "elsewhere")], []) == ["elsewhere"]


def test_image_project_and_image_that_are_none(cloud: m.Cloud) -> None:
    failed = cloud.fails("gce_image_info", image_project="deeplearning-platform", family=m.FAMILY)
    assert "deeplearning-platform-release" in failed["msg"]
    failed = cloud.fails("gce_image_info", image_project=m.IMAGES, name=f"{m.FAMILY}-v2")
    assert failed["reason"] == "imageNotFound"
    assert any(one.startswith(m.FAMILY) for one in failed["closest"])


def test_quota_exceeded_at_creation_says_what_to_do(cloud: m.Cloud) -> None:
    project = cloud.emulator.project
    cloud.admin("PUT", f"projects/{project}/regions/{m.REGION}/quotas/NVIDIA_L4_GPUS", {"limit": 0})
    failed = cloud.fails("gce_instance", **m.machine(m.new_name("llm")))
    assert failed["reason"] in ("QUOTA_EXCEEDED", "quotaExceeded")
    assert f"iam-admin/quotas?project={project}" in failed["msg"]
    assert cloud.stored("instances") == []


def test_stock_out_says_what_to_do(cloud: m.Cloud) -> None:
    cloud.admin("PUT", "stockouts", {"zone": m.ZONE, "machine_type": "g2-standard-8"})
    failed = cloud.fails("gce_instance", **m.machine(m.new_name("llm")))
    assert failed["reason"].startswith("ZONE_RESOURCE_POOL_EXHAUSTED")
    assert "another zone" in failed["msg"]


def test_host_keys(cloud: m.Cloud) -> None:
    name = m.new_name("llm")
    cloud.ok("gce_instance", **m.machine(name))
    found = cloud.ok("gce_guest_attributes_info", zone=m.ZONE, name=name, wait=10)
    assert found["attributes"]["hostkeys"]["ssh-ed25519"].startswith("AAAA")


def test_host_keys_that_are_none(cloud: m.Cloud) -> None:
    name = m.new_name("llm")
    cloud.ok("gce_instance", **m.machine(name))
    asked = {"zone": m.ZONE, "name": name}
    good = cloud.ok("gce_guest_attributes_info", **asked, wait=10)["attributes"]["hostkeys"]
    where = f"projects/{cloud.emulator.project}/zones/{m.ZONE}/instances/{name}/guest-attributes"
    bad = {"ssh-ed25519": f"{good['ssh-ed25519']}\n* ssh-ed25519 {good['ssh-ed25519']}"}
    for kind, value in (bad | {"ssh-rsa": good["ssh-ed25519"], "*": "x"}).items():
        cloud.admin("PUT", f"{where}/hostkeys/{kind}", {"value": value})
        for path in ("hostkeys/", f"hostkeys/{kind}"):
            refused = cloud.fails("gce_guest_attributes_info", **asked, query_path=path, wait=60)
            assert refused["reason"] == "malformedHostKey"
            assert f"'{kind}' that is none" in refused["msg"]
        cloud.admin("PUT", f"{where}/hostkeys/{kind}", {"value": good.get(kind)})
    assert cloud.ok("gce_guest_attributes_info", **asked)["attributes"]["hostkeys"] == good
    # Other namespaces may hold anything: nobody believes them.
    cloud.admin("PUT", f"{where}/own/note", {"value": "a\nb"})
    found = cloud.ok("gce_guest_attributes_info", **asked, query_path="own/")
    assert found["attributes"] == {"own": {"note": "a\nb"}}


def test_known_host(cloud: m.Cloud, tmp_path: Path) -> None:
    name = m.new_name("llm")
    made = cloud.ok("gce_instance", **m.machine(name))
    keys = cloud.ok("gce_guest_attributes_info", zone=m.ZONE, name=name, wait=10)["attributes"]
    file = tmp_path / "known_hosts"
    key = keys["hostkeys"]["ssh-ed25519"]
    poisoned = f"203.0.113.1 ssh-ed25519 {key}\n* ssh-ed25519 {key}\n"
    file.write_bytes(poisoned.encode() + b"\xff\n")
    options = {
        "path": str(file),
        "hosts": ["203.0.113.1"],
        "keys": keys["hostkeys"],
        "owner": f"{cloud.emulator.project}/{name}",
        "instance_id": made["instance"]["id"],
    }

    def run(check: bool = False, **changes: Any) -> dict[str, Any]:
        cloud.options = {}
        return cloud.run("known_host", check, **(options | changes))

    planned = run(check=True)
    assert planned["changed"] and file.read_bytes().startswith(poisoned.encode())
    done = run()
    assert {**done, "warnings": 0} == {**planned, "warnings": 0}
    assert done["foreign"] == ["203.0.113.1", "*", "\ufffd"]
    assert "(203.0.113.1, *, " in str(done["warnings"]) and "start.yml" in str(done["warnings"])
    text = file.read_text(encoding="utf-8")
    assert done["diff"]["after"] == text
    assert (
        text
        == f"203.0.113.1 ssh-ed25519 {key} gce-vllm:{options['owner']}/{options['instance_id']}\n"
    )
    assert file.stat().st_mode & 0o022 == 0
    assert not run()["changed"]
    # OpenSSH reads it.
    found = subprocess.run(
        ["ssh-keygen", "-F", "203.0.113.1", "-f", str(file)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert key in found.stdout

    for refused, says in (
        (run(hosts=["*"]), "'*', which is neither"),
        (run(hosts=[]), "at least one each"),
        (run(keys={"ssh-ed25519": key + "\n"}), "not one word of base64"),
        (run(instance_id="x"), "is a number"),
        (run(owner="a b/c"), "PROJECT/NAME"),
    ):
        assert refused["failed"] and says in refused["msg"]
    assert file.read_text(encoding="utf-8") == text


def test_host_keys_that_can_not_come(cloud: m.Cloud) -> None:
    name = m.new_name("llm")
    missing = cloud.fails("gce_guest_attributes_info", zone=m.ZONE, name=name)
    assert missing["reason"] == "instanceNotFound"
    cloud.ok("gce_instance", **m.machine(name, metadata={"enable-guest-attributes": "FALSE"}))
    forbidden = cloud.fails("gce_guest_attributes_info", zone=m.ZONE, name=name, wait=60)
    assert "enable-guest-attributes" in forbidden["msg"]
    nothing = m.new_name("llm")
    cloud.ok("gce_instance", **m.machine(nothing))
    empty = cloud.fails(
        "gce_guest_attributes_info", zone=m.ZONE, name=nothing, query_path="nothing/", wait=1
    )
    assert "nothing/" in empty["msg"]


def test_an_adopted_instance_that_made_its_host_keys_before(
    cloud: m.Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others made it; the role then switches guest attributes on, which is too late."""
    name = m.new_name("llm")
    cloud.ok("gce_instance", **m.machine(name, metadata={"owner": "others"}))
    cloud.ok("gce_instance", **m.machine(name))
    monkeypatch.setattr(guest_attributes, "_BOOTS_S", -1)  # as if it had started long ago
    monkeypatch.setattr(guest_attributes, "_LATE_S", 1)
    for wait in (0, 300):
        found = cloud.fails("gce_guest_attributes_info", zone=m.ZONE, name=name, wait=wait)
        assert found["reason"] == "hostKeysNotPublished"
        assert "instance/guest-attributes/hostkeys/ssh-ed25519" in found["remedy"]
        assert "A restart does not help" in found["remedy"]


def test_instance_info(cloud: m.Cloud) -> None:
    name = m.new_name("llm")
    none = cloud.ok("gce_instance_info", zone=m.ZONE, name=name)
    assert none["instance"] is None
    made = cloud.ok("gce_instance", **m.machine(name))
    found = cloud.ok("gce_instance_info", zone=m.ZONE, name=name)
    assert found["instance"] == made["instance"]
    assert found["addresses"] == made["addresses"]
    other = cloud.ok("gce_instance_info", zone="us-central1-b", name=name)
    assert (other["instance"], other["other_zones"]) == (None, [m.ZONE])
    [there] = other["others"]
    assert (there["zone"], there["status"], there["labels"]) == (
        *(m.ZONE, "RUNNING"),
        {"owner": "tests"},
    )
    # As much as start.yml needs to try it where it is, before any other place.
    assert start_placements([], there)[0]["machine_type"] == m.machine(name)["machine_type"]
    several = cloud.ok("gce_instance_info", zones=["us-central1-b", m.ZONE], name=name)
    assert (several["zone"], several["instance"]) == (m.ZONE, made["instance"])
    assert several["others"] == []
    wrong = cloud.fails("gce_instance_info", zone="us-central1-q", name=name)
    assert wrong["reason"] == "zoneNotFound"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"machine_type": None}, ["does not exist", "machine_type"]),
        ({"boot_disk": None}, ["does not exist", "boot_disk.image_family"]),
        ({"accelerators": [{"type": "nvidia-tesla-t4"}]}, ["comes with 1 x nvidia-l4"]),
        ({"zone": "us-central1-q"}, ["There is no zone us-central1-q", "us-central1-a"]),
        ({"machine_type": "g2-standard-9"}, ["g2-standard-9"]),
        ({"network": "nowhere"}, ["nowhere"]),
    ],
)
def test_instance_that_can_not_be_made(
    cloud: m.Cloud, changed: dict[str, Any], words: list[str]
) -> None:
    options = m.machine(m.new_name("llm"), **changed)
    failed = cloud.fails("gce_instance", **options)
    for word in words:
        assert word in failed["msg"]
    assert cloud.stored("instances") == []


def test_plan_names_what_is_there(cloud: m.Cloud) -> None:
    places = [{"zone": m.ZONE, "machine_type": "g2-standard-4"}]
    found = cloud.ok(
        "gce_plan_info", places=places, disk_types=["pd-balanced", "pd-ssd"], network="default"
    )
    assert found["network"]["autoCreateSubnetworks"] is True
    named = cloud.ok("gce_plan_info", places=places, network="default", subnetwork="default")
    assert named["network"]["name"] == "default"
    assert cloud.ok("gce_plan_info", places=places)["network"] is None


@pytest.mark.parametrize(
    ("options", "reason", "words"),
    [
        ({"disk_types": ["pd-balance"]}, "diskTypeNotFound", ["pd-balanced", m.ZONE]),
        ({"network": "defalt"}, "networkNotFound", ["Did you mean default"]),
        (
            {"network": "default", "subnetwork": "defaults"},
            "subnetworkNotFound",
            [m.REGION, "Did you mean default"],
        ),
        ({"network": "own"}, "subnetworkNotNamed", ["own-iowa", "gce_instance_subnetwork"]),
        (
            {"places": [{"zone": "us-central1-x", "machine_type": "g2-standard-4"}],
             "disk_types": ["pd-ssd"]},
            "zoneNotFound",
            ["us-central1-a"],
        ),
        (
            {"places": [{"zone": m.ZONE, "machine_type": "a4-highgpu-8g"}],
             "disk_types": ["pd-ssd"]},
            "badCombination",
            ["Hyperdisk only"],
        ),
    ],
)  # fmt: skip
def test_plan_names_what_is_not_there(
    cloud: m.Cloud, options: dict[str, Any], reason: str, words: list[str]
) -> None:
    if options.get("network") == "own":
        cloud.ok("gce_network", name="own")
        cloud.ok("gce_subnetwork", name="own-iowa", network="own", region=m.REGION,
                 range="10.9.0.0/24")  # fmt: skip
    places = [{"zone": m.ZONE, "machine_type": "g2-standard-4"}]
    failed = cloud.fails("gce_plan_info", **{"places": places, **options})
    assert failed["reason"] == reason
    assert all(word in failed["msg"] for word in words), failed["msg"]
