# SPDX-License-Identifier: Apache-2.0
"""Asks the places that models lie at, over HTTP: who asks, when to ask again, what a refusal means.

Runs by the host's own Python, so that nothing has to be installed first.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from ansible.module_utils.urls import open_url

# To connect, and between two bytes.
TIMEOUT_S = 60
# Before each further try. A try that brought something starts over.
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
MOST_PAUSE_S = 60.0
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
# Of a listing or a manifest; those of the largest models are a hundredth of it.
MOST_TEXT_BYTES = 64 << 20


T = TypeVar("T")


class FetchError(Exception):
    """The files can't be fetched; the text says why and what to do."""


class AskAgainError(Exception):
    """It failed in a way that passes; `pause` is what the server asks for, in seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


def no_credentials() -> str:
    """For places that anybody may read."""
    return ""


class MetadataToken:
    """The access token of an instance's own service account, from Compute Engine's metadata server.

    GCE_METADATA_HOST names another server, as it does for Google's own libraries.
    """

    def __init__(self) -> None:
        self._token, self._until = "", 0.0

    def __call__(self) -> str:
        """The token; empty on machines that are no instances, or have no service account."""
        if time.monotonic() >= self._until:
            self._token, seconds = self._ask()
            self._until = time.monotonic() + max(1.0, seconds - 60)
        return self._token

    @staticmethod
    def _ask() -> tuple[str, float]:
        host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
        url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
        try:
            with open_url(
                url, headers={"Metadata-Flavor": "Google"}, timeout=3, use_proxy=False
            ) as answer:
                found = json.load(answer)
                return str(found["access_token"]), float(found["expires_in"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return "", 600.0


class Place:
    """One place that models lie at.

    Args:
        where: its name, for messages.
        token: gives the access token, or nothing.
        refusal: puts an answer of 400 or more into words; empty for those that it doesn't know.
        pinned: whether what comes is known by a checksum that came another way, so that whoever is
            on the way to it may change nothing.
    """

    def __init__(
        self,
        where: str,
        token: Callable[[], str] = no_credentials,
        refusal: Callable[[int, Any, str], str] = lambda *_: "",
        pinned: bool = False,
    ) -> None:
        self.where, self._token, self._refusal = where, token, refusal
        self._pinned = pinned

    def open(self, url: str, offset: int = 0, method: str = "GET") -> Any:
        """The answer to one request, from a byte on.

        Raises:
            AskAgainError: it may work later.
            FetchError: it will not.
        """
        address, token = url, self._token()
        for _ in range(_MOST_REDIRECTS):
            try:
                return self._request(address, offset, method, token, first=address == url)
            except HTTPError as error:
                with error:
                    onward = str(error.geturl())
                    # To a file it would be one of this machine's.
                    web = urlsplit(onward).scheme in {"https", "http"}
                    if error.code not in _REDIRECTS or not web:
                        self._refused(error, address)
            except URLError as error:
                raise _unreachable(error, address) from error
            except (OSError, http.client.HTTPException) as error:
                raise AskAgainError(
                    f"{_host(address)} broke off: {error or type(error).__name__}"
                ) from error
            if not self._pinned and urlsplit(address).scheme == "https" != urlsplit(onward).scheme:
                raise FetchError(
                    f"{_host(address)} sends on to {_host(onward)} without encryption, where what "
                    "comes could be changed on the way. Use an address that stays with https://, "
                    "or pin a mirror's manifest (llm_model_manifest_sha256)."
                )
            # A hub sends on to a content network, which must not get the token.
            address, token = onward, ""
        raise FetchError(f"{url} sends on more than {_MOST_REDIRECTS} times.")

    @staticmethod
    def _request(url: str, offset: int, method: str, token: str, *, first: bool) -> Any:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return open_url(
            url,
            method=method,
            headers=headers,
            timeout=TIMEOUT_S,
            decompress=False,
            use_netrc=first and not token,
            follow_redirects="no",
            http_agent="gce-vllm",
        )

    def _refused(self, error: HTTPError, url: str) -> None:
        if error.code in _BUSY:
            pause = 0.0
            with contextlib.suppress(ValueError):
                pause = float(error.headers.get("Retry-After") or 0)
            raise AskAgainError(f"{_host(url)} answers {error.code}", min(pause, MOST_PAUSE_S))
        text = ""
        with contextlib.suppress(OSError, http.client.HTTPException):
            text = error.read(4096).decode(errors="replace")
        said = self._refusal(error.code, error.headers, text)
        raise FetchError(said or f"{self.where}: {url} answers {error.code} ({error.reason}).")

    def read(self, url: str) -> bytes:
        """A small answer, whole; asks again where that may help.

        Raises:
            FetchError: it can't be fetched.
        """

        def ask() -> bytes:
            with self.open(url) as answer:
                return whole(answer, url)

        return patiently(self.where, ask)

    def size(self, url: str) -> int:
        """Bytes of a file, by a HEAD request.

        Raises:
            FetchError: the server does not tell.
        """

        def ask() -> int:
            with self.open(url, method="HEAD") as answer:
                length = answer.headers.get("Content-Length")
            if length is None:
                raise FetchError(f"{url} comes without a length: {self.where} must tell it.")
            return int(length)

        return patiently(self.where, ask)


def whole(answer: Any, url: str) -> bytes:
    """All bytes of a small answer."""
    try:
        found = bytes(answer.read(MOST_TEXT_BYTES + 1))
    except (OSError, http.client.HTTPException) as error:
        raise AskAgainError(f"{_host(url)} broke off: {error}") from error
    if len(found) > MOST_TEXT_BYTES:
        raise FetchError(f"{url} is larger than {MOST_TEXT_BYTES} bytes: that is no list of files.")
    length = answer.headers.get("Content-Length")
    if length is not None and len(found) < int(length):
        raise AskAgainError(f"{_host(url)} broke off")
    return found


def patiently(where: str, ask: Callable[[], T]) -> T:
    """Ask, and ask again while it fails in ways that pass.

    Raises:
        FetchError: it kept failing, or in a way that does not pass.
    """
    for pause in (*PAUSES_S, None):
        try:
            return ask()
        except AskAgainError as error:
            if pause is None:
                raise gave_up(where, error) from error
            time.sleep(max(pause, error.pause))
    raise AssertionError("the loop ends by itself")


def gave_up(where: str, error: AskAgainError) -> FetchError:
    """The message for a place that kept failing."""
    return FetchError(
        f"{where} could not be fetched, {len(PAUSES_S) + 1} tries in a row failed; the "
        f"last one: {error}. "
        "What was fetched is kept, and the next run goes on from there. Check the host's way to it "
        "(DNS, firewall, Cloud NAT, proxy)."
    )


def _unreachable(error: URLError, url: str) -> Exception:
    """The error for a host that no answer came from."""
    if isinstance(error.reason, ssl.SSLCertVerificationError):
        return FetchError(
            f"The certificate of {_host(url)} is not trusted: {error.reason.verify_message}. "
            "Give a bundle that has its authority (llm_model_ca_bundle)."
        )
    return AskAgainError(f"{_host(url)} can't be reached: {error.reason}")


def _host(url: str) -> str:
    return urlsplit(url).netloc
