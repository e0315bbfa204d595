# SPDX-License-Identifier: Apache-2.0
"""What a model consists of at hub, bucket or mirror: names, sizes, checksums."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from . import file_choice
from .http import FetchError, MetadataToken, Place, no_credentials

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_HOW_TO_SUM = (
    "Write one in the model's folder by find . -type f ! -name SHA256SUMS -exec "
    "sha256sum {} + > SHA256SUMS, "
    "and upload it beside the files"
)


@dataclass(frozen=True)
class RemoteFile:
    """One file: `digest` is hexadecimal, by `algorithm`: sha256, md5, or git (of a git blob)."""

    url: str
    size: int
    algorithm: str
    digest: str


@dataclass(frozen=True)
class Offer:
    """A model's files; `resolved` names the contents (a commit, a manifest's checksum)."""

    place: Place
    files: dict[str, RemoteFile]
    resolved: str


@dataclass(frozen=True)
class Query:
    """What is asked for, as the module's options say it."""

    repository: str
    revision: str = ""
    token: str = ""
    hub: str = "https://huggingface.co"
    storage: str = "https://storage.googleapis.com"
    ignore: tuple[str, ...] = ()
    allow_pickle: bool = False
    manifest_sha256: str = ""


def look(source: str, query: Query) -> Offer:
    """List the files of a model.

    Raises:
        FetchError: they can't be listed, or make no model.
    """
    listed: Callable[[Query], Offer] = {"hub": _hub, "gcs": _bucket, "https": _mirror}[source]
    return listed(query)


def _chosen(query: Query, names: Mapping[str, Any], where: str) -> list[str]:
    return file_choice.wanted(names, query.ignore, query.allow_pickle, where)


def _hub(query: Query) -> Offer:
    name, revision = query.repository, query.revision or "main"
    where = f"{name} on {query.hub}"

    def refusal(status: int, headers: Mapping[str, str], _text: str) -> str:
        code = headers.get("X-Error-Code") or ""
        if code == "GatedRepo":
            return (
                f"{name} is gated: accept its terms on its page, then give an access token of "
                f"that account (llm_model_token){', not this one' * bool(query.token)}."
            )
        if code == "RevisionNotFound":
            return (
                f"{name} has no revision {revision!r} (any more): choose one that its page lists "
                "under Files and versions (llm_model_revision)."
            )
        if status == 401 and query.token and code != "RepoNotFound":
            return (
                f"{query.hub} does not accept the access token (llm_model_token): make a new one."
            )
        if status in {401, 403, 404}:
            return (
                f"{query.hub} knows no model {name!r} (llm_model), or it is private and the token "
                "(llm_model_token) is missing or may not read it."
            )
        return ""

    if query.token and not _encrypted(query.hub):
        raise FetchError(
            f"{query.hub} is not encrypted, so that the access token is not sent there: use "
            'https:// (HF_ENDPOINT, llm_model_hub), or give none (llm_model_token: "").'
        )
    place = Place(where, lambda: query.token, refusal)
    hub = query.hub.rstrip("/")
    asked = f"{hub}/api/models/{quote(name)}/revision/{quote(revision, safe='')}?blobs=true"
    try:
        found = json.loads(place.read(asked))
        commit = str(found["sha"])
        siblings = {str(one["rfilename"]): one for one in found["siblings"]}
        files = {
            one: _hub_file(siblings[one], f"{hub}/{quote(name)}/resolve/{commit}/{quote(one)}")
            for one in _chosen(query, siblings, where)
        }
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{query.hub} does not answer like a hub: {error}.") from error
    return Offer(place, files, commit)


def _hub_file(one: Mapping[str, Any], url: str) -> RemoteFile:
    large = one.get("lfs")
    if large:
        return RemoteFile(url, int(large["size"]), "sha256", str(large["sha256"]))
    return RemoteFile(url, int(one["size"]), "git", str(one["blobId"]))


