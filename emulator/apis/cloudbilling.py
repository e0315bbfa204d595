# SPDX-License-Identifier: Apache-2.0
"""The Cloud Billing API v1, as far as the public catalog goes: services and their SKUs."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.apis.billing_data import GLOBAL, SKUS, Sku
from emulator.errors import ApiError, Json, api_disabled, invalid, not_found
from emulator.request.auth import Authority
from emulator.world.world import World

API = "cloudbilling.googleapis.com"
SERVICE_ID = "6F81-5844-456A"
MOST = 5000
_KNOWN = frozenset(
    {"pageSize", "pageToken", "currencyCode", "startTime", "endTime", "fields", "alt",
     "prettyPrint", "key", "$.xgafv"}
)  # fmt: skip
_EFFECTIVE = "2026-11-01T07:00:00Z"
_UNITS = {
    "h": ("hour", "s", "second", 3600.0),
    "GiBy.h": ("gibibyte hour", "By.s", "byte second", 3865470566400.0),
    "GiBy.mo": ("gibibyte month", "By.s", "byte second", 2.871958e15),
}


def _id(sku: Sku) -> str:
    digest = hashlib.sha256(f"{sku.description}|{sku.regions}".encode()).hexdigest().upper()
    return "-".join(digest[i : i + 4] for i in (0, 4, 8))


def resource(sku: Sku) -> Json:
    """As the API shows a SKU."""
    words, base, base_words, factor = _UNITS[sku.unit]
    if sku.regions == GLOBAL:
        place: Json = {"type": "GLOBAL"}
    else:
        kind = "REGIONAL" if len(sku.regions) == 1 else "MULTI_REGIONAL"
        place = {"type": kind, "regions": list(sku.regions)}
    return {
        "name": f"services/{SERVICE_ID}/skus/{_id(sku)}",
        "skuId": _id(sku),
        "description": sku.description,
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": sku.family,
            "resourceGroup": sku.group,
            "usageType": sku.usage,
        },
        "serviceRegions": list(sku.regions),
        "pricingInfo": [
            {
                "summary": "",
                "pricingExpression": {
                    "usageUnit": sku.unit,
                    "displayQuantity": 1,
                    "tieredRates": [
                        {
                            "startUsageAmount": start,
                            "unitPrice": {
                                "currencyCode": "USD",
                                "units": str(nanos // 10**9),
                                "nanos": nanos % 10**9,
                            },
                        }
                        for start, nanos in sku.tiers
                    ],
                    "usageUnitDescription": words,
                    "baseUnit": base,
                    "baseUnitDescription": base_words,
                    "baseUnitConversionFactor": factor,
                },
                "currencyConversionRate": 1,
                "effectiveTime": _EFFECTIVE,
            }
        ],
        "serviceProviderName": "Google",
        "geoTaxonomy": place,
    }


def _page(request: Request, items: list[Json], name: str) -> Json:
    query = request.query_params
    unknown = set(query) - _KNOWN
    if unknown:
        text = f"Invalid JSON payload received. Unknown name: {', '.join(sorted(unknown))}"
        raise ApiError(400, "badRequest", text)
    if query.get("currencyCode", "USD") != "USD":
        raise invalid("currencyCode", query["currencyCode"], "This catalog is in USD alone.")
    try:
        size = int(query.get("pageSize", "0")) or MOST
        start = int(query.get("pageToken") or 0)
    except ValueError as error:
        raise invalid("pageSize", dict(query), "Not a page of this list.") from error
    if size < 0 or not 0 <= start <= len(items):
        raise invalid("pageToken", start, "Not a page of this list.")
    size = min(size, MOST)
    end = start + size
    return {name: items[start:end], "nextPageToken": str(end) if end < len(items) else ""}


def routes(world: World, authority: Authority) -> list[Route]:
    """Routes of the API. It is on, unless it was switched off for all (project `-`)."""

    def answered(request: Request) -> Json:
        authority.check(request.headers.get("authorization"))
        if world.store.setting(f"api-off:-:{API}"):
            raise api_disabled("0", API)
        service: Any = request.path_params.get("service")
        if service is None:
            about = {
                "name": f"services/{SERVICE_ID}",
                "serviceId": SERVICE_ID,
                "displayName": "Compute Engine",
                "businessEntityName": "businessEntities/GCP",
            }
            return _page(request, [about], "services")
        if service != SERVICE_ID:
            raise not_found(f"services/{service}")
        return _page(request, [resource(sku) for sku in SKUS], "skus")

    async def endpoint(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(answered, request))

    return [
        Route("/v1/services", endpoint, methods=["GET"]),
        Route("/v1/services/{service}/skus", endpoint, methods=["GET"]),
    ]
