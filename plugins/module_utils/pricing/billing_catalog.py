# SPDX-License-Identifier: Apache-2.0
"""Reading the Cloud Billing catalog, and keeping what matters of it for a day."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..errors import ApiError, GceError
from ..gce import endpoints
from ..gce.client import GceClient, Settings
from . import costs, skus
from .catalog_prices import Catalog

DEFAULT_ENDPOINT = "https://cloudbilling.googleapis.com/v1"
PAGE_SIZE = 5000
# Some 30,000 SKUs come in a few pages of megabytes each.
LONGEST_S = 120.0
KEPT_S = 24 * 3600
# Of each SKU no more than is looked at, which is a fraction of it.
FIELDS = (
    "nextPageToken,skus(description,category/usageType,serviceRegions,"
    "pricingInfo(effectiveTime,pricingExpression(usageUnit,tieredRates)))"
)
_FORMAT = 1
Json = dict[str, Any]


class BillingClient(GceClient):
    """The Cloud Billing API; the catalog belongs to no project."""

    own_endpoint = DEFAULT_ENDPOINT
    endpoint_option = "billing_endpoint, or GCE_VLLM_BILLING_ENDPOINT"
    api = "cloudbilling.googleapis.com"

    def rates(self) -> list[skus.Rate]:
        """Every rate of Compute Engine that a plan here can have.

        Raises:
            GceError: the catalog can't be read, or holds nothing that is understood.
        """
        query: Json = {"pageSize": PAGE_SIZE, "currencyCode": costs.CURRENCY, "fields": FIELDS}
        found = []
        while True:
            page = self.get(f"{skus.SERVICE}/skus", "read the Cloud Billing catalog", **query)
            found += [rate for rate in map(skus.rate, page.get("skus") or []) if rate]
            if not page.get("nextPageToken"):
                break
            query["pageToken"] = page["nextPageToken"]
        if not found:
            raise GceError(
                "The Cloud Billing catalog has no price for vCPUs, memory, GPUs or disks.",
                reason="catalogEmpty",
                remedy="take the dated table (price_source: table).",
            )
        return found

    def _error(self, answer: Any, what: str) -> ApiError:
        problem = super()._error(answer, what)
        if problem.status == 403 and problem.reason in ("forbidden", "PERMISSION_DENIED"):
            problem.remedy = "use credentials with the scope cloud-platform or cloud-billing."
        return problem


def prices(
    settings: Settings,
    source: str,
    endpoint: str | None,
    folder: str,
    *,
    beside: GceClient | None = None,
) -> tuple[Any, str]:
    """The source of prices (`costs.Prices`), and why it is not the catalog where it was to be.

    Args:
        settings: credentials, and the address of Compute Engine.
        source: `catalog`, `table`, or `auto` for the catalog where it can be read.
        endpoint: address of the Cloud Billing API, where it is not to be derived.
        folder: where the catalog is kept.
        beside: client of Compute Engine in the same run, where there is one.

    Raises:
        GceError: the catalog is demanded, and can't be read.
    """
    if source == "table":
        return costs.Table(), ""
    where = endpoints.sibling(DEFAULT_ENDPOINT, settings.endpoint, endpoint)
    file = (
        Path(folder).expanduser()
        / f"billing-{hashlib.sha256(where.encode()).hexdigest()[:12]}.json"
    )
    kept = _kept(file)
    if kept:
        return Catalog(kept[0], _day(kept[1]), where), ""
    limit = min(LONGEST_S, settings.timeout)
    asking = replace(
        settings, endpoint=where, timeout=limit, project=settings.project.strip() or "-"
    )
    try:
        client = BillingClient(asking, beside)
        with client:
            rates = client.rates()
    except GceError as error:
        if source == "catalog":
            raise
        return costs.Table(), str(error)
    now = time.time()
    _keep(file, rates, now)
    return Catalog(rates, _day(now), where), ""


def _day(stamp: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(stamp))


def _kept(file: Path) -> tuple[list[skus.Rate], float] | None:
    """Rates and when they were read, where they are not older than a day."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        read = float(content["read"])
        if content["format"] != _FORMAT or not 0 <= time.time() - read < KEPT_S:
            return None
        return [_rate(one) for one in content["rates"]], read
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _rate(one: Mapping[str, Any]) -> skus.Rate:
    return skus.Rate(
        str(one["component"]), one["model"], tuple(one["regions"]), float(one["hourly"])
    )


def _keep(file: Path, rates: list[skus.Rate], now: float) -> None:
    """Write at once or not at all; a folder that can't be written is no reason to fail."""
    content = {"format": _FORMAT, "read": now, "rates": [asdict(rate) for rate in rates]}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(content, out)
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        for other in file.parent.glob("billing-*.json"):
            if now - other.stat().st_mtime > KEPT_S:
                other.unlink(missing_ok=True)
    except OSError:
        return
