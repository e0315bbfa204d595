# SPDX-License-Identifier: Apache-2.0
"""Credentials: a service account of the emulator's own, its tokens, and who may call."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import exceptions, jwt

from emulator.errors import ApiError, Json
from emulator.world.storage import Store

LIFETIME = 3600  # seconds, as Google's
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GOOGLES = "https://oauth2.googleapis.com/token"


class Authority:
    """Issues and checks tokens of one service account, whose key lies in the state directory.

    Attributes:
        lifetime: seconds for which a new token is good.
    """

    def __init__(self, store: Store, key_file: Path, project: str, token_uri: str) -> None:
        self._store = store
        self._token_uri = token_uri
        self.lifetime: float = LIFETIME
        self._key = _load_or_make(key_file, project, token_uri)
        private = serialization.load_pem_private_key(self._key["private_key"].encode(), None)
        self._certs = {
            self._key["private_key_id"]: private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        }

    @property
    def email(self) -> str:
        """The service account's address."""
        return str(self._key["client_email"])

    def token(self, grant_type: str, assertion: str) -> Json:
        """Answers a token request.

        Raises:
            ValueError: the assertion does not hold; its text is the description.
        """
        if grant_type != GRANT:
            raise ValueError(f"grant_type must be {GRANT}")
        # google-auth names Google's endpoint as audience, wherever it then sends the assertion.
        claims = self._claims(assertion, [self._token_uri, _GOOGLES])
        if not claims.get("scope"):
            raise ValueError("the assertion names no scope")
        token, _ = self._issue(self.email, self.lifetime)
        return {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}

    def impersonate(self, email: str, seconds: float) -> tuple[str, float]:
        """A token of a lent service account, and when it expires (seconds since 1970).

        Raises:
            ApiError: 403 where the account was not lent.
        """
        if self._store.setting(f"lent:{email}") is None:
            raise ApiError(
                403,
                "forbidden",
                "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may "
                "not exist).",
            )
        return self._issue(email, min(seconds, self.lifetime))

    def lend(self, email: str, lent: bool = True) -> None:
        """Lets the service account impersonate another, or no longer."""
        self._store.put_setting(f"lent:{email}", True if lent else None)

    def revoke(self) -> None:
        """Makes every token that was issued so far invalid."""
        with self._store.transaction():
            for digest in self._store.settings("token:"):
                self._store.put_setting(f"token:{digest}", None)

    def _issue(self, email: str, seconds: float) -> tuple[str, float]:
        token = "ya29.emulated-" + secrets.token_urlsafe(40)
        expires = time.time() + seconds
        self._store.put_setting(f"token:{_digest(token)}", {"expires": expires, "email": email})
        return token, expires

    def check(self, header: str | None) -> str:
        """Who sends this Authorization header.

        Raises:
            ApiError: 401.
        """
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("required", "Login Required.")
        issued = self._store.setting(f"token:{_digest(token)}")
        if issued is not None and issued["expires"] > time.time():
            return str(issued["email"])
        try:  # google-cloud-compute signs a token itself instead of asking for one
            self._claims(token, None)
        except ValueError as error:
            raise _unauthorized("authError", "Invalid Credentials") from error
        return self.email

    def _claims(self, token: str, audience: list[str] | None) -> Json:
        try:
            claims: Json = jwt.decode(
                token, self._certs, audience=audience, clock_skew_in_seconds=10
            )
        except (exceptions.GoogleAuthError, ValueError) as error:
            raise ValueError(f"Invalid JWT: {error}") from error
        if claims.get("iss") != self.email:
            raise ValueError(f"Invalid issuer: {claims.get('iss')}")
        return claims


def _unauthorized(reason: str, message: str) -> ApiError:
    return ApiError(401, reason, message, location="Authorization", location_type="header")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _load_or_make(key_file: Path, project: str, token_uri: str) -> Json:
    if key_file.exists():
        key: Json = json.loads(key_file.read_text())
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        email = f"emulator@{project}.iam.gserviceaccount.com"
        key = {
            "type": "service_account",
            "project_id": project,
            "private_key_id": secrets.token_hex(20),
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": str(secrets.randbelow(10**21)),
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "universe_domain": "googleapis.com",
        }
    key["token_uri"] = token_uri  # the port may have changed
    partial = key_file.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(key, indent=2) + "\n")
    partial.replace(key_file)
    return key
