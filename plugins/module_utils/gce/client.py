# SPDX-License-Identifier: Apache-2.0
"""One HTTP session per run against Compute Engine v1, with typed errors."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ApiError, GceError
from . import client_errors, error_kinds, locations, naming
from .credentials import Login, authorized_session, patient
from .endpoints import in_clear
from .read_cache import SharedReads, whole_list
from .remedies import remedy_for

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11 on

DEFAULT_ENDPOINT = "https://compute.googleapis.com/compute/v1"
PAGE_SIZE = 500
# Google holds a `wait` call open for up to two minutes; everything else it answers soon.
CONNECT_TIMEOUT_S, READ_TIMEOUT_S, HOLD_TIMEOUT_S = 10, 60, 150
RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})


@dataclass(frozen=True)
class Settings:
    """What the shared options say; `timeout` is in seconds and for the whole run."""

    project: str
    service_account_file: str = ""
    access_token: str = ""
    impersonate_service_account: str = ""
    endpoint: str = DEFAULT_ENDPOINT
    timeout: float = 600


class GceClient:
    """Paths are relative to the endpoint: `projects/P/zones/Z/instances/I`.

    Args:
        beside: client of another API in the same run, whose session and so whose token it uses.

    Attributes:
        own_endpoint: Google's own address of the API.
        endpoint_option: how a person sets another.
        api: name under which the API is enabled in a project.
        shared: where set, reads are answered with what another host of the play was told.
    """

    own_endpoint = DEFAULT_ENDPOINT
    endpoint_option = "endpoint, or GCE_VLLM_ENDPOINT"
    api = "compute.googleapis.com"

    def __init__(self, settings: Settings, beside: GceClient | None = None) -> None:
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
        if in_clear(settings.endpoint):
            raise GceError(
                f"The endpoint '{settings.endpoint}' is not encrypted, and the access token "
                "could be read on the way.",
                reason="badEndpoint",
                remedy=f"write https:// ({self.endpoint_option}); without it only this machine "
                "itself may be named.",
            )
        self.settings = settings
        self.project = settings.project.strip()
        self.endpoint = settings.endpoint.rstrip("/")
        self.deadline = time.monotonic() + settings.timeout
        self.requests_sent = 0
        self.shared: SharedReads | None = None
        self._session: Any = None
        self._beside = beside

    @property
    def root(self) -> str:
        """Path of the project."""
        return f"projects/{self.project}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the connections."""
        if self._session is not None and self._beside is None:
            self._session.close()

    def seconds_left(self) -> float:
        """Seconds until this run's deadline; never negative."""
        return max(0.0, self.deadline - time.monotonic())

    def get(self, path: str, what: str, **query: Any) -> dict[str, Any]:
        """Read one resource. `what` ends the sentence 'Could not …' of an error."""
        return self._read(path, what, query)

    def find(self, path: str, what: str, **query: Any) -> dict[str, Any] | None:
        """Read one resource, or None where it is missing (but its project and zone are not)."""
        if self.shared and not query and (listing := whole_list(path)):
            at, collection = listing
            members = self.aggregated(at, collection, what) if collection else self.list(at, what)
            return next((one for one in members if _path_of(one) == path), None)
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
            page = self._read(path, what, query)
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
            page = self._read(path, what, query)
            for scope in (page.get("items") or {}).values():
                yield from scope.get(collection) or []
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def named(self, collection: str, name: str, what: str) -> Iterator[dict[str, Any]]:
        """Every item of this name in all zones and regions."""
        # A filter would be another question for each host.
        query = {} if self.shared else {"filter": f'name = "{name}"'}
        path = f"{self.root}/aggregated/{collection}"
        for one in self.aggregated(path, collection, what, **query):
            if one["name"] == name:
                yield one

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

    def _read(self, path: str, what: str, query: dict[str, Any]) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            return self._call("GET", path, what, query, None)

        return self.shared.answer(path, query, ask) if self.shared else ask()

    def _call(
        self, verb: str, path: str, what: str, query: dict[str, Any], body: dict[str, Any] | None
    ) -> dict[str, Any]:
        from google.auth import exceptions as auth_errors  # noqa: PLC0415
        from requests import exceptions as http_errors  # noqa: PLC0415

        from .retries import Patience, cut_short  # noqa: PLC0415

        session, patience = self._connected(), Patience(self.deadline)
        # What is no JSON is mostly a proxy's page, which stays.
        for_pages = Patience(self.deadline, tries=12)
        while True:
            self.requests_sent += 1
            try:
                answer = session.request(
                    verb,
                    f"{self.endpoint}/{path}",
                    params=query,
                    json=body,
                    timeout=self._timeouts(path),
                )
            except auth_errors.TransportError as error:
                if cut_short(error) and patience.pause():
                    continue
                raise client_errors.unreachable(
                    self, what, "the address that issues tokens", error
                ) from None
            except auth_errors.GoogleAuthError as error:
                raise client_errors.refused(self, what, error) from None
            except http_errors.RequestException as error:
                # The same requestId goes out again: what was carried out is not done twice.
                if cut_short(error) and patience.pause():
                    continue
                raise client_errors.unreachable(self, what, self.endpoint, error) from None
            if answer.ok:
                content = _json(answer)
                if content is not None:
                    return content
                if for_pages.pause():
                    continue
                raise client_errors.unreadable(self, what, answer)
            problem = self._error(answer, what)
            # Some of Google's rate limits are a 403, which the transport does not retry.
            if problem.reason not in RATE_REASONS or not patience.pause():
                raise self._explained(path, problem) from None

    def _explained(self, path: str, problem: ApiError) -> GceError:
        # Other APIs have no list of zones to ask for.
        return locations.explained(self, path, problem) if self.api == GceClient.api else problem

    def _timeouts(self, path: str) -> tuple[float, float]:
        """Seconds to connect, and without a byte of the answer; none goes beyond the deadline."""
        silence = HOLD_TIMEOUT_S if path.endswith("/wait") else READ_TIMEOUT_S
        left = max(1.0, self.seconds_left())
        return min(CONNECT_TIMEOUT_S, left), min(silence, left)

    def _connected(self) -> Any:
        if self._session is None and self._beside is not None:
            self._session = patient(self._beside._connected(), self.deadline, self.endpoint)
        if self._session is None:
            login = Login(
                self.settings.service_account_file,
                self.settings.access_token,
                self.settings.impersonate_service_account,
                self.settings.endpoint,
            )
            self._session = authorized_session(login, self.deadline)
        return self._session

    def _error(self, answer: Any, what: str) -> ApiError:
        content = (_json(answer) or {}).get("error", {})
        if not isinstance(content, dict):
            content = {"message": str(content)}
        text = str(content.get("message") or answer.text[:300] or answer.reason)
        missing = naming.missing_resource(text)
        said = error_kinds.of_http(answer.status_code, content, naming.error_reason(content))
        found = error_kinds.meaning(said, self.project)
        reason, remedy = found.reason, found.remedy.replace(GceClient.api, self.api)
        if len(said.texts) > 1:
            text = "; ".join(one.rstrip(".") for one in said.texts)
        if missing == self.root:
            text = f"There is no project {self.project}, or this account may not see it."
            reason, remedy = "projectNotFound", remedy_for("projectNotFound", 404, self.project)
        details = {**found.details, **({"missing": missing} if missing else {})}
        return ApiError(
            f"Could not {what}: {text.rstrip('.')}.",
            google_message=text,
            reason=reason,
            remedy=remedy,
            status=answer.status_code,
            details=details,
        )


def _path_of(resource: dict[str, Any]) -> str:
    return naming.relative(str(resource.get("selfLink", "")))


def _once(query: dict[str, Any]) -> dict[str, Any]:
    return {**query, "requestId": str(uuid.uuid4())}


def _json(answer: Any) -> dict[str, Any] | None:
    """The answer's object; `{}` for an empty one, None where it is something else."""
    try:
        content = answer.json() if answer.content else {}
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
