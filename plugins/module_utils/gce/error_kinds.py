# SPDX-License-Identifier: Apache-2.0
"""A status or reason of Google's that means several things: told apart by text and details. Pure.

403 is a right that is missing, in this project or in another, a location that is not there or
closed, a service account, a perimeter or a token's scope. 412 is an organization policy, a right of
Google's own agent, or a fingerprint. Each has its own way out, which the reason alone doesn't tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import org_policies
from .remedies import remedy_for

# cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints, and its page
# on custom constraints: each violation names its constraint so.
_CONSTRAINT = re.compile(r"\b(?:customConstraints/custom|constraints/[a-zA-Z]+)\.[\w.]*\w")
# docs.cloud.google.com/compute/docs/instances/schedule-instance-start-stop: "service agent".
_AGENT = re.compile(
    r"(?P<agent>service-\d+@compute-system\.iam\.gserviceaccount\.com)?.{0,40}"
    r"needs? to have \[(?P<rights>[^\]]+)\] permissions?",
    re.IGNORECASE | re.DOTALL,
)
_LOCATION = re.compile(r"[Pp]ermission denied on '?locations/(?P<place>[-\w]+)")
_ACT_AS = re.compile(
    r"(?:does not have access to|actAs'? permission (?:on|for)) service account:? '?"
    r"(?P<account>[^\s'\"]+@[^\s'\"]+[\w])?",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    r"[Rr]equired '?(?P<right>[\w.]+)'? permission for '?(?:projects/(?P<project>[^/'\s]+))?"
    r"(?P<rest>[^'\s]*)"
)
_PERIMETER = re.compile(r"vpcServiceControlsUniqueIdentifier:? ?(?P<id>[\w-]+)")
_SCOPE = re.compile(r"insufficient authentication scopes", re.IGNORECASE)
_QUOTA_PROJECT = re.compile(r"required permission to use project (?P<project>[\w.:-]+)")
_FINGERPRINT = re.compile(r"fingerprint|If-Match|etag", re.IGNORECASE)
# https://cloud.google.com/compute/docs/access/iam: the least of Google's roles that has a right.
_ROLES = (
    (r"compute\.(networks|subnetworks)\.(get|list)", "roles/compute.networkViewer"),
    (r"compute\.(networks|subnetworks)\.(use|access)", "roles/compute.networkUser"),
    (r"compute\.networks\.updatePolicy|compute\.firewalls\.", "roles/compute.securityAdmin"),
    (r"compute\.(networks|subnetworks|routes|routers)\.", "roles/compute.networkAdmin"),
    (r"compute\.(globalA|a)ddresses\.(create|delete|setLabels)$", "roles/compute.networkAdmin"),
    (r"compute\.(images|snapshots|disks)\.useReadOnly", "roles/compute.imageUser"),
    (r"iam\.serviceAccounts\.actAs", "roles/iam.serviceAccountUser"),
    (r"compute\.", "roles/compute.instanceAdmin.v1"),
    (r"serviceusage\.services\.use", "roles/serviceusage.serviceUsageConsumer"),
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What Google said when it refused.

    Attributes:
        status: HTTP status, of the request or in the operation.
        reason: its most telling word.
        texts: its messages; an answer may hold several.
        infos: reasons of the ErrorInfos among its details, with their metadata.
        header: header that the refusal is about (`If-Match`); '' for none.
    """

    status: int
    reason: str
    texts: tuple[str, ...]
    infos: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    header: str = ""


@dataclass(frozen=True)
class Meaning:
    """What it means: our reason, what to do next, and facts for the module's result."""

    reason: str
    remedy: str
    details: dict[str, Any] = field(default_factory=dict)


