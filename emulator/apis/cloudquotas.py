# SPDX-License-Identifier: Apache-2.0
"""The Cloud Quotas API v1: what limits there are, and requests for more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.errors import ApiError, Json, api_disabled, invalid, not_found, required
from emulator.request.auth import Authority
from emulator.world import catalog, fingerprints
from emulator.world import catalog_data as data
from emulator.world.operations import now
from emulator.world.world import World

SERVICE = "compute.googleapis.com"
API = "cloudquotas.googleapis.com"
OUTCOMES = ("granted", "denied", "pending")
_FAMILIES = tuple(data.GPU_FAMILIES.values())
_FAMILY_QUOTA = "GPUS-PER-GPU-FAMILY-per-project-region"
# Metric, quota, its families and the limit of each.
_BY_VM_FAMILY = (
    ("cpus_per_vm_family", "CPUS-PER-VM-FAMILY-per-project-region", ("C3D", "C4", "N4"), "24"),
    (
        "local_ssd_total_storage_per_vm_family",
        "LOCAL-SSD-TOTAL-GB-PER-VM-FAMILY-per-project-region",
        ("A2", "A3", "A4", "C3"),
        "12000",
    ),
)
# On Spot each of the newer GPUs has a quota of its own; to the family's name.
_SPOT_QUOTAS = {
    f"PREEMPTIBLE-{family.replace('_', '-')}-GPUS-per-project-region": f"PREEMPTIBLE_{family}"
    for family in _FAMILIES
}
_FIXED = ("service", "quotaId", "dimensions")
_DETAILS = {
    "granted": "The quota increase request was approved.",
    "denied": "The quota increase request was denied.",
    "pending": "The quota increase request is being reviewed.",
}


class CloudQuotas:
    """Quota infos and preferences of a world's projects."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store

    # What there is

    def infos(self, project: str) -> list[Json]:
        """Every quota with its limits, the legacy ones and those of GPU families."""
        quotas = self._world.quotas
        regions = {r: quotas.limits(project, r) for r in catalog.REGIONS}
        found = []
        for metric in sorted({name for limits in regions.values() for name in limits}):
            values = [({"region": r}, regions[r].get(metric, 0), [r]) for r in regions]
            found.append(_info(project, metric, _quota_id(metric, True), values))
        for metric, limit in sorted(quotas.limits(project, None).items()):
            found.append(
                _info(project, metric, _quota_id(metric, False), [({}, limit, ["global"])])
            )
        values = [
            ({"region": r, "gpu_family": family}, self._family(project, r, family), [r])
            for r in catalog.REGIONS
            for family in _FAMILIES
        ]
        found.append(_info(project, "gpus_per_gpu_family", _FAMILY_QUOTA, values))
        for quota_id, family in _SPOT_QUOTAS.items():
            granted = {r: self._family(project, r, family) for r in catalog.REGIONS}
            found.append(_spot_info(project, quota_id, f"{family}_GPUS", granted))
        found += [_vm_families(project, *one) for one in _BY_VM_FAMILY]
        return found

    def info(self, project: str, quota_id: str) -> Json:
        """One quota; 404 where there is none."""
        for one in self.infos(project):
            if one["quotaId"] == quota_id:
                return one
        raise not_found(
            f"projects/{project}/locations/global/services/{SERVICE}/quotaInfos/{quota_id}"
        )

    def _family(self, project: str, region: str, family: str) -> float:
        return self._world.quotas.family_limit(project, region, family)

    # Requests

    def preferences(self, project: str) -> list[Json]:
        """All requests, as decided by now."""
        names = self._store.settings(f"preference:{project}:")
        return [self.preference(project, name) for name in sorted(names)]

    def preference(self, project: str, name: str) -> Json:
        """One request, as decided by now; 404 where there is none."""
        with self._store.transaction():
            record = self._store.setting(f"preference:{project}:{name}")
            if record is None:
                raise not_found(f"projects/{project}/locations/global/quotaPreferences/{name}")
            self._decide(project, name, record)
            body: Json = record["body"]
            return body

    def upsert(self, project: str, name: str, given: Json, allow_missing: bool) -> Json:
        """PATCH: makes or changes a request, and decides it where that goes at once."""
        with self._store.transaction():
            old = self._store.setting(f"preference:{project}:{name}")
            if old is None and not allow_missing:
                raise not_found(f"projects/{project}/locations/global/quotaPreferences/{name}")
            body = self._checked(project, name, given, old["body"] if old else None)
            record = {"body": body, "asked": time.time()}
            self._decide(project, name, record)
            return body

    def _checked(self, project: str, name: str, given: Json, old: Json | None) -> Json:
        for field in ("service", "quotaId", "quotaConfig"):
            if not given.get(field):
                raise required(field)
        if given["service"] != SERVICE:
            raise not_found(f"services/{given['service']}")
        dimensions = given.get("dimensions", {})
        limit = _limit(self.info(project, given["quotaId"]), dimensions)
        try:
            wanted = int(given["quotaConfig"]["preferredValue"])
        except (KeyError, TypeError, ValueError) as error:
            raise invalid(
                "quotaConfig.preferredValue", given["quotaConfig"], "A number."
            ) from error
        if wanted > limit and "@" not in given.get("contactEmail", ""):
            raise required("contactEmail")
        if old:
            for field in _FIXED:
                if given.get(field, {}) != old.get(field, {}):
                    raise invalid(field, given.get(field), "It can't be changed.")
            if given.get("etag", old["etag"]) != old["etag"]:
                raise ApiError(409, "aborted", "The etag is not that of the current preference.")
        for other, record in self._store.settings(f"preference:{project}:").items():
            same = all(record["body"].get(field, {}) == given.get(field, {}) for field in _FIXED)
            if same and other != name:
                raise ApiError(
                    409, "alreadyExists", f"{record['body']['name']} has these dimensions."
                )
        _, details = self._world.project(project)
        number = details["number"]
        return {
            "name": f"projects/{number}/locations/global/quotaPreferences/{name}",
            "service": SERVICE,
            "quotaId": given["quotaId"],
            "dimensions": dimensions,
            "quotaConfig": {
                "preferredValue": str(wanted),
                "stateDetail": _DETAILS["pending"],
                "grantedValue": str(int(limit)),
                "requestOrigin": "ORIGIN_UNSPECIFIED",
            },
            "createTime": old["createTime"] if old else now(),
            "updateTime": now(),
            "justification": given.get("justification", ""),
            "reconciling": True,
            "etag": fingerprints.of([name, given, time.time_ns()]),
        }

    def _decide(self, project: str, name: str, record: Json) -> None:
        """Grants or denies what waits, as the switch says; a grant raises the limit."""
        policy = self._store.setting("quota-requests", {"outcome": "granted", "seconds": 0})
        body, outcome = record["body"], policy["outcome"]
        ripe = time.time() >= record["asked"] + policy["seconds"]
        if body["reconciling"] and outcome != "pending" and ripe:
            config = body["quotaConfig"]
            body |= {"reconciling": False, "updateTime": now()}
            config["stateDetail"] = _DETAILS[outcome]
            if outcome == "granted":
                config["grantedValue"] = config["preferredValue"]
                self._raise(project, body)
        self._store.put_setting(f"preference:{project}:{name}", record)

    def _raise(self, project: str, body: Json) -> None:
        value, dimensions = int(body["quotaConfig"]["preferredValue"]), body["dimensions"]
        region = dimensions.get("region")
        family = dimensions.get("gpu_family") or _SPOT_QUOTAS.get(body["quotaId"])
        if family:
            self._world.quotas.set_family_limit(project, str(region), family, value)
            return
        metric = body["quotaId"].split("-per-project")[0].replace("-", "_")
        self._world.quotas.set_limit(project, region, metric, value)

    def switch(self, given: Json) -> Json:
        """How requests are decided from now on, also those that wait; says how."""
        outcome, seconds = given.get("outcome"), given.get("seconds", 0)
        if outcome not in OUTCOMES:
            raise invalid("outcome", outcome, f"It must be one of {', '.join(OUTCOMES)}.")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise invalid("seconds", seconds, "It must be a number from 0 up.")
        policy = {"outcome": outcome, "seconds": seconds}
        self._store.put_setting("quota-requests", policy)
        return policy


