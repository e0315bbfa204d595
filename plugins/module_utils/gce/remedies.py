# SPDX-License-Identifier: Apache-2.0
"""What to do next, for each way in which Compute Engine refuses."""

from __future__ import annotations

NO_CREDENTIALS = (
    "give credentials in one of three ways: run `gcloud auth application-default login`; or name a "
    "service account's JSON key (service_account_file, or GOOGLE_APPLICATION_CREDENTIALS in the "
    "environment); or pass an access token (access_token, from `gcloud auth print-access-token`)."
)

IMPERSONATION = (
    "grant the account whose credentials are used roles/iam.serviceAccountTokenCreator on it; see "
    "that its e-mail is spelled right, and that the API is on: `gcloud services enable "
    "iamcredentials.googleapis.com --project {project}`."
)

_BY_REASON = {
    "accessNotConfigured": (
        "enable the API with `gcloud services enable compute.googleapis.com --project {project}` "
        "or at "
        "https://console.cloud.google.com/apis/library/compute.googleapis.com?project={project}, "
        "wait a minute, and run again."
    ),
    "forbidden": (
        "grant the account that runs this roles/compute.instanceAdmin.v1 and "
        "roles/compute.securityAdmin on project {project}, and roles/iam.serviceAccountUser on the "
        "instance's service account if it has one; check that the project id is spelled right."
    ),
    "unauthorized": (
        "the credentials were refused or have expired: log in again "
        "(`gcloud auth application-default login`), renew the access token, or make a new key."
    ),
    "billing": (
        "link a billing account: https://console.cloud.google.com/billing/linkedaccount?project={project}."
    ),
    "QUOTA_EXCEEDED": (
        "free what is not used, choose another region, or ask for more at "
        "https://console.cloud.google.com/iam-admin/quotas?project={project}."
    ),
    "ZONE_RESOURCE_POOL_EXHAUSTED": (
        "the zone has no such machine free just now: try another zone or machine type, or wait "
        "and run again."
    ),
    "projectNotFound": (
        "check the id with `gcloud projects list` (the id, not the name or number), and that the "
        "account may see it."
    ),
    "rateLimitExceeded": "too many requests came from this project: wait a minute and run again.",
    "resourceInUseByAnotherResource": "detach or delete what uses it first; the message names it.",
    "resourceNotReady": "another change to it is under way: wait for it to end and run again.",
    "changedMeanwhile": "someone changed it at the same moment: run again.",
    "conditionNotMet": (
        "something that the message names does not hold: put it right, and run again. Running "
        "again as it is does not help."
    ),
    "IP_SPACE_EXHAUSTED": (
        "the subnetwork or the region has no free address: release one that is not used, or take "
        "another subnetwork or region."
    ),
    "UNSUPPORTED_OPERATION": (
        "Google Cloud does not do this with such a resource; the message names the field. Correct "
        "it in the settings, and run again."
    ),
    "RESOURCE_NOT_FOUND": (
        "something that it names is gone or was never there: the message names it. Correct the "
        "name, or run again where it was deleted meanwhile."
    ),
    "RESOURCE_ALREADY_EXISTS": "someone made one of this name at the same moment: run again.",
    "OPERATION_CANCELED_BY_USER": "someone stopped the operation: run again.",
    "backendError": "Google Cloud failed: see https://status.cloud.google.com and run again.",
}
_ALIASES = {
    "SERVICE_DISABLED": "accessNotConfigured",
    "required": "unauthorized",
    "authError": "unauthorized",
    "insufficientPermissions": "forbidden",
    "billingNotEnabled": "billing",
    "BILLING_DISABLED": "billing",
    "quotaExceeded": "QUOTA_EXCEEDED",
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": "ZONE_RESOURCE_POOL_EXHAUSTED",
    "stockout": "ZONE_RESOURCE_POOL_EXHAUSTED",
    "userRateLimitExceeded": "rateLimitExceeded",
    "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE": "resourceInUseByAnotherResource",
    "RESOURCE_NOT_READY": "resourceNotReady",
    "CONDITION_NOT_MET": "conditionNotMet",
    "PERMISSIONS_ERROR": "forbidden",
    "IAM_PERMISSION_DENIED": "forbidden",
    "RATE_LIMIT_EXCEEDED": "rateLimitExceeded",
    "RESOURCE_OPERATION_RATE_EXCEEDED": "rateLimitExceeded",
    "STOCKOUT": "ZONE_RESOURCE_POOL_EXHAUSTED",
    "RESOURCE_POOL_EXHAUSTED": "ZONE_RESOURCE_POOL_EXHAUSTED",
    "IP_SPACE_EXHAUSTED_WITH_DETAILS": "IP_SPACE_EXHAUSTED",
    "alreadyExists": "RESOURCE_ALREADY_EXISTS",
    "internalError": "backendError",
    "INTERNAL_ERROR": "backendError",
}
_BY_STATUS = {401: "unauthorized", 403: "forbidden", 429: "rateLimitExceeded"}


def remedy_for(reason: str, status: int, project: str) -> str:
    """Advice for one of Google's reasons; '' where there is nothing better than its own message."""
    # A bare 401 says `required` too, but so does a 400 for a missing parameter.
    known = _ALIASES.get(reason, reason)
    if reason == "required" and status == 400:
        known = ""
    text = _BY_REASON.get(known, "")
    if not text and status in _BY_STATUS:
        text = _BY_REASON[_BY_STATUS[status]]
    if not text and status >= 500:
        text = _BY_REASON["backendError"]
    return text.format(project=project)
