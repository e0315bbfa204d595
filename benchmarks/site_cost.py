# SPDX-License-Identifier: Apache-2.0
"""Count what site.yml's cloud part costs in API requests for many instances, with nothing to do.

usage: python -m benchmarks.site_cost --out FOLDER [--instances N …] [--theirs N …]

Preflight and provision run for the most instances once, which makes them on the records emulator,
and once more for each number. Beside that the same emulator serves a playbook of one task that
loops over as many instances with google.cloud.gcp_compute_instance, run again with nothing to do.
Requests for tokens are counted apart.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.api_cost import METRICS, THEIRS, Json, case, circumstances, kind
from tests.support.emulator_fixture import Api, Emulator
from tests.support.site_fixture import Site

SITE = ("site", "--tags", "preflight,provision")


def measured(site: Site, instances: int, changed: int | None) -> Json:
    """One run for so many instances, which may change so many things; None for any number."""
    site.clouds = {f"cloud-{n}": {"gce_name": f"llm-{n}"} for n in range(instances)}
    site.emulator.admin("DELETE", "requests")
    began = time.monotonic()
    said = site.ok(*SITE, changed=changed)
    seconds = time.monotonic() - began
    kinds = Counter(_told(one) for one in site.emulator.admin("GET", "requests")["requests"])
    tokens = kinds.pop("credentials", 0)
    return {
        "instances": instances,
        "requests": kinds.total(),
        "by_kind": dict(sorted(kinds.items())),
        "credential_requests": tokens,
        "seconds": round(seconds, 1),
        "changed": sum(map(int, re.findall(r" changed=(\d+)", said))),
    }


def _told(request: Json) -> str:
    """As `api_cost.kind`; and what is no member of a collection in a zone or region."""
    rest = request["path"].partition("?")[0].partition("/compute/v1/projects/")[2].split("/")
    match rest:
        case [""]:
            return "credentials"
        case [_]:
            return "GET project"
        case [_, "aggregated", collection]:
            return f"GET all {collection}"
        case [_, ("regions" | "zones") as scope, _]:
            return f"GET {scope}/NAME"
    return kind(request)


def summary(found: Json) -> str:
    """The results as Markdown."""
    told = ", ".join(f"{name} {value}" for name, value in found["circumstances"].items())
    lines = [
        "# API requests of site.yml's cloud part for many instances, with nothing to do",
        "",
        f"`python -m benchmarks.site_cost`; {told}. Single runs on the records emulator;",
        "seconds are those of Ansible, on a machine that may do other things too.",
        "",
        "The site checks project, quota, image, rules and host keys beside the instances; the",
        "other rows are one task of a module that looks at the instances alone. Changed: what was",
        "reported so.",
        "",
        "| what | instances | requests | per instance | seconds | changed | by kind |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = [("site.yml, preflight and provision", one) for one in found["runs"]]
    rows += [
        (THEIRS, {"instances": one["instances"], **one["runs"]["second"]})
        for one in found["theirs"]
    ]
    for what, one in rows:
        kinds = ", ".join(f"{count} {name}" for name, count in one["by_kind"].items())
        each = one["requests"] / one["instances"]
        lines.append(
            f"| {what} | {one['instances']} | {one['requests']} | {each:.2f} | {one['seconds']} | "
            f"{one['changed']} | {kinds} |"
        )
    lines += ["", *(f"- {one}" for one in growth(found["runs"]))]
    return "\n".join(lines) + "\n"


def growth(runs: list[Json]) -> list[str]:
    """What each further instance cost, from one number of instances to the next."""
    return [
        f"From {a['instances']} to {b['instances']} instances: "
        f"{(b['requests'] - a['requests']) / (b['instances'] - a['instances']):.2f} requests for "
        "each further one."
        for a, b in itertools.pairwise(runs)
    ]


def write(folder: Path, found: Json) -> None:
    """Results as they are so far."""
    text = json.dumps(found, indent=1) + "\n"
    (folder / "results.json").write_text(text, encoding="utf-8")
    (folder / "summary.md").write_text(summary(found), encoding="utf-8")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--instances", type=int, nargs="*", default=[1, 10, 50])
    parser.add_argument("--theirs", type=int, nargs="*", default=[1, 10, 50])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found: Json = {"circumstances": circumstances(), "runs": [], "theirs": []}
    with tempfile.TemporaryDirectory() as place:
        emulator = Emulator(Path(place) / "state")
        emulator.start()
        try:
            site = Site(emulator, Api(emulator), Path(place))
            site.reach_locally()
            site.variables["gce_instance_machine_type"] = "e2-small"
            # A project may have 100 rules, so all instances share theirs, which one makes first.
            site.variables |= {"gce_network_rule_prefix": "llm", "gce_network_target_tag": "llm"}
            for metric in (*METRICS, "IN_USE_ADDRESSES"):
                site.quota("us-central1", metric, 100_000)
            measured(site, 1, None)
            print("made:", measured(site, max(options.instances), None), flush=True)
            for instances in sorted(options.instances):
                found["runs"].append(measured(site, instances, 0))
                print(found["runs"][-1], flush=True)
                write(options.out, found)
            for instances in sorted(options.theirs):
                found["theirs"].append(case(emulator, "theirs", instances, Path(place)))
                write(options.out, found)
        finally:
            emulator.stop()


if __name__ == "__main__":
    main()