def _quota_id(metric: str, regional: bool) -> str:
    return f"{metric.replace('_', '-')}-per-project{'-region' if regional else ''}"


def _info(
    project: str, metric: str, quota_id: str, values: list[tuple[dict[str, str], float, list[str]]]
) -> Json:
    return {
        "name": f"projects/{project}/locations/global/services/{SERVICE}/quotaInfos/{quota_id}",
        "quotaId": quota_id,
        "metric": f"{SERVICE}/{metric.lower()}",
        "service": SERVICE,
        "isPrecise": True,
        "containerType": "PROJECT",
        "dimensions": sorted(values[0][0]),
        "metricDisplayName": metric.replace("_", " "),
        "quotaDisplayName": f"{metric.replace('_', ' ')} per project",
        "metricUnit": "1",
        "quotaIncreaseEligibility": {"isEligible": True},
        "dimensionsInfos": [
            {
                "dimensions": dimensions,
                "details": {"value": str(int(value))},
                "applicableLocations": places,
            }
            for dimensions, value, places in values
        ],
    }


def _spot_info(project: str, quota_id: str, metric: str, granted: dict[str, float]) -> Json:
    """As Google shows it: regions that were never granted any share an entry without a value."""
    info = _info(project, metric, quota_id, [({"region": r}, granted[r], [r]) for r in granted])
    none = [region for region in granted if not granted[region]]
    info["dimensionsInfos"] = [
        entry for entry in info["dimensionsInfos"] if entry["applicableLocations"][0] not in none
    ]
    if none:
        info["dimensionsInfos"].append({"details": {}, "applicableLocations": none})
    return info


