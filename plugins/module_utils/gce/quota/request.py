# SPDX-License-Identifier: Apache-2.0
"""Asking Google for more quota: one preference for each quota and its dimensions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import ApiError, GceError, WaitTimeoutError
from ...suggest import closest, did_you_mean, listed
from ..client import GceClient
from ..operations import wait_until

DEFAULT_ENDPOINT = "https://cloudquotas.googleapis.com/v1"
COMPUTE = "compute.googleapis.com"
UNLIMITED = -1
LONGEST_ID = 63
PAGE_SIZE = 100
Json = dict[str, Any]


class QuotasClient(GceClient):
    """The Cloud Quotas API; paths are relative to its endpoint."""

    own_endpoint = DEFAULT_ENDPOINT
    endpoint_option = "quotas_endpoint, or GCE_VLLM_QUOTAS_ENDPOINT"
    api = "cloudquotas.googleapis.com"

    def pages(self, path: str, items: str, what: str) -> Iterator[Json]:
        """Every item of a collection, page after page."""
        query: Json = {"pageSize": PAGE_SIZE}
        while True:
            page = self.get(path, what, **query)
            yield from page.get(items) or []
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def upsert(self, path: str, what: str, body: Json) -> Json:
        """Make a preference or change it; a repeated copy changes nothing more."""
        return self._call("PATCH", path, what, {"allowMissing": "true"}, body)

    def _error(self, answer: Any, what: str) -> ApiError:
        problem = super()._error(answer, what)
        if problem.status == 403 and problem.reason in ("forbidden", "PERMISSION_DENIED"):
            problem.remedy = (
                f"grant the account that runs this roles/cloudquotas.admin on project "
                f"{self.project}; check that the project id is spelled right."
            )
        return problem


def quota_id_of(metric: str) -> str:
    """Cloud Quotas' id of a legacy metric: `NVIDIA_L4_GPUS` is counted in each region."""
    scope = "" if metric.endswith("_ALL_REGIONS") else "-region"
    return f"{metric.replace('_', '-')}-per-project{scope}"


def preference_id(service: str, quota_id: str, dimensions: Mapping[str, str]) -> str:
    """The same id for the same request, so that it is never asked for twice."""
    exact = [service, quota_id, *(f"{key}={dimensions[key]}" for key in sorted(dimensions))]
    digest = hashlib.sha256("\n".join(exact).encode()).hexdigest()[:8]
    words = "-".join(["gce-vllm", quota_id, *(dimensions[key] for key in sorted(dimensions))])
    text = re.sub(r"[^a-z0-9]+", "-", words.lower())[: LONGEST_ID - len(digest) - 1]
    return f"{text.rstrip('-')}-{digest}"


def limit_of(info: Mapping[str, Any], dimensions: Mapping[str, str]) -> int | None:
    """The limit in force; -1 is without limit, None where the quota doesn't say.

    Google lists values for some dimensions and a default for the rest: the most particular counts.
    """
    fitting = [
        entry
        for entry in info.get("dimensionsInfos") or []
        if (entry.get("dimensions") or {}).items() <= dimensions.items()
        and _applies(entry, dimensions)
    ]
    if not fitting:
        return None
    best = max(fitting, key=lambda entry: len(entry.get("dimensions") or {}))
    return _number((best.get("details") or {}).get("value"))


def _applies(entry: Mapping[str, Any], dimensions: Mapping[str, str]) -> bool:
    places = entry.get("applicableLocations")
    return not places or "region" not in dimensions or dimensions["region"] in places


def _number(text: Any) -> int | None:
    return None if text in (None, "") else int(text)


def outcome(preference: Mapping[str, Any], limit: int | None, value: int) -> str:
    """`granted`, `pending` or `denied`."""
    config = preference.get("quotaConfig") or {}
    granted = _number(config.get("grantedValue"))
    if suffices(limit, value) or suffices(granted, value):
        return "granted"
    return "pending" if preference.get("reconciling") else "denied"


def suffices(limit: int | None, value: int) -> bool:
    """Whether a limit lets the value be used."""
    return limit is not None and (limit == UNLIMITED or limit >= value)


