# SPDX-License-Identifier: Apache-2.0
"""One HTTP session per run against Compute Engine v1, with typed errors."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import convert
from .credentials import authorized_session
from .errors import ApiError, GceError
from .remedies import NO_CREDENTIALS, remedy_for

DEFAULT_ENDPOINT = "https://compute.googleapis.com/compute/v1"
PAGE_SIZE = 500
# Google holds a `wait` call open for up to two minutes.
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 150
RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})


@dataclass(frozen=True)
class Settings:
    """What the shared options say; `timeout` is in seconds and for the whole run."""

    project: str
    service_account_file: str = ""
    access_token: str = ""
    endpoint: str = DEFAULT_ENDPOINT
    timeout: float = 600


class GceClient:
    """Paths are relative to the endpoint: `projects/P/zones/Z/instances/I`.

    Attributes:
        own_endpoint: Google's own address of the API.
        endpoint_option: how a person sets another.
        api: name under which the API is enabled in a project.
    """

    own_endpoint = DEFAULT_ENDPOINT
    endpoint_option = "endpoint, or GCE_VLLM_ENDPOINT"
    api = "compute.googleapis.com"

    def __init__(self, settings: Settings) -> None:
        if not settings.project.strip():
            raise GceError(
                "The project id is empty.",
                reason="noProject",
                remedy="set the project (gce_project in the inventory); "
                "`gcloud projects list` shows the ids.",
            )
        if not settings.endpoint.startswith(("https://", "http://")):
            raise GceError(
                f"The endpoint '{settings.endpoint}' is not an http or https address.",
                reason="badEndpoint",
                remedy=f"leave it out, or write it in full, as in {self.own_endpoint}.",
            )
        self.settings = settings
        self.project = settings.project.strip()
        self.endpoint = settings.endpoint.rstrip("/")
        self.deadline = time.monotonic() + settings.timeout
        self.requests_sent = 0
        self._session: Any = None

    @property
    def root(self) -> str:
        """Path of the project."""
        return f"projects/{self.project}"

    def __enter__(self) -> GceClient:
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()

    def seconds_left(self) -> float:
        """Seconds until this run's deadline; never negative."""
        return max(0.0, self.deadline - time.monotonic())

    def get(self, path: str, what: str, **query: Any) -> dict[str, Any]:
        """Read one resource. `what` ends the sentence 'Could not …' of an error."""
        return self._call("GET", path, what, query, None)

    def find(self, path: str, what: str, **query: Any) -> dict[str, Any] | None:
        """Read one resource, or None where it is missing (but its project and zone are not)."""
        try:
            return self.get(path, what, **query)
        except ApiError as error:
            if error.status == 404 and error.details.get("missing", path) == path:
                return None
            raise

    def list(self, path: str, what: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item of a collection, page after page."""
        query = {"maxResults": PAGE_SIZE, **query}
        while True:
            page = self._call("GET", path, what, query, None)
            yield from page.get("items", [])
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def aggregated(
        self, path: str, collection: str, what: str, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """Every item of a collection in all zones and regions; `path` ends in `aggregated/…`."""
        query = {"maxResults": PAGE_SIZE, **query}
        while True:
            page = self._call("GET", path, what, query, None)
            for scope in (page.get("items") or {}).values():
                yield from scope.get(collection) or []
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def post(
        self, path: str, what: str, body: dict[str, Any] | None = None, **query: Any
    ) -> dict[str, Any]:
        """Send a change; repeated copies of it do nothing more (requestId)."""
        return self._call("POST", path, what, _once(query), body)

    def patch(self, path: str, what: str, body: dict[str, Any], **query: Any) -> dict[str, Any]:
        """Change the fields of `body`, leaving the others."""
        return self._call("PATCH", path, what, _once(query), body)

    def put(self, path: str, what: str, body: dict[str, Any], **query: Any) -> dict[str, Any]:
        """Replace a resource."""
        return self._call("PUT", path, what, _once(query), body)

    def delete(self, path: str, what: str) -> dict[str, Any]:
        """Remove a resource."""
        return self._call("DELETE", path, what, _once({}), None)

    def hold(self, path: str, what: str) -> dict[str, Any]:
        """POST that changes nothing and takes no requestId: operations' `wait`."""
        return self._call("POST", path, what, {}, None)

    def _call(
        self, verb: str, path: str, what: str, query: dict[str, Any], body: dict[str, Any] | None
    ) -> dict[str, Any]:
        from google.auth import exceptions as auth_errors  # noqa: PLC0415
        from requests import exceptions as http_errors  # noqa: PLC0415

        session = self._connected()
        pause = 1.0
        while True:
            self.requests_sent += 1
            try:
                answer = session.request(
                    verb,
                    f"{self.endpoint}/{path}",
                    params=query,
                    json=body,
                    timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                )
            except auth_errors.TransportError as error:
                raise self._unreachable(what, "the address that issues tokens", error) from None
            except auth_errors.GoogleAuthError as error:
                raise self._refused(what, error) from None
            except http_errors.RequestException as error:
                raise self._unreachable(what, self.endpoint, error) from None
            if answer.ok:
                return _json(answer)
            problem = self._error(answer, what)
            # Some of Google's rate limits are a 403, which the transport does not retry.
            if problem.reason not in RATE_REASONS or self.seconds_left() < pause:
                raise problem
            time.sleep(pause)
            pause = min(pause * 2, 20.0)

    def _connected(self) -> Any:
        if self._session is None:
            session = authorized_session(
                self.settings.service_account_file, self.settings.access_token
            )
            from requests.adapters import HTTPAdapter  # noqa: PLC0415

            from .transport import retry_policy  # noqa: PLC0415

            adapter = HTTPAdapter(max_retries=retry_policy(self.deadline))
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            self._session = session
        return self._session

    def _error(self, answer: Any, what: str) -> ApiError:
        content = _json(answer).get("error", {})
        if not isinstance(content, dict):
            content = {"message": str(content)}
        text = str(content.get("message") or answer.text[:300] or answer.reason)
        reason = convert.error_reason(content)
        missing = convert.missing_resource(text)
        remedy = remedy_for(reason, answer.status_code, self.project)
        remedy = remedy.replace(GceClient.api, self.api)
        if missing == self.root:
            text = f"There is no project {self.project}, or this account may not see it."
            reason, remedy = "projectNotFound", remedy_for("projectNotFound", 404, self.project)
        details = {"missing": missing} if missing else {}
        return ApiError(
            f"Could not {what}: {text.rstrip('.')}.",
            google_message=text,
            reason=reason,
            remedy=remedy,
            status=answer.status_code,
            details=details,
        )

    def _refused(self, what: str, error: Any) -> GceError:
        if error.retryable:
            # google-auth has tried again already; nothing is wrong with the credentials.
            return GceError(
                f"Could not {what}: the address that issues tokens failed ({str(error)[:200]}).",
                reason="tokenEndpoint",
                remedy="wait a minute and run again; see https://status.cloud.google.com.",
            )
        if self.settings.access_token:
            # google-auth says only that it can't renew a bare token, which is not what is wrong.
            return GceError(
                f"Could not {what}: the access token was refused.",
                reason="unauthorized",
                remedy="it is mistyped or has expired (they last an hour): get a new one with "
                "`gcloud auth print-access-token`, or give credentials that renew themselves.",
            )
        return GceError(
            f"Could not {what}: the credentials were refused ({str(error)[:300]}).",
            reason="unauthorized",
            remedy=f"they may have expired or been revoked; {NO_CREDENTIALS}",
        )

    def _unreachable(self, what: str, where: str, error: Exception) -> GceError:
        custom = self.endpoint != self.own_endpoint
        if "refused" in str(error).lower():
            text = f"Could not {what}: nothing answers at {where} (connection refused)."
        else:
            text = f"Could not {what}: {where} could not be reached ({_root_cause(error)})."
        return GceError(
            text,
            reason="unreachable",
            remedy=(
                "start what should listen there, or correct the endpoint "
                f"({self.endpoint_option}; Google's own is {self.own_endpoint})."
                if custom
                else "check this machine's network, DNS and proxy settings (HTTPS_PROXY, NO_PROXY)."
            ),
        )


def _once(query: dict[str, Any]) -> dict[str, Any]:
    return {**query, "requestId": str(uuid.uuid4())}


def _json(answer: Any) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _root_cause(error: BaseException) -> str:
    seen: BaseException = error
    while seen.__cause__ or seen.__context__:
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]
    return f"{type(seen).__name__}: {str(seen)[:200]}"