def _vm_families(
    project: str, metric: str, quota_id: str, families: tuple[str, ...], limit: str
) -> Json:
    """A quota by machine family; its entries without a region hold for the regions not named."""
    info = _info(project, metric, quota_id, [({"region": ""}, 0, [])])
    info["dimensions"] = ["region", "vm_family"]
    info["dimensionsInfos"] = [
        *(
            {
                "dimensions": {"vm_family": family},
                "details": {"value": limit},
                "applicableLocations": list(catalog.REGIONS),
            }
            for family in families
        ),
        {"details": {}},
    ]
    return info


def _limit(info: Json, dimensions: Any) -> int:
    if sorted(dimensions) == sorted(info["dimensions"]):
        for entry in info["dimensionsInfos"]:
            place = dimensions.get("region")
            fits = entry.get("dimensions", {}).items() <= dimensions.items()
            if fits and place in (None, *entry.get("applicableLocations", [place])):
                return int(entry["details"].get("value", 0))
    names = ", ".join(info["dimensions"]) or "none"
    raise invalid("dimensions", dimensions, f"{info['quotaId']} has the dimensions {names}.")


def routes(world: World, authority: Authority) -> list[Route]:
    """Routes of the API, and the switch below /emulator/v1."""
    api = CloudQuotas(world)

    def answered(work: Callable[[Request, str, Json], Json]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            raw = await request.body()

            def call() -> Json:
                authority.check(request.headers.get("authorization"))
                project, details = world.project(request.path_params["project"])
                if world.store.setting(f"api-off:{project}:{API}"):
                    raise api_disabled(details["number"], API)
                service = request.path_params.get("service", SERVICE)
                if service != SERVICE:
                    raise not_found(f"services/{service}")
                return work(request, project, _object(raw))

            return JSONResponse(await run_in_threadpool(call))

        return endpoint

    def preference(request: Request, project: str, body: Json) -> Json:
        name = request.path_params["name"]
        if request.method == "GET":
            return api.preference(project, name)
        missing = request.query_params.get("allowMissing", "").lower() == "true"
        unknown = set(request.query_params) - {"allowMissing", "updateMask", "alt"}
        if unknown:
            text = f"Invalid JSON payload received. Unknown name: {', '.join(sorted(unknown))}"
            raise ApiError(400, "badRequest", text)
        return api.upsert(project, name, body, missing)

    def info(request: Request, project: str, _body: Json) -> Json:
        return api.info(project, request.path_params["name"])

    def preferences(_request: Request, project: str, _body: Json) -> Json:
        return {"quotaPreferences": api.preferences(project)}

    def infos(_request: Request, project: str, _body: Json) -> Json:
        return {"quotaInfos": api.infos(project)}

    async def switch(request: Request) -> Response:
        return JSONResponse(api.switch(_object(await request.body())))

    base = "/v1/projects/{project}/locations/global"
    services = f"{base}/services/{{service}}/quotaInfos"
    return [
        Route("/emulator/v1/quota-requests", switch, methods=["PUT"]),
        Route(f"{base}/quotaPreferences", answered(preferences), methods=["GET"]),
        Route(f"{base}/quotaPreferences/{{name}}", answered(preference), methods=["GET", "PATCH"]),
        Route(services, answered(infos), methods=["GET"]),
        Route(f"{services}/{{name}}", answered(info), methods=["GET"]),
    ]


def _object(raw: bytes) -> Json:
    try:
        value = json.loads(raw) if raw.strip() else {}
    except ValueError as error:
        raise ApiError(400, "parseError", f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise invalid("body", value, "It must be an object.")
    return value
