# SPDX-License-Identifier: Apache-2.0
"""From an HTTP request to an API method's answer."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from emulator import handlers
from emulator.errors import ApiError, Json, invalid
from emulator.faults.faults import OperationFaultError
from emulator.request import validation
from emulator.request.auth import Authority
from emulator.request.call import HANDLERS, Call
from emulator.request.discovery import Method, compute_v1
from emulator.request.fields import select
from emulator.world.catalog_data import IMAGE_PROJECTS
from emulator.world.references import Ref
from emulator.world.world import World

_log = logging.getLogger(__name__)
_PUBLIC = ("compute.images.", "compute.imageFamilyViews.")
_NOT_CHANGING = ("Operations.wait",)
Answer = tuple[int, Json]


class Dispatcher:
    """Answers API requests; safe to call from many threads."""

    def __init__(self, world: World, authority: Authority) -> None:
        self.world = world
        self.authority = authority
        self._discovery = compute_v1()
        assert handlers.__all__  # noqa: S101 (imported for what it registers)

    def answer(
        self,
        verb: str,
        path: str,
        query: list[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        """Status and JSON for a request; `path` begins with `projects/`, headers in lower case."""
        try:
            user = self.authority.check(headers.get("authorization"))
            return 200, self._call(verb, path, query, user, body)
        except ApiError as error:
            return error.status, error.body()
        except Exception as error:  # an answer in Google's shape is what clients can read
            _log.exception("%s %s failed", verb, path)
            return 500, ApiError(500, "backendError", repr(error)).body()

    def _call(
        self, verb: str, path: str, query: list[tuple[str, str]], user: str, body: bytes
    ) -> Json:
        matched = self._discovery.match(verb, path)
        if matched is None:
            raise ApiError(404, "notFound", f"Not Found: {verb} {path} is no method of compute v1.")
        method, values = matched
        handler = HANDLERS.get(method.id)
        if handler is None:
            raise ApiError(501, "notImplemented", f"{method.id} is not emulated.")
        params = validation.parameters(self._discovery, method, values, query)
        params["project"] = self._project(method, params["project"])
        content = validation.body(self._discovery, method, _parse(body))
        call = Call(self.world, method.id, params, content, user)
        try:
            with self._alone(method):
                answer = self._once(method, call) or handler(call)
                self._remember(method, call, answer)
        except OperationFaultError as fault:  # what the handler had written is undone
            with self.world.store.transaction():
                answer = self._failing(call, fault)
                self._remember(method, call, answer)
        return select(answer, params["fields"]) if params.get("fields") else answer

    def _failing(self, call: Call, fault: OperationFaultError) -> Json:
        """An operation that ends with a fault rule's error, and does nothing else."""

        def work() -> None:
            raise fault.failure

        return self.world.operations.begin(
            fault.kind,
            fault.target,
            project=call.project,
            scope=call.scope,
            user=call.user,
            work=work,
            target_id=fault.target_id,
        )

    def _alone(self, method: Method) -> AbstractContextManager[None]:
        """Changes happen one at a time and whole; waiting for an operation holds nobody up."""
        if method.verb == "GET" or method.id.endswith(_NOT_CHANGING):
            return nullcontext()
        return self.world.store.transaction()

    def _project(self, method: Method, name: str) -> str:
        try:
            return self.world.project(name)[0]
        except ApiError:
            if name in IMAGE_PROJECTS:
                if method.id.startswith(_PUBLIC):
                    return name
                raise ApiError(
                    403, "forbidden", f"Required '{method.id}' permission for 'projects/{name}'"
                ) from None
            raise

    def _once(self, method: Method, call: Call) -> Json | None:
        """The operation that an earlier request with the same requestId began."""
        request_id = call.params.get("requestId")
        if not request_id:
            return None
        try:
            valid = uuid.UUID(request_id).int != 0
        except ValueError:
            valid = False
        if not valid:
            raise invalid("requestId", request_id, "It must be a UUID other than zero.")
        place = self.world.store.setting(_request_key(method, call))
        return self.world.store.get(Ref(**place)) if place else None

    def _remember(self, method: Method, call: Call, answer: Json) -> None:
        if call.params.get("requestId") and answer.get("kind") == "compute#operation":
            ref = call.ref("operations", answer["name"])
            place = {
                "project": ref.project, "scope": ref.scope,
                "collection": ref.collection, "name": ref.name,
            }  # fmt: skip
            self.world.store.put_setting(_request_key(method, call), place)


def _request_key(method: Method, call: Call) -> str:
    return f"request:{call.project}:{method.id}:{call.params['requestId'].lower()}"


def _parse(body: bytes) -> Any:
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except ValueError as error:
        raise ApiError(400, "parseError", f"Parse Error: the body is not JSON: {error}") from error


_API_PATH = re.compile(r"/compute/v1/(projects/.+)")


def api_path(path: str) -> str | None:
    """The part of a URL's path that names a method; None for other URLs."""
    match = _API_PATH.fullmatch(path)
    return match[1] if match else None