def meaning(answer: Answer, project: str) -> Meaning:
    """What a refusal means; several messages may have several remedies."""
    found: list[Meaning] = []
    for text in answer.texts or ("",):
        for kind in _KINDS:
            if one := kind(answer, text, project):
                found.append(one)
                break
    if not found:
        return Meaning(answer.reason, remedy_for(answer.reason, answer.status, project))
    remedies = list(dict.fromkeys(one.remedy for one in found))
    details: dict[str, Any] = {}
    for one in found:
        for key, value in one.details.items():
            both = isinstance(value, list) and key in details
            details[key] = details[key] + value if both else value
    return Meaning(found[0].reason, " And: ".join(remedies), details)


def _org_policy(answer: Answer, text: str, _project: str) -> Meaning | None:
    named = _CONSTRAINT.findall(text)
    if not named or answer.status not in (0, 400, 403, 409, 412):
        return None
    names = list(dict.fromkeys(named))
    remedy = " And: ".join(org_policies.remedy(name, text) for name in names)
    return Meaning("orgPolicy", remedy, {"constraints": names})


def _agent(_answer: Answer, text: str, project: str) -> Meaning | None:
    match = _AGENT.search(text)
    if not match:
        return None
    agent = match["agent"] or "service-PROJECT_NUMBER@compute-system.iam.gserviceaccount.com"
    rights = match["rights"]
    describe = f"`gcloud projects describe {project} --format='value(projectNumber)'`"
    number = "" if match["agent"] else f"; {describe} tells the number"
    return Meaning(
        "agentPermission",
        f"grant Google's own agent those rights ({rights}), once for the project: `gcloud projects "
        f"add-iam-policy-binding {project} --member=serviceAccount:{agent} "
        f"--role=roles/compute.instanceAdmin.v1`{number}.",
        {"agent": agent},
    )


def _location(answer: Answer, text: str, _project: str) -> Meaning | None:
    info = answer.infos.get("LOCATION_POLICY_VIOLATED")
    match = _LOCATION.search(text)
    place = match["place"] if match else str((info or {}).get("location") or "")
    if not place or (answer.status != 403 and info is None):
        return None
    return Meaning(
        "locationDenied",
        f"see whether {place} is spelled right (`gcloud compute zones list`); where it is, the "
        "project may not use it.",
        {"location": place, "closed": info is not None},
    )


def _act_as(answer: Answer, text: str, project: str) -> Meaning | None:
    match = _ACT_AS.search(text)
    if not match and answer.reason != "SERVICE_ACCOUNT_ACCESS_DENIED":
        return None
    account = (match and match["account"]) or ""
    on = f"`gcloud iam service-accounts add-iam-policy-binding {account or 'ACCOUNT'}`"
    return Meaning(
        "serviceAccountAccess",
        f"grant the account that runs this roles/iam.serviceAccountUser on the service account "
        f"{account or 'that the instance has'} ({on}, in the project {_home(account) or project}), "
        "or give the instance another (gce_instance_service_account).",
        {"service_account": account} if account else {},
    )


def _home(account: str) -> str:
    """The project of a service account's address; '' where that doesn't tell."""
    domain = account.partition("@")[2]
    if not domain.endswith(".iam.gserviceaccount.com"):
        return ""
    name, _, owner = domain.removesuffix(".iam.gserviceaccount.com").partition(".")
    return f"{owner}:{name}" if owner else name  # a project of a domain: example.com:name


def _perimeter(answer: Answer, text: str, _project: str) -> Meaning | None:
    match = _PERIMETER.search(text)
    if not match and "SECURITY_POLICY_VIOLATED" not in answer.infos:
        return None
    ident = f" (its id: {match['id']})" if match else ""
    return Meaning(
        "serviceControls",
        "the organization's VPC Service Controls refused the request: run from inside the "
        f"perimeter, or ask its administrator for an access rule{ident}.",
    )


def _scope(answer: Answer, text: str, _project: str) -> Meaning | None:
    if not _SCOPE.search(text) and "ACCESS_TOKEN_SCOPE_INSUFFICIENT" not in answer.infos:
        return None
    return Meaning(
        "tokenScope",
        "the token is for less than this needs, whatever roles its account has: get one with the "
        "scope https://www.googleapis.com/auth/cloud-platform (`gcloud auth application-default "
        "login`; on an instance, give that one the scope).",
    )


