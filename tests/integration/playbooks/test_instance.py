# SPDX-License-Identifier: Apache-2.0
"""Less usual settings of an instance, as operators set them, through site.yml and destroy.yml."""

from __future__ import annotations

from tests.support.exhaustive import only_in_full
from tests.support.modules_fixtures import ZONE
from tests.support.site_fixture import NAME, Site

SITE = ("site", "--tags", "preflight,provision")


def test_settings_reach_the_instance_and_destroy_keeps_its_data(site: Site) -> None:
    account = f"llm@{site.emulator.project}.iam.gserviceaccount.com"
    site.reach_locally()
    site.variables |= {
        "gce_instance_provisioning_model": "FLEX_START",
        "gce_instance_max_run_duration": 7200,
        "gce_instance_termination_action": "DELETE",
        "gce_instance_reservation_affinity": {"type": "none"},
        "gce_instance_extra_disks": [{"name": "weights", "size_gb": 20}],
        "gce_instance_service_account": {"email": account, "scopes": ["logging.write"]},
        "gce_instance_shielded": {"secure_boot": True},
        "gce_instance_deletion_protection": True,
    }
    site.ok(*SITE)
    [made] = site.state()[0]["instances"]
    scheduling = made["scheduling"]
    assert scheduling["provisioningModel"] == "FLEX_START"
    assert scheduling["maxRunDuration"] == {"seconds": "7200"}
    assert scheduling["instanceTerminationAction"] == "DELETE"
    assert made["reservationAffinity"] == {"consumeReservationType": "NO_RESERVATION"}
    assert [disk["deviceName"] for disk in made["disks"][1:]] == ["weights"]
    assert made["serviceAccounts"][0]["email"] == account
    assert made["shieldedInstanceConfig"]["enableSecureBoot"] is True
    metadata = {one["key"]: one["value"] for one in made["metadata"]["items"]}
    # Nobody logs in by a key of the project's, and the host keys are published.
    assert metadata["block-project-ssh-keys"] == metadata["enable-guest-attributes"] == "TRUE"
    site.ok(*SITE, changed=0)

    held = site.play("playbooks/destroy.yml", "-e", f"confirm={NAME}")
    assert held.returncode != 0 and "has deletion protection" in " ".join(held.stdout.split())
    site.variables["gce_instance_deletion_protection"] = False
    said = site.ok("destroy", "-e", f"confirm={NAME}")
    assert "These disks stay and go on costing: weights" in said
    cloud = site.state()[0]
    assert not cloud["instances"]
    assert [disk["name"] for disk in cloud["disks"]] == ["weights"]


@only_in_full
def test_tags_and_disks_that_are_no_longer_desired_go(site: Site) -> None:
    site.variables["gce_instance_extra_disks"] = [{"name": "weights", "size_gb": 20}]
    site.make()
    [made] = site.stored("instances")
    assert made["tags"]["items"] == [NAME]
    path = f"zones/{ZONE}/instances/{NAME}/setTags"
    theirs = {"items": [NAME, "theirs"], "fingerprint": made["tags"]["fingerprint"]}
    site.api.must("POST", path, theirs)
    site.variables |= {
        "gce_network_target_tag": "renamed",
        "gce_instance_extra_disks": [{"name": "weights", "state": "detached"}],
    }
    site.make()
    [after] = site.stored("instances")
    assert after["tags"]["items"] == ["renamed", "theirs"]
    assert len(after["disks"]) == 1
    assert "weights" in [disk["name"] for disk in site.stored("disks")]
    site.make()
    assert site.stored("instances") == [after]