class QuotaRequest:
    """A request for a limit of at least `value`; `check` only plans."""

    def __init__(self, client: QuotasClient, params: Mapping[str, Any], check: bool) -> None:
        self.client, self.params, self.check = client, params, check
        self.service = str(params["service"])
        self.quota_id = str(params["quota_id"] or quota_id_of(params["metric"]))
        self.dimensions = {str(k): str(v) for k, v in (params["dimensions"] or {}).items()}
        if params["region"]:
            self.dimensions["region"] = str(params["region"])
        self.value = int(params["value"])
        self.where = f"quota {self.quota_id}{self._said()}"
        self.root = f"{client.root}/locations/global"
        own = preference_id(self.service, self.quota_id, self.dimensions)
        self.path = f"{self.root}/quotaPreferences/{own}"

    def _said(self) -> str:
        texts = [f"{key} {self.dimensions[key]}" for key in sorted(self.dimensions)]
        return f" ({', '.join(texts)})" if texts else ""

    def reach(self) -> Json:
        """File the request unless it is filed or not needed; say what became of it."""
        limit = limit_of(self._info(), self.dimensions)
        if suffices(limit, self.value):
            return self._result({}, limit, "granted", None)
        found = self._find()
        before = _number((found.get("quotaConfig") or {}).get("preferredValue"))
        under_way = bool(found.get("reconciling"))
        if before is not None and (before == self.value or (under_way and before > self.value)):
            if not self.check:
                found = self._decided(found)
            return self._result(found, limit, outcome(found, limit, self.value), before)
        if self.check:
            return self._result(found, limit, None, before, filed=True)
        found = self._decided(self._file(found))
        return self._result(found, limit, outcome(found, None, self.value), before, filed=True)

    def _info(self) -> Json:
        collection = f"{self.root}/services/{self.service}/quotaInfos"
        try:
            return self.client.get(f"{collection}/{self.quota_id}", f"read the {self.where}")
        except ApiError as error:
            if error.status != 404 or error.reason == "projectNotFound":
                raise
        what = f"list the quotas of {self.service}"
        names = sorted(str(i["quotaId"]) for i in self.client.pages(collection, "quotaInfos", what))
        near = closest(self.quota_id, names, 5)
        raise GceError(
            f"{self.service} has no quota {self.quota_id}.{did_you_mean(self.quota_id, names)} "
            f"It has {len(names)}, nearest {listed(near)}.",
            reason="quotaNotFound",
            remedy="correct quota_id or metric; `gcloud beta quotas info list --service "
            f"{self.service}` shows all.",
            status=404,
            details={"closest": near},
        )

    def _find(self) -> Json:
        """The preference; also one that others filed for the same dimensions. {} for none."""
        what = f"look for an earlier request for the {self.where}"
        try:
            return self.client.get(self.path, what)
        except ApiError as error:
            if error.status != 404:
                raise
        everything = self.client.pages(f"{self.root}/quotaPreferences", "quotaPreferences", what)
        for one in everything:
            same = (one.get("service"), one.get("quotaId"), one.get("dimensions") or {})
            if same == (self.service, self.quota_id, self.dimensions):
                self.path = f"{self.root}/quotaPreferences/{str(one['name']).rsplit('/', 1)[-1]}"
                return one
        return {}

    def _file(self, found: Mapping[str, Any]) -> Json:
        body: Json = {
            "service": self.service,
            "quotaId": self.quota_id,
            "dimensions": self.dimensions,
            "quotaConfig": {"preferredValue": str(self.value)},
            "justification": self.params["justification"],
            "contactEmail": self.params["contact_email"],
        }
        if found.get("etag"):
            body["etag"] = found["etag"]
        return self.client.upsert(self.path, f"ask for more of the {self.where}", body)

    def _decided(self, preference: Json) -> Json:
        """Wait for Google's decision for as long as the task says; then it is pending."""
        last = [preference]

        def poll() -> Json:
            if last[0].get("reconciling"):
                last[0] = self.client.get(self.path, f"read the request for the {self.where}")
            return last[0]

        try:
            return wait_until(
                poll,
                lambda one: not one.get("reconciling"),
                seconds=min(float(self.params["wait"]), self.client.seconds_left()),
                what=f"a decision on the {self.where}",
                describe=lambda one: str((one.get("quotaConfig") or {}).get("stateDetail")),
                longest_pause=15.0,
            )
        except WaitTimeoutError:
            return last[0]

    def _result(
        self,
        preference: Mapping[str, Any],
        limit: int | None,
        became: str | None,
        before: int | None,
        filed: bool = False,
    ) -> Json:
        config = preference.get("quotaConfig") or {}
        after = self.value if filed else before
        return {
            "changed": filed,
            "outcome": became,
            "quota_id": self.quota_id,
            "dimensions": self.dimensions,
            "limit": limit,
            "requested": after,
            "granted": _number(config.get("grantedValue")),
            "state_detail": str(config.get("stateDetail") or ""),
            "preference": preference.get("name"),
            "diff": {"before": {"requested": before}, "after": {"requested": after}},
        }
