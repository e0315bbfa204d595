# SPDX-License-Identifier: Apache-2.0
"""All that is known of a deployment at one moment, for who pays and who is on call. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import beside_plan, usage

Json = dict[str, Any]
#: What a line of the checklist is worth.
OUTCOMES = {True: "ok", False: "failed", None: "not known"}
NOT_ASKED = "not looked at"


def document(found: Mapping[str, Any]) -> Json:
    """The report, the same keys whatever is known.

    Args:
        found: `name` of the deployment, `made_at`, `hosts` (of each what its playbook read, see
            `_host`), `instances` (reports of status), `checklist`, `drift` (the report of drift,
            or None), `prices` (USD an hour by host) and `benchmarks` (by host).
    """
    hosts = list(found["hosts"])
    instances = {str(one["name"]): one for one in found["instances"]}
    used = _used(hosts, found["prices"])
    gpus = [gpu for one in hosts for gpu in _gpus(one)]
    made: Json = {
        "deployment": found["name"],
        "made_at": found["made_at"],
        "checklist": _checklist(found.get("checklist")),
        "instances": [_instance(one) for one in found["instances"]],
        "hosts": [_host(one, instances.get(one["host"])) for one in hosts],
        "components": [],
        "drift": _drift(found.get("drift")),
        "gpus": gpus,
        "findings": [finding for one in hosts for finding in _findings(one)],
        "benchmarks": [
            {"host": host, **one} for host, one in sorted(found["benchmarks"].items()) if one
        ],
        "usage": used,
        "plan": [_planned(one, used) for one in hosts if one.get("reached")],
        "missing": [line for one in hosts for line in _missing(one)],
    }
    if not hosts:
        made["missing"].append("No host runs, so none was asked.")
    if not found["instances"]:
        made["missing"].append("No instance of Compute Engine was looked at.")
    return {**made, "summary": summary(made)}


def summary(made: Mapping[str, Any]) -> list[str]:
    """The answers that come first, in words."""
    hosts, drift = made["hosts"], made["drift"]
    reached = sum(one["reached"] for one in hosts)
    failed = [one["what"] for one in made["checklist"] if one["outcome"] == "failed"]
    cost, unread = made["usage"]["cost"], made["usage"]["unread"]
    lines = [f"{reached} of {len(hosts)} hosts answer." if hosts else "No host runs."]
    if made["checklist"]:
        lines.append(
            f"The checklist fails at: {', '.join(failed)}."
            if failed
            else "Nothing of the checklist fails."
        )
    lines.append(
        {
            "clean": "Everything is as the settings say.",
            "drift": f"{_counted(len(drift['differences']), 'difference')} from the settings.",
            "error": "Not all could be compared with the settings.",
        }.get(drift["status"], "Nothing was compared with the settings.")
    )
    if made["gpus"] or made["findings"]:
        number = len(made["findings"])
        lines.append(
            f"{_counted(number, 'finding')} on GPUs."
            if number
            else f"{_counted(len(made['gpus']), 'GPU')}, nothing found."
        )
    if cost is not None:
        lines.append(f"Used since {made['usage']['first']}: USD {cost['total']:.2f} (list price).")
    elif unread:
        lines.append(f"Usage of {', '.join(unread)} could not be read, so the cost is not known.")
    return lines


def _used(hosts: Iterable[Mapping[str, Any]], prices: Mapping[str, Any]) -> Json:
    """Usage of all hosts, and as `unread` those of which it is not known."""
    known = [
        {"host": one["host"], "usage": one.get("usage"), "hour_price": prices.get(one["host"])}
        for one in hosts
    ]
    used: Json = usage.report(known)["document"]
    used["unread"] = [one["host"] for one in known if not one["usage"]]
    if used["unread"]:
        # Part of the cost would pass for all of it.
        used["cost"] = None
        used["rows"] = [{**row, "cost": None} for row in used["rows"]]
    return used


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _checklist(found: Mapping[str, Any] | None) -> list[Json]:
    return [
        {"what": what, "outcome": OUTCOMES.get(one["ok"], "not known"), "evidence": one["evidence"]}
        for what, one in (found or {}).items()
    ]


def _instance(status: Mapping[str, Any]) -> Json:
    names = ("name", "project", "zone", "status", "since", "machine_type", "provisioning_model")
    cost = status["cost"]
    return {
        **{name: status[name] for name in names},
        "stopped": (status.get("stopped") or {}).get("line"),
        "gpus": [f"{one['count']} x {one['type']}" for one in status["gpus"]],
        "addresses": [one for one in status["addresses"].values() if one],
        "disks": [f"{one['name']} {one['size_gb']} GB {one['type']}" for one in status["disks"]],
        "usd_an_hour": cost["hourly"],
        "usd_a_month": cost["monthly"],
        "prices": status["prices"]["text"],
    }


def _host(one: Mapping[str, Any], instance: Mapping[str, Any] | None) -> Json:
    """What runs on one host.

    Args:
        one: `host`, `reached`, `why` (it was not), and what could be read: `facts` of Ansible,
            `samples` of the server's metrics, `gpu`, `usage`, `packages`, `manifest`, `plan`.
    """
    gpu = one.get("gpu") or {}
    facts = {name.removeprefix("ansible_"): v for name, v in (one.get("facts") or {}).items()}
    release = _labels(one, "llm_release_info")
    states = [
        sample["labels"].get("state", "")
        for sample in one.get("samples") or []
        if sample["name"] == "llm_state" and sample["value"] == 1
    ]
    system = " ".join(
        str(facts[name])
        for name in ("distribution", "distribution_version")
        if facts.get(name) is not None
    )
    packages = {item["name"].lower(): item["version"] for item in one.get("packages") or []}
    return {
        "host": one["host"],
        "reached": bool(one.get("reached")),
        "why": one.get("why") or "",
        "place": instance["zone"] if instance else "a machine of yours",
        "machine_type": instance["machine_type"] if instance else None,
        "state": states[0] if states else None,
        "model": release.get("model"),
        "versions": {
            "vLLM": release.get("vllm"),
            "server": release.get("version"),
            "release": release.get("release"),
            "torch": packages.get("torch"),
            "transformers": packages.get("transformers"),
            "Python": release.get("python"),
            "NVIDIA driver": gpu.get("driver") or None,
            "CUDA of the driver": gpu.get("cuda") or None,
            "system": system or None,
            "kernel": facts.get("kernel"),
        },
    }


def _labels(one: Mapping[str, Any], name: str) -> Mapping[str, str]:
    found: list[Mapping[str, str]] = [
        sample["labels"] for sample in one.get("samples") or [] if sample["name"] == name
    ]
    return found[0] if found else {}


def _gpus(one: Mapping[str, Any]) -> list[Json]:
    found = []
    for gpu in (one.get("gpu") or {}).get("gpus") or []:
        memory = gpu.get("memory_mib") or {}
        errors = gpu.get("ecc_errors") or {}
        found.append(
            {
                "host": one["host"],
                "gpu": gpu.get("pci_bus_id"),
                "name": gpu.get("name"),
                "memory_used_mib": memory.get("used"),
                "memory_mib": memory.get("total"),
                "uncorrected_errors": errors.get("uncorrected"),
            }
        )
    return found


def _findings(one: Mapping[str, Any]) -> list[Json]:
    gpu = one.get("gpu") or {}
    said = [
        {"host": one["host"], **{name: finding.get(name) for name in ("gpu", "text", "action")}}
        for finding in gpu.get("findings") or []
    ]
    return said + [
        {"host": one["host"], "gpu": "", "text": text, "action": ""}
        for text in gpu.get("problems") or []
        if text not in [finding["text"] for finding in said]
    ]


def _drift(report: Mapping[str, Any] | None) -> Json:
    if report is None:
        return {"status": NOT_ASKED, "checked_at": None, "differences": [], "errors": []}
    return {
        "status": report["status"],
        "checked_at": report["checked_at"],
        "differences": report["differences"],
        "errors": report["errors"],
        "at_rest": report["at_rest"],
        "not_looked_at": [name for name, done in report["layers_checked"].items() if not done],
    }


def _planned(one: Mapping[str, Any], used: Mapping[str, Any]) -> Json:
    plan = (one.get("plan") or {}).get("plan") or {}
    gpu = one.get("gpu") or {}
    busy = [(item.get("memory_mib") or {}).get("used") for item in gpu.get("gpus") or []]
    measured = beside_plan.measured(one.get("samples") or [], [n for n in busy if n is not None])
    rows = beside_plan.rows(plan, measured)
    price = beside_plan.token_price(plan, used)
    why = str((one.get("plan") or {}).get("msg") or plan.get("reason") or "there is no plan")
    return {
        "host": one["host"],
        "fits": plan.get("fits"),
        "rows": [*rows, price] if price else rows,
        "note": "" if plan.get("fits") is not None else f"Whether it fits was not known: {why}",
    }


def _missing(one: Mapping[str, Any]) -> Iterable[str]:
    """What could not be read of a host, a sentence each."""
    host = one["host"]
    if not one.get("reached"):
        yield f"{host} did not answer, so nothing of it is here: {one.get('why') or 'no reason'}"
        return
    for name, what in (
        ("samples", "the server's metrics"),
        ("usage", "usage"),
        ("packages", "the packages of vLLM's environment"),
        ("facts", "the system"),
    ):
        if one.get(name) is None:
            yield f"{host}: {what} could not be read: {one.get(f'{name}_why') or 'no reason'}"
    # Without a reason they were not asked, as on a host that serves on its CPU.
    if one.get("gpu") is None and one.get("gpu_why"):
        yield f"{host}: the state of its GPUs could not be read: {one['gpu_why']}"