def _quota_project(answer: Answer, text: str, _project: str) -> Meaning | None:
    match = _QUOTA_PROJECT.search(text)
    if not match and "USER_PROJECT_DENIED" not in answer.infos:
        return None
    named = (match["project"].rstrip(".") if match else "") or "PROJECT"
    return Meaning(
        "quotaProject",
        f"the credentials bill requests to the project {named}, which their account may not use: "
        "`gcloud auth application-default set-quota-project` sets another, or grant it "
        f"roles/serviceusage.serviceUsageConsumer on {named}.",
    )


def _right(answer: Answer, text: str, project: str) -> Meaning | None:
    match = _RIGHT.search(text)
    if not match or answer.status not in (0, 400, 403, 404):
        return None
    right, at = match["right"], match["project"] or project
    role = next((role for form, role in _ROLES if re.match(form, right)), "a role that has it")
    subnetwork = re.search(r"/regions/([^/]+)/subnetworks/([^/\s']+)", match["rest"] or "")
    if subnetwork and role == "roles/compute.networkUser":
        where = f"the subnetwork {subnetwork[2]} in {subnetwork[1]} of the project {at}"
    else:
        where = f"the project {at}"
    usual = (
        ""
        if at != project
        else " (this needs roles/compute.instanceAdmin.v1 and roles/compute.securityAdmin there)"
    )
    spelled = (
        f"; {at} is not the project {project} that this runs in, so its owner has to do that"
        if at != project
        else "; check that the project id is spelled right"
    )
    return Meaning(
        "forbidden",
        f"grant the account that runs this {role}, which has {right}, on {where}{usual}{spelled}.",
        {"permission": right, "permission_project": at},
    )


def _fingerprint(answer: Answer, text: str, project: str) -> Meaning | None:
    if answer.status != 412 and answer.reason not in ("conditionNotMet", "CONDITION_NOT_MET"):
        return None
    stale = answer.header == "If-Match" or bool(_FINGERPRINT.search(text))
    reason = "changedMeanwhile" if stale else "conditionNotMet"
    return Meaning(reason, remedy_for(reason, 412, project))


Kind = Callable[[Answer, str, str], Meaning | None]
# In this order: the first that fits is it.
_KINDS: tuple[Kind, ...] = (
    _org_policy,
    _agent,
    _location,
    _perimeter,
    _act_as,
    _scope,
    _quota_project,
    _right,
    _fingerprint,
)


def of_http(status: int, content: Mapping[str, Any], reason: str) -> Answer:
    """From the `error` object of an HTTP answer."""
    entries = [one for one in content.get("errors") or [] if isinstance(one, Mapping)]
    texts = [str(content.get("message") or ""), *(str(one.get("message") or "") for one in entries)]
    header = next((str(one["location"]) for one in entries if one.get("location")), "")
    return Answer(status, reason, _distinct(texts), _infos(content.get("details")), header)


def of_operation(status: int, errors: Iterable[Mapping[str, Any]]) -> Answer:
    """From the errors with which an operation ended."""
    errors = list(errors)
    infos: dict[str, Mapping[str, Any]] = {}
    for one in errors:
        for detail in one.get("errorDetails") or []:
            infos |= _infos([detail.get("errorInfo") or {}])
    texts = [str(one.get("message") or "") for one in errors]
    reason = str(errors[0].get("code") or "unknown")
    header = str(errors[0].get("location") or "")
    return Answer(status, reason, _distinct(texts), infos, header)


def _infos(details: Any) -> dict[str, Mapping[str, Any]]:
    """Reason to metadata of the ErrorInfos; Google writes `metadata` and `metadatas`."""
    return {
        str(one["reason"]): one.get("metadatas") or one.get("metadata") or {}
        for one in details or []
        if isinstance(one, Mapping) and one.get("reason")
    }


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
