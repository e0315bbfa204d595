# SPDX-License-Identifier: Apache-2.0
"""SSH keys and POSIX accounts of a Google account, by the OS Login API."""

from __future__ import annotations

import base64
import binascii
import datetime
import time
from collections.abc import Mapping
from typing import Any

from ..diff import Change
from ..errors import ApiError, GceError
from .client import GceClient

DEFAULT_ENDPOINT = "https://oslogin.googleapis.com/v1"
_KINDS = ("ssh-", "ecdsa-", "sk-")
_MICRO = 1_000_000
Json = dict[str, Any]


class OsLoginClient(GceClient):
    """The OS Login API; paths are relative to its endpoint."""

    own_endpoint = DEFAULT_ENDPOINT
    endpoint_option = "os_login_endpoint, or GCE_VLLM_OS_LOGIN_ENDPOINT"
    api = "oslogin.googleapis.com"

    def account(self) -> str:
        """E-mail of the service account that asks; '' where the credentials don't say."""
        # An AuthorizedSession has it in front of the credentials' own.
        email = getattr(self._connected().credentials, "service_account_email", None)
        return email if isinstance(email, str) and "@" in email else ""

    def import_key(self, user: str, what: str, key: Json) -> Json:
        """Add a key to the user's profile, and an account in the project where there is none.

        A repeated copy does nothing more: a key is in a profile once.
        """
        path = f"users/{user}:importSshPublicKey"
        return self._call("POST", path, what, {"projectId": self.project}, key)

    def expire_key(self, name: str, what: str, expiry: Json) -> Json:
        """Change when a key expires and nothing else."""
        return self._call("PATCH", name, what, {"updateMask": "expirationTimeUsec"}, expiry)

    def remove_key(self, name: str, what: str) -> Json:
        """Remove a key; this API knows no requestId."""
        return self._call("DELETE", name, what, {}, None)

    def _error(self, answer: Any, what: str) -> ApiError:
        problem = super()._error(answer, what)
        if problem.status == 403 and problem.reason in ("forbidden", "PERMISSION_DENIED"):
            problem.remedy = (
                "an account may change its own profile only: let user be the account whose "
                "credentials these are, or leave it out for a service account."
            )
        return problem


def parts(public_key: str) -> tuple[str, str]:
    """Kind and base64 of an OpenSSH public key; its comment tells nothing.

    Raises:
        GceError: it is none. Its text is not quoted: it may be a private key.
    """
    words = public_key.split()
    lines = public_key.strip().splitlines()
    if len(lines) == 1 and len(words) >= 2 and words[0].startswith(_KINDS):
        try:
            blob = base64.b64decode(words[1], validate=True)
        except (binascii.Error, ValueError):
            blob = b""
        if words[0].encode() in blob[: len(words[0]) + 4]:
            return words[0], words[1]
    raise GceError(
        "public_key is not a public key in OpenSSH's one-line form.",
        reason="badKey",
        remedy="give what stands in the .pub file, as in ssh-ed25519 AAAAC3Nza... comment.",
    )


def posix_account(profile: Mapping[str, Any], project: str) -> Json | None:
    """The account with which the user logs in to the project's instances; None where none is."""
    accounts = [
        one
        for one in profile.get("posixAccounts") or []
        if one.get("operatingSystemType", "LINUX") != "WINDOWS"
    ]
    own = [one for one in accounts if one.get("accountId") == project]
    # An organisation's directory gives one account for all of its projects.
    primary = [one for one in accounts if one.get("primary")]
    return next(iter([*own, *primary, *accounts]), None)


class OsLoginKey:
    """One public key in one user's profile; `check` only plans.

    Args:
        user: e-mail of the account.
        expire_after: seconds for which the key is good from when it is added; None says nothing.
    """

    def __init__(
        self,
        client: OsLoginClient,
        user: str,
        public_key: str,
        expire_after: int | None,
        check: bool = False,
    ) -> None:
        self.client, self.user, self.check = client, user, check
        self.text, self.kind = public_key.strip(), parts(public_key)
        self.expire_after = expire_after
        self.what = f"the SSH key in the OS Login profile of {user}"

    def present(self) -> Json:
        """Have the key in the profile, not expired, and an account to log in with."""
        profile = self._profile()
        found = self._find(profile)
        if found is None or posix_account(profile, self.client.project) is None:
            change = Change("key" if found is None else "posix_account", None, "present", "create")
            if not self.check:
                self._import()
                profile = self._profile()
                if self._find(profile) is None:
                    raise GceError(
                        f"Google took {self.what}, but does not list it.",
                        reason="keyNotListed",
                        remedy="run it again in a minute; a policy may forbid keys.",
                    )
        elif self._due(found):
            change = Change("expiration", _time(found), self._desired_time(), "live")
            if not self.check:
                self.client.expire_key(str(found["name"]), f"renew {self.what}", self._expiry())
                profile = self._profile()
        else:
            return self._result(profile, found, [])
        return self._result(profile, self._find(profile), [change])

    def absent(self) -> Json:
        """Have the key no longer in the profile."""
        profile = self._profile()
        found = self._find(profile)
        if found is None:
            return self._result(profile, None, [])
        if not self.check:
            try:
                self.client.remove_key(str(found["name"]), f"remove {self.what}")
            except ApiError as error:
                if error.status != 404:
                    raise
        return self._result(profile, found, [Change("key", "present", None, "delete")])

    def _profile(self) -> Json:
        path = f"users/{self.user}/loginProfile"
        return self.client.get(path, f"read the OS Login profile of {self.user}")

    def _find(self, profile: Mapping[str, Any]) -> Json | None:
        for fingerprint, one in (profile.get("sshPublicKeys") or {}).items():
            if tuple(str(one.get("key", "")).split()[:2]) == self.kind:
                name = f"users/{self.user}/sshPublicKeys/{fingerprint}"
                return {"fingerprint": fingerprint, **one, "name": name}
        return None

    def _import(self) -> None:
        # Without an expiry nothing is said of it, so that a key keeps the one that it has.
        self.client.import_key(
            self.user, f"add {self.what}", {"key": self.text, **self._expiry(empty={})}
        )

    def _due(self, found: Mapping[str, Any]) -> bool:
        expires = int(found.get("expirationTimeUsec") or 0) / _MICRO
        if self.expire_after is None:
            return bool(expires) and expires <= time.time()
        if self.expire_after == 0:
            return bool(expires)
        # Renewed when half of its time is over, so that most runs leave it alone.
        left = expires - time.time()
        return not self.expire_after / 2 <= left <= self.expire_after

    def _expiry(self, empty: Json | None = None) -> Json:
        if self.expire_after:
            return {"expirationTimeUsec": str(int((time.time() + self.expire_after) * _MICRO))}
        return {"expirationTimeUsec": "0"} if empty is None else empty

    def _desired_time(self) -> str:
        return f"{self.expire_after} seconds from now" if self.expire_after else "never"

    def _result(self, profile: Json, found: Json | None, changes: list[Change]) -> Json:
        account = posix_account(profile, self.client.project)
        return {
            "changed": bool(changes),
            "changes": [change.as_dict() for change in changes],
            "diff": {
                "before": {one.field: one.before for one in changes},
                "after": {one.field: one.after for one in changes},
            },
            "user": self.user,
            "username": (account or {}).get("username"),
            "fingerprint": (found or {}).get("fingerprint"),
            "expires": _time(found) if found else None,
        }


def _time(found: Mapping[str, Any]) -> str:
    micro = int(found.get("expirationTimeUsec") or 0)
    if not micro:
        return "never"
    moment = datetime.datetime.fromtimestamp(micro // _MICRO, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