def _bucket(query: Query) -> Offer:
    bucket, _, folder = query.repository.removeprefix("gs://").strip("/").partition("/")
    prefix = f"{folder}/" if folder else ""
    where = f"gs://{bucket}/{prefix}"
    if query.token and not _encrypted(query.storage):
        raise FetchError(
            f"{query.storage} is not encrypted, so that the access token is not sent there: use "
            'https:// (llm_model_storage), or give none (llm_model_token: "").'
        )
    token: Callable[[], str] = no_credentials
    if query.token:
        token = lambda: query.token  # noqa: E731
    elif _encrypted(query.storage):
        token = MetadataToken()

    def refusal(status: int, _headers: Mapping[str, str], _text: str) -> str:
        if status == 401:
            if not _encrypted(query.storage):
                return (
                    f"{where} is not open to everybody, and {query.storage} is not encrypted, so "
                    "that no credentials are sent there: use https:// (llm_model_storage)."
                )
            return (
                f"{where} is not open to everybody, and the host has no valid credentials: give "
                "the instance a "
                "service account that may read it, or an access token (llm_model_token)."
            )
        if status == 403:
            return (
                f"{where} refuses the host's account: give it the role Storage Object Viewer on "
                "the bucket, and the "
                "instance the access scope devstorage.read_only or cloud-platform."
            )
        if status == 404:
            return f"There is no bucket {bucket}, or {where} has lost a file since it was listed."
        return ""

    place = Place(where, token, refusal, pinned=bool(query.manifest_sha256))
    base = f"{query.storage.rstrip('/')}/storage/v1/b/{quote(bucket, safe='')}/o"
    objects = {
        name.removeprefix(prefix): one
        for name, one in _objects(place, base, prefix).items()
        if not name.endswith("/")
    }
    if not objects:
        raise FetchError(f"{where} is empty: upload the model's files there, or correct llm_model.")

    def url(name: str) -> str:
        # The generation keeps to what was listed, whatever is uploaded meanwhile.
        pinned = f"&generation={objects[name]['generation']}"
        return f"{base}/{quote(prefix + name, safe='')}?alt=media{pinned}"

    summed = next((one for one in ("manifest.json", "SHA256SUMS") if one in objects), "")
    sums, resolved = {}, _digest_of(objects)
    if summed:
        text = place.read(url(summed))
        resolved = _pinned(text, query, f"{where}{summed}")
        sums = file_choice.manifest(text, f"{where}{summed}")
    elif query.manifest_sha256:
        raise FetchError(
            f"{where} has neither manifest.json nor SHA256SUMS, and "
            "llm_model_manifest_sha256 names one."
        )
    files = {}
    for name in _chosen(query, sums or objects, where):
        if name not in objects:
            raise FetchError(f"{where} lacks {name}, which its {summed} names: upload it.")
        one = objects[name]
        if sums:
            files[name] = RemoteFile(url(name), int(one["size"]), "sha256", sums[name][0])
        elif one.get("md5Hash"):
            digest = base64.b64decode(one["md5Hash"]).hex()
            files[name] = RemoteFile(url(name), int(one["size"]), "md5", digest)
        else:
            raise FetchError(
                f"{where}{name} was uploaded in parts, so that Cloud Storage keeps no MD5 of it. "
                f"{_HOW_TO_SUM}."
            )
    return Offer(place, files, resolved)


def _objects(place: Place, base: str, prefix: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    page = ""
    while True:
        fields = quote("items(name,size,md5Hash,generation),nextPageToken")
        asked = f"{base}?prefix={quote(prefix, safe='')}&fields={fields}"
        try:
            listed = json.loads(place.read(f"{asked}&pageToken={quote(page)}" if page else asked))
            found.update({str(one["name"]): one for one in listed.get("items", [])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FetchError(f"{base} does not answer like Cloud Storage: {error}.") from error
        page = listed.get("nextPageToken") or ""
        if not page:
            return found


def _digest_of(objects: Mapping[str, Mapping[str, Any]]) -> str:
    names = [[name, str(one["generation"])] for name, one in sorted(objects.items())]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def _mirror(query: Query) -> Offer:
    base = query.repository.rstrip("/")
    parts = urlsplit(base)
    if parts.username or parts.query:
        raise FetchError(
            "A mirror's address holds neither a name nor a query: give a token (llm_model_token)."
        )
    if not _encrypted(base) and (query.token or not query.manifest_sha256):
        raise FetchError(
            f"{base} is not encrypted: use https://, or pin what it sends by "
            "llm_model_manifest_sha256 and give no token."
        )
    missing = ""

    def refusal(status: int, _headers: Mapping[str, str], _text: str) -> str:
        if status in {401, 403}:
            return (
                f"{base} refuses access ({status}): give an access token that may read it "
                "(llm_model_token)."
            )
        return missing if status == 404 else ""

    place = Place(
        base,
        (lambda: query.token) if query.token else no_credentials,
        refusal,
        pinned=bool(query.manifest_sha256),
    )
    missing = (
        f"{base} has neither manifest.json nor SHA256SUMS, by which the files are known. "
        f"{_HOW_TO_SUM}."
    )
    name = "manifest.json"
    try:
        text = place.read(f"{base}/{name}")
    except FetchError as error:
        if str(error) != missing:
            raise
        name = "SHA256SUMS"
        text = place.read(f"{base}/{name}")
    resolved = _pinned(text, query, f"{base}/{name}")
    sums = file_choice.manifest(text, f"{base}/{name}")
    missing = f"{base} lacks a file that its {name} names."
    files = {}
    for one in _chosen(query, sums, base):
        digest, size = sums[one]
        url = f"{base}/{quote(one)}"
        files[one] = RemoteFile(url, place.size(url) if size is None else size, "sha256", digest)
    return Offer(place, files, resolved)


def _encrypted(url: str) -> bool:
    """Whether nobody on the way can read along; nothing of loopback's leaves the machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def _pinned(text: bytes, query: Query, where: str) -> str:
    digest = hashlib.sha256(text).hexdigest()
    if query.manifest_sha256 and digest != query.manifest_sha256.lower():
        raise FetchError(
            f"{where} has the SHA-256 {digest}, and llm_model_manifest_sha256 asks for "
            f"{query.manifest_sha256}: "
            "the model there is another one."
        )
    return digest
