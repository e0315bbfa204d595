# SPDX-License-Identifier: Apache-2.0
"""Errors in Compute Engine's two shapes: an HTTP answer and a failed operation."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}


class ApiError(Exception):
    """An answer other than success.

    Attributes:
        status: HTTP status.
        reason: Google's camelCase reason, for example `notFound`.
        code: the operation error's code, for example `RESOURCE_NOT_FOUND`.
        details: `errorDetails` of an operation error (quotaInfo, errorInfo, ...).
        info: an ErrorInfo, as newer APIs tell the reason.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        domain: str = "global",
        code: str | None = None,
        location: str | None = None,
        location_type: str = "parameter",
        details: list[Json] | None = None,
        info: Json | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.domain = domain
        self.code = code or _upper_snake(reason)
        self.location = location
        self.location_type = location_type
        self.details = details or []
        self.info = info

    def body(self) -> Json:
        """The JSON body of the HTTP answer."""
        item: Json = {"message": self.message, "domain": self.domain, "reason": self.reason}
        if self.location:
            item |= {"location": self.location, "locationType": self.location_type}
        if self.details:
            item["errorDetails"] = self.details
        error: Json = {"code": self.status, "message": self.message, "errors": [item]}
        if self.status in _STATUS_NAMES:
            error["status"] = _STATUS_NAMES[self.status]
        if self.info:
            kind = "type.googleapis.com/google.rpc.ErrorInfo"
            error["details"] = [{"@type": kind, **self.info}]
        return {"error": error}

    def operation_fields(self) -> Json:
        """The fields that a failed operation carries for this error."""
        item: Json = {"code": self.code, "message": self.message}
        if self.location:
            item["location"] = self.location
        if self.details:
            item["errorDetails"] = self.details
        return {
            "error": {"errors": [item]},
            "httpErrorStatusCode": self.status,
            "httpErrorMessage": HTTPStatus(self.status).phrase.upper(),
        }


def _upper_snake(camel: str) -> str:
    return "".join(f"_{c}" if c.isupper() else c.upper() for c in camel)


def not_found(path: str) -> ApiError:
    """404 for a resource; `path` begins with `projects/`."""
    return ApiError(
        404, "notFound", f"The resource '{path}' was not found", code="RESOURCE_NOT_FOUND"
    )


def already_exists(path: str) -> ApiError:
    """409 for a name that is taken."""
    return ApiError(
        409,
        "alreadyExists",
        f"The resource '{path}' already exists",
        code="RESOURCE_ALREADY_EXISTS",
    )


def invalid(field: str, value: Any, why: str) -> ApiError:
    """400 for a field or parameter whose value can't be taken."""
    shown = value if isinstance(value, str) else repr(value)
    return ApiError(400, "invalid", f"Invalid value for field '{field}': '{shown}'. {why}")


def required(field: str) -> ApiError:
    """400 for a field that is missing."""
    return ApiError(400, "required", f"Required field '{field}' not specified")


def condition_not_met(message: str) -> ApiError:
    """412 for a stale fingerprint."""
    return ApiError(412, "conditionNotMet", message, location="If-Match", location_type="header")


def in_use(path: str, by: str) -> ApiError:
    """400 for a resource that another one holds."""
    return ApiError(
        400,
        "resourceInUseByAnotherResource",
        f"The resource '{path}' is already being used by '{by}'",
        code="RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
    )


def not_ready(path: str) -> ApiError:
    """400 for a resource in the middle of something else."""
    return ApiError(
        400, "resourceNotReady", f"The resource '{path}' is not ready", code="RESOURCE_NOT_READY"
    )


def must_be_stopped(path: str, what: str) -> ApiError:
    """400 for a change that a running instance does not allow."""
    return ApiError(
        400,
        "resourceNotReady",
        f"The instance '{path}' must be stopped (TERMINATED) before its {what} can change",
        code="RESOURCE_NOT_READY",
    )


def quota_exceeded(metric: str, limit: float, region: str | None, gpu_family: str = "") -> ApiError:
    """403 for a metric over its limit; `region` None means project-wide."""
    where = f"in region {region}" if region else "globally"
    info: Json = {
        "metricName": f"compute.googleapis.com/{metric.lower()}",
        "limitName": f"{metric.replace('_', '-')}-per-project{'-region' if region else ''}",
        "dimensions": {"region": region or "global"}
        | ({"gpu_family": gpu_family} if gpu_family else {}),
        "limit": limit,
    }
    return ApiError(
        403,
        "quotaExceeded",
        f"Quota '{metric}' exceeded.  Limit: {float(limit)} {where}.",
        domain="usageLimits",
        code="QUOTA_EXCEEDED",
        details=[{"quotaInfo": info}],
    )


def stockout(
    project: str, zone: str, machine_type: str, elsewhere: list[str], *, with_details: bool = False
) -> ApiError:
    """503 as an operation error: the zone has no such machines to give."""
    metadatas = {"vmType": machine_type, "zone": zone}
    if elsewhere:
        metadatas["zonesAvailable"] = ",".join(elsewhere)
    return ApiError(
        503,
        "zoneResourcePoolExhausted",
        f"The zone 'projects/{project}/zones/{zone}' does not have enough resources available "
        f"to fulfill the request ({machine_type}). Try a different zone, or try again later.",
        code="ZONE_RESOURCE_POOL_EXHAUSTED" + ("_WITH_DETAILS" if with_details else ""),
        details=[
            {
                "errorInfo": {
                    "reason": "resource_availability",
                    "domain": "compute.googleapis.com",
                    "metadatas": metadatas,
                }
            }
        ],
    )


def api_disabled(number: str, api: str) -> ApiError:
    """403 of an API that is not enabled in the project of that number."""
    page = f"https://console.developers.google.com/apis/api/{api}/overview?project={number}"
    return ApiError(
        403,
        "accessNotConfigured",
        f"{api} has not been used in project {number} before or it is disabled. Enable it by "
        f"visiting {page} then retry.",
        domain="usageLimits",
        info={
            "reason": "SERVICE_DISABLED",
            "domain": "googleapis.com",
            "metadata": {"service": api, "consumer": f"projects/{number}"},
        },
    )
