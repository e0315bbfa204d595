# SPDX-License-Identifier: Apache-2.0
"""The OS Login API v1: an account's SSH keys, and the POSIX account it has in a project."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.errors import ApiError, Json, api_disabled, invalid, not_found
from emulator.request import validation
from emulator.request.auth import Authority
from emulator.request.discovery import oslogin_v1
from emulator.world.world import World

API = "oslogin.googleapis.com"
_LONGEST_NAME = 32  # characters of a user name
_FIRST_UID = 10_000


class OsLogin:
    """Login profiles, by e-mail."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store

    def profile(self, user: str, project: str | None = None) -> Json:
        """The profile as Google shows it; with a project only what counts there."""
        record = self._record(user)
        accounts = list(record["accounts"].values())
        if project:
            accounts = [one for one in accounts if one["accountId"] == project]
        shown: Json = {"name": user}
        if accounts:
            shown["posixAccounts"] = accounts
        if record["keys"]:
            shown["sshPublicKeys"] = record["keys"]
        return shown

    def import_key(self, user: str, project: str | None, body: Json) -> Json:
        """Adds a key, or changes the expiry of the one there is; makes the project's account."""
        with self._store.transaction():
            record = self._record(user)
            fingerprint = self._put(user, record, body)
            if project:
                name, details = self._world.project(project)
                if self._store.setting(f"api-off:{name}:{API}"):
                    raise api_disabled(details["number"], API)
                record["accounts"].setdefault(name, _account(user, name))
            self._store.put_setting(_place(user), record)
        details_text = f"Key {fingerprint} imported."
        return {"loginProfile": self.profile(user), "details": details_text}

    def create(self, user: str, body: Json) -> Json:
        """Adds a key that is not there yet."""
        with self._store.transaction():
            record = self._record(user)
            fingerprint = self._put(user, record, body)
            self._store.put_setting(_place(user), record)
        return self.key(user, fingerprint)

    def key(self, user: str, fingerprint: str) -> Json:
        """One key."""
        found = self._record(user)["keys"].get(fingerprint)
        if found is None:
            raise not_found(f"users/{user}/sshPublicKeys/{fingerprint}")
        key: Json = found
        return key

    def patch(self, user: str, fingerprint: str, mask: str | None, body: Json) -> Json:
        """Changes when a key expires; its text is what names it."""
        wanted = set(mask.split(",")) if mask else set(body)
        if not wanted <= {"key", "expirationTimeUsec"}:
            raise invalid("updateMask", mask, "It may name key and expirationTimeUsec.")
        with self._store.transaction():
            record = self._record(user)
            key = self.key(user, fingerprint)
            if "key" in wanted and body.get("key") != key["key"]:
                raise invalid("sshPublicKey.key", body.get("key"), "It can't be changed.")
            if "expirationTimeUsec" in wanted:
                _set_expiry(key, body)
            record["keys"][fingerprint] = key
            self._store.put_setting(_place(user), record)
        return key

    def delete(self, user: str, fingerprint: str) -> Json:
        """Removes a key."""
        with self._store.transaction():
            self.key(user, fingerprint)
            record = self._record(user)
            del record["keys"][fingerprint]
            self._store.put_setting(_place(user), record)
        return {}

    def _record(self, user: str) -> Json:
        record: Json = self._store.setting(_place(user), {"keys": {}, "accounts": {}})
        return record

    def _put(self, user: str, record: Json, body: Json) -> str:
        text = str(body.get("key", "")).strip()
        if len(text.split()) < 2 or "\n" in text:
            raise invalid("sshPublicKey.key", "", "It must be a public key in OpenSSH's form.")
        fingerprint = hashlib.sha256(text.encode()).hexdigest()
        name = f"users/{user}/sshPublicKeys/{fingerprint}"
        key = record["keys"].setdefault(
            fingerprint, {"key": text, "fingerprint": fingerprint, "name": name}
        )
        if "expirationTimeUsec" in body:
            _set_expiry(key, body)
        return fingerprint


