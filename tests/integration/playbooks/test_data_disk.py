# SPDX-License-Identifier: Apache-2.0
"""One variable gives the weights a disk of their own, which stays when the instance goes."""

from __future__ import annotations

import yaml

from tests.support.emulator_fixture import ROOT
from tests.support.site_fixture import NAME, Site

SITE = ("site", "--tags", "preflight,provision")


def test_one_setting_makes_the_disk_and_a_new_instance_gets_it_again(site: Site) -> None:
    shipped = yaml.safe_load((ROOT / "inventories/gcp/group_vars/all.yml").read_text())
    site.reach_locally()
    site.variables |= {
        "llm_model_disk": {"name": "llm-weights", "size_gb": 20, "type": "pd-ssd"},
        "gce_instance_extra_disks": shipped["gce_instance_extra_disks"],
    }
    site.ok(*SITE)
    [made] = site.stored("instances")
    # By this name the host finds it, as /dev/disk/by-id/google-llm-weights.
    assert [disk["deviceName"] for disk in made["disks"][1:]] == ["llm-weights"]
    [disk] = [one for one in site.stored("disks") if one["name"] == "llm-weights"]
    assert disk["sizeGb"] == "20" and disk["type"].endswith("pd-ssd")
    site.ok(*SITE, changed=0)
    said = site.ok("destroy", "-e", f"confirm={NAME}")
    assert "These disks stay and go on costing: llm-weights" in said
    site.variables["llm_model_disk"]["size_gb"] = 30
    site.ok(*SITE)
    [again] = site.stored("instances")
    assert again["id"] != made["id"] and len(again["disks"]) == 2
    [kept] = [one for one in site.stored("disks") if one["name"] == "llm-weights"]
    assert kept["id"] == disk["id"] and kept["sizeGb"] == "30"


def test_without_it_there_is_no_further_disk(site: Site) -> None:
    shipped = yaml.safe_load((ROOT / "inventories/gcp/group_vars/all.yml").read_text())
    site.reach_locally()
    site.variables["gce_instance_extra_disks"] = shipped["gce_instance_extra_disks"]
    site.ok(*SITE)
    [made] = site.stored("instances")
    assert len(made["disks"]) == 1
