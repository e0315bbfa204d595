# SPDX-License-Identifier: Apache-2.0
"""Count what instances cost in API requests: made, and run again twice with nothing to do.

usage: python -m benchmarks.api_cost --out FOLDER [--ours N …] [--defaults N …] [--theirs N …]

Each case is a playbook with one task that loops over N instances, in a new project of the records
emulator, run three times: llmops.gce_vllm.gce_instance (`ours`, with report_newer_image for the
first instance only, and `defaults`, for all), and google.cloud.gcp_compute_instance (`theirs`) with
the same requests through the emulator's proxy. Requests are counted by the emulator. Tokens are
counted apart: either module gets one per process.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from tests.support.emulator_fixture import ROOT, ZONE, Api, Emulator

Json = dict[str, Any]
IMAGES, FAMILY = "deeplearning-platform-release", "common-cu129-ubuntu-2404-nvidia-580"
RUNS = ("first", "second", "third")
METRICS = ("CPUS", "SSD_TOTAL_GB", "INSTANCES")
OURS, THEIRS = "llmops.gce_vllm.gce_instance", "google.cloud.gcp_compute_instance"
NAMES = {
    "ours": f"{OURS}, `report_newer_image` for the first only",
    "defaults": OURS,
    "theirs": THEIRS,
}
_COMMON = {"name": "vm-{{ item }}", "zone": ZONE, "machine_type": "e2-small"}
_MARKS = {"labels": {"owner": "bench"}, "metadata": {"enable-guest-attributes": "TRUE"}}


def ours(emulator: Emulator, report: str) -> Json:
    """Options of our module."""
    return {
        **_COMMON,
        **_MARKS,
        "project": emulator.project,
        "endpoint": emulator.endpoint,
        "service_account_file": str(emulator.credentials_file),
        "boot_disk": {
            "image_project": IMAGES,
            "image_family": FAMILY,
            "size_gb": 100,
            "type": "pd-balanced",
        },
        "network": "default",
        "external_ip": False,
        "tags": ["llm-server"],
        "report_newer_image": report,
    }


def theirs(emulator: Emulator) -> Json:
    """Options of google.cloud's module that say the same."""
    return {
        **_COMMON,
        **_MARKS,
        "project": emulator.project,
        "auth_kind": "serviceaccount",
        "service_account_file": str(emulator.credentials_file),
        "disks": [
            {
                "auto_delete": True,
                "boot": True,
                "initialize_params": {
                    "source_image": f"projects/{IMAGES}/global/images/family/{FAMILY}",
                    "disk_size_gb": 100,
                    "disk_type": "pd-balanced",
                },
            }
        ],
        # As the API spells it, which is what this module compares.
        "network_interfaces": [
            {"network": {"selfLink": Api(emulator).get("global/networks/default")["selfLink"]}}
        ],
        "tags": {"items": ["llm-server"]},
    }


def kind(request: Json) -> str:
    """`GET instances/NAME`, `POST instances`, or `credentials`."""
    if "/compute/v1/" not in request["path"]:
        return "credentials"
    rest = request["path"].split("/projects/")[1].split("/")[1:]
    rest = rest[1:] if rest[0] == "global" else rest[2:]
    if rest[:2] == ["images", "family"]:
        return f"{request['method']} image family"
    verb = f"/{rest[2]}" if len(rest) > 2 else ""
    return f"{request['method']} {rest[0]}{'/NAME' if len(rest) > 1 else ''}{verb}"


def measured(emulator: Emulator, playbook: Path) -> Json:
    """One run of the playbook."""
    emulator.admin("DELETE", "requests")
    environment = emulator.environment() | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    began = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", playbook],
        env=environment,
        cwd=playbook.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    task = json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"]["localhost"]
    kinds = Counter(kind(one) for one in emulator.admin("GET", "requests")["requests"])
    credentials = kinds.pop("credentials", 0)
    return {
        "requests": sum(kinds.values()),
        "by_kind": dict(sorted(kinds.items())),
        "credential_requests": credentials,
        "seconds": round(seconds, 1),
        "changed": sum(bool(one["changed"]) for one in task["results"]),
    }


def case(emulator: Emulator, which: str, count: int, folder: Path) -> Json:
    """The three runs of `count` instances in a project of their own."""
    emulator.project = f"bench-{which}-{count}"
    emulator.admin("PUT", f"projects/{emulator.project}")
    for metric in METRICS:
        path = f"projects/{emulator.project}/regions/us-central1/quotas/{metric}"
        emulator.admin("PUT", path, {"limit": 100_000})
    if which == "theirs":
        task = {THEIRS: theirs(emulator)}
    else:
        report = "{{ item == 1 }}" if which == "ours" else "true"
        task = {OURS: ours(emulator, report)}
    task |= {"loop": f"{{{{ range(1, {count + 1}) | list }}}}"}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "tasks": [task],
    }
    playbook = folder / f"{which}-{count}.yml"
    playbook.write_text(yaml.safe_dump([play], sort_keys=False), encoding="utf-8")
    runs = {}
    for run in RUNS:
        runs[run] = measured(emulator, playbook)
        print(f"{which} {count} {run}: {runs[run]}", flush=True)
    return {"module": which, "instances": count, "runs": runs}


def circumstances() -> Json:
    """Versions and hardware."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    manifest = next(
        Path(base) / "ansible_collections/google/cloud/MANIFEST.json"
        for base in sys.path
        if (Path(base) / "ansible_collections/google/cloud/MANIFEST.json").exists()
    )
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "ansible-core": metadata.version("ansible-core"),
        "llmops.gce_vllm": galaxy["version"],
        "google.cloud": json.loads(manifest.read_text())["collection_info"]["version"],
        "python": platform.python_version(),
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "load_at_start": round(os.getloadavg()[0], 1),
    }


def summary(found: Json) -> str:
    """The results as Markdown."""
    told = ", ".join(f"{name} {value}" for name, value in found["circumstances"].items())
    lines = [
        "# API requests of instances: made, then run again twice",
        "",
        f"`python -m benchmarks.api_cost`; {told}. Single runs on the records emulator, whose",
        "operations end at once: seconds are those of Ansible, on a machine that may do other",
        "things too. Tokens are not among the requests. Changed: instances reported so.",
        "",
        "| module | instances | run | requests | per instance | seconds | changed | by kind |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found["cases"]:
        for run, got in one["runs"].items():
            kinds = ", ".join(f"{count} {name}" for name, count in got["by_kind"].items())
            lines.append(
                f"| {NAMES[one['module']]} | {one['instances']} | {run} | {got['requests']} | "
                f"{got['requests'] / one['instances']:.2f} | {got['seconds']} | "
                f"{got['changed']} | {kinds} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ours", type=int, nargs="*", default=[1, 10, 50])
    parser.add_argument("--defaults", type=int, nargs="*", default=[1, 10])
    parser.add_argument("--theirs", type=int, nargs="*", default=[1, 10])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found: Json = {"circumstances": circumstances(), "cases": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        emulator = Emulator(folder / "state")
        emulator.start()
        try:
            for which in ("theirs", "ours", "defaults"):
                for count in getattr(options, which):
                    found["cases"].append(case(emulator, which, count, folder))
                    # Written as it grows: what was measured is not lost to a later failure.
                    text = json.dumps(found, indent=1) + "\n"
                    (options.out / "results.json").write_text(text, encoding="utf-8")
                    (options.out / "summary.md").write_text(summary(found), encoding="utf-8")
        finally:
            emulator.stop()


if __name__ == "__main__":
    main()