def _set_expiry(key: Json, body: Json) -> None:
    expiry = int(body.get("expirationTimeUsec", "0"))
    if expiry and expiry < time.time() * 1_000_000:
        raise invalid("expirationTimeUsec", expiry, "It lies in the past.")
    if expiry:
        key["expirationTimeUsec"] = str(expiry)
    else:
        key.pop("expirationTimeUsec", None)


def _account(user: str, project: str) -> Json:
    digest = int(hashlib.sha256(user.encode()).hexdigest(), 16)
    uid = str(_FIRST_UID + digest % 2**30)
    name = user.lower()
    for sign in "@.+-":
        name = name.replace(sign, "_")
    if user.endswith(".gserviceaccount.com"):
        # Google takes the account's numeric id, which only it knows.
        name = f"sa_{digest % 10**21}"
    name = name[:_LONGEST_NAME]
    return {
        "primary": True,
        "username": name,
        "uid": uid,
        "gid": uid,
        "homeDirectory": f"/home/{name}",
        "shell": "/bin/bash",
        "operatingSystemType": "LINUX",
        "accountId": project,
        "name": f"users/{user}/projects/{project}",
    }


def _place(user: str) -> str:
    return f"oslogin:{user}"


def routes(world: World, authority: Authority) -> list[Route]:
    """Routes of oslogin.googleapis.com, which share the port with Compute Engine."""
    api = OsLogin(world)

    def answered(method: str, work: Callable[[Request, Json, Json], Json]) -> Callable[..., Any]:
        described = oslogin_v1().methods[f"oslogin.users.{method}"]

        async def endpoint(request: Request) -> Response:
            raw = await request.body()

            def call() -> Json:
                caller = authority.check(request.headers.get("authorization"))
                user = request.path_params["user"]
                if user != caller:
                    raise ApiError(
                        403, "forbidden", f"{caller} may not use the login profile of {user}."
                    )
                path = {name: _path(request) for name in ("name", "parent")}
                path = {name: path[name] for name in path if name in described.parameters}
                query = validation.parameters(
                    oslogin_v1(), described, path, request.query_params.multi_items()
                )
                body = validation.body(oslogin_v1(), described, _json(raw))
                return work(request, query, body)

            return JSONResponse(await run_in_threadpool(call))

        return endpoint

    def user(request: Request) -> str:
        return str(request.path_params["user"])

    def key(request: Request) -> str:
        return str(request.path_params["key"])

    one = "/v1/users/{user}/sshPublicKeys/{key}"

    def profile(request: Request, query: Json, _body: Json) -> Json:
        return api.profile(user(request), query.get("projectId"))

    def imported(request: Request, query: Json, body: Json) -> Json:
        return api.import_key(user(request), query.get("projectId"), body)

    def created(request: Request, _query: Json, body: Json) -> Json:
        return api.create(user(request), body)

    def got(request: Request, _query: Json, _body: Json) -> Json:
        return api.key(user(request), key(request))

    def patched(request: Request, query: Json, body: Json) -> Json:
        return api.patch(user(request), key(request), query.get("updateMask"), body)

    def deleted(request: Request, _query: Json, _body: Json) -> Json:
        return api.delete(user(request), key(request))

    base = "/v1/users/{user}"
    one = f"{base}/sshPublicKeys/{{key}}"
    table = [
        ("GET", f"{base}/loginProfile", "getLoginProfile", profile),
        ("POST", f"{base}:importSshPublicKey", "importSshPublicKey", imported),
        ("POST", f"{base}/sshPublicKeys", "sshPublicKeys.create", created),
        ("GET", one, "sshPublicKeys.get", got),
        ("PATCH", one, "sshPublicKeys.patch", patched),
        ("DELETE", one, "sshPublicKeys.delete", deleted),
    ]
    return [
        Route(path, answered(method, work), methods=[verb]) for verb, path, method, work in table
    ]


def _path(request: Request) -> str:
    path = request.url.path.removeprefix("/v1/").removesuffix("/loginProfile")
    if path.endswith(":importSshPublicKey") or path.endswith("/sshPublicKeys"):
        return f"users/{request.path_params['user']}"
    return path


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw.strip() else None
    except ValueError as error:
        raise ApiError(400, "parseError", f"The body is not JSON: {error}") from error
