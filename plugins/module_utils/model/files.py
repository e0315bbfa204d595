# SPDX-License-Identifier: Apache-2.0
"""Reads what a plan needs of a model where it lies: config.json and the sizes of its tensors.

A model is a folder, a repository of the Hugging Face hub, a Cloud Storage folder (gs://), or a
mirror's (https://).
Weights are never fetched: their sizes come from the safetensors index or, where there is none, from
the header of the one file, by a range request.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
# Of safetensors' headers: tens of thousands of tensors stay well below.
MOST_HEADER_BYTES = 64 << 20
# To connect, and between two bytes.
TIMEOUT_S = (5.0, 20.0)
DTYPE_BYTES = {
    "F64": 8.0, "I64": 8.0, "U64": 8.0, "F32": 4.0, "I32": 4.0, "U32": 4.0, "F16": 2.0, "BF16": 2.0,
    "I16": 2.0, "U16": 2.0, "F8_E4M3": 1.0, "F8_E5M2": 1.0, "F8_E8M0": 1.0, "I8": 1.0, "U8": 1.0,
    "BOOL": 1.0, "F4": 0.5,
}  # fmt: skip


class SourceError(Exception):
    """The model can't be read; the text says what, why and what to do."""


class RefusedError(SourceError):
    """The place answered, and does not give the model: no access, or nothing of that name."""


class Sizes(NamedTuple):
    """Bytes of a model's tensors: as the engine loads them, and as its files have them."""

    loaded: int
    stored: int


class Files(Protocol):
    """A model's folder, wherever it lies."""

    where: str

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes | None:
        """Bytes of a file (of `size` from `start`), or None where there is no such file."""


class Folder:
    """A folder on this machine."""

    def __init__(self, path: Path) -> None:
        self.path, self.where = path, str(path)

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes | None:
        """See Files."""
        try:
            with (self.path / name).open("rb") as file:
                file.seek(start)
                return file.read(-1 if size is None else size)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"{self.path / name} can't be read: {error.strerror}.") from None


class Remote:
    """Files behind URLs.

    Args:
        session: a `requests.Session`, which may carry credentials.
        template: URL with `{name}` for the file's name.
        remedy: what to do where access is refused, or nothing is there.
        final: whether what is refused here is refused to the host as well, as it asks in the same
            way; a bucket may know the host's account, and not this one.
    """

    def __init__(
        self, session: Any, template: str, where: str, remedy: str, *, final: bool = True
    ) -> None:
        self.session, self.template, self.where, self.remedy = session, template, where, remedy
        self.final = final
        self.missing = ""

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes | None:
        """See Files."""
        import requests  # noqa: PLC0415 - on the controller only

        url = self.template.format(name=quote(name, safe=""))
        span = {} if size is None else {"Range": f"bytes={start}-{start + size - 1}"}
        try:
            with self.session.get(url, headers=span, timeout=TIMEOUT_S, stream=True) as answer:
                if answer.status_code == 404:
                    self.missing = answer.headers.get("X-Error-Code", "")
                    return None
                if answer.status_code in {401, 403}:
                    raise self.refused(f"refuses access ({answer.status_code})")
                if answer.status_code not in {200, 206}:
                    raise SourceError(f"{self.where} answers {answer.status_code} for {name}.")
                if size is None:
                    return bytes(answer.content)
                # A server that knows no ranges sends the file from its beginning: stop in time.
                skip = start if answer.status_code == 200 else 0
                return bytes(answer.raw.read(skip + size, decode_content=True))[skip:]
        except requests.RequestException as error:
            raise SourceError(
                f"{self.where} can't be reached ({type(error).__name__}). Check the network, or "
                "give a folder that holds the model's config.json."
            ) from None

    def refused(self, what: str) -> SourceError:
        """The error for an answer that gives nothing."""
        kind = RefusedError if self.final else SourceError
        return kind(f"{self.where} {what}. {self.remedy}")


def locate(
    model: str,
    *,
    revision: str = "main",
    token: str = "",
    hub: str = "https://huggingface.co",
    storage: str = "https://storage.googleapis.com",
    bucket_session: Callable[[str], Any] | None = None,
) -> Files:
    """Where a model's files are.

    Args:
        bucket_session: makes the session for `storage`; without it a bucket must be public.

    Raises:
        RefusedError: a token would cross the network in clear text.
        SourceError: `model` is none of these, or a folder that is not there.
    """
    if model.startswith("gs://"):
        bucket, _, prefix = model.removeprefix("gs://").strip("/").partition("/")
        folder = quote(f"{prefix}/" if prefix else "", safe="")
        template = f"{storage}/storage/v1/b/{quote(bucket)}/o/{folder}{{name}}?alt=media"
        remedy = "Give the account the role Storage Object Viewer on the bucket."
        session = bucket_session(storage) if bucket_session else _session("", storage)
        return Remote(session, template, model, remedy, final=False)
    if model.startswith(("https://", "http://")):
        remedy = "Correct the address (llm_model), or set llm_model_token to one that may read it."
        template = f"{model.rstrip('/')}/{{name}}"
        return Remote(_session(token, model), template, model, remedy)
    path = Path(model).expanduser()
    if path.is_dir():
        return Folder(path)
    if path.is_absolute() or model.startswith((".", "~")):
        raise SourceError(f"There is no folder {path} on this machine.")
    if model.count("/") != 1:
        raise SourceError(
            f"'{model}' is no folder here, no repository of the hub (OWNER/NAME), no gs:// "
            "folder and no https:// mirror."
        )
    template = f"{hub.rstrip('/')}/{quote(model)}/resolve/{quote(revision, safe='')}/{{name}}"
    remedy = (
        "The name or revision may be wrong (llm_model, llm_model_revision), or the model private "
        "or gated: accept its terms on its page, and set llm_model_token to an access token."
    )
    return Remote(_session(token, hub), template, f"{model} on {hub}", remedy)


def _in_clear(url: str) -> bool:
    """Whether what is sent there can be read on the way."""
    parts = urlsplit(url)
    return parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}


def _session(token: str, url: str) -> Any:
    import requests  # noqa: PLC0415 - on the controller only

    session = requests.Session()
    if token and _in_clear(url):
        raise RefusedError(
            f"{url} is not encrypted, and is not given the token (llm_model_token): use https://, "
            "or give no token."
        )
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    return session


def config(files: Files) -> dict[str, Any]:
    """config.json.

    Raises:
        RefusedError: there is no such model, or no access to it.
        SourceError: it can't be read, or is no JSON object.
    """
    text = files.read("config.json")
    if text is None:
        # The hub tells a missing file from a missing model; models in other formats lack this one.
        if isinstance(files, Remote) and files.missing != "EntryNotFound":
            raise files.refused("has no config.json")
        raise SourceError(
            f"{files.where} has no config.json: it is no model in the transformers format, or the "
            "name or revision is wrong."
        )
    return _object(text, f"config.json of {files.where}")


def quantization_beside(files: Files, asked: str) -> dict[str, Any]:
    """What a file beside config.json says of the quantisation; empty where none does.

    vLLM reads NVIDIA's file always, and those of older AWQ and GPTQ checkpoints where such a
    method is asked for.
    """
    names = {"hf_quant_config.json": "modelopt"}
    if asked.startswith(("awq", "gptq", "auto_")):
        names |= {"quantize_config.json": "gptq", "quant_config.json": "awq"}
    for name, method in names.items():
        text = files.read(name)
        if text is not None:
            return {"quant_method": method} | _object(text, f"{name} of {files.where}")
    return {}


def sizes(files: Files, loaded_bytes: float, dtype: str) -> Sizes | None:
    """Bytes of all tensors; None where no safetensors tell.

    Args:
        loaded_bytes: of one number in the dtype that the engine loads in; wider ones become that.
        dtype: of the checkpoint, as config.json says it.
    """
    index = files.read(INDEX)
    if index is None:
        return _file_sizes(files, SINGLE, loaded_bytes)
    listed = _object(index, f"{INDEX} of {files.where}")
    total = (listed.get("metadata") or {}).get("total_size")
    if isinstance(files, Folder):
        names = set((listed.get("weight_map") or {}).values())
        there = [name for name in sorted(names) if (files.path / str(name)).is_file()]
        if names and len(there) == len(names):
            each = [_file_sizes(files, str(name), loaded_bytes) for name in there]
            known = [one for one in each if one is not None]
            return Sizes(sum(one.loaded for one in known), sum(one.stored for one in known))
    if not total:
        return None
    wide = dtype in {"float32", "float"} and loaded_bytes < 4
    return Sizes(int(float(total) * (loaded_bytes / 4 if wide else 1)), int(total))


def tensor_bytes(files: Files, loaded_bytes: float, dtype: str) -> int | None:
    """`loaded` of `sizes`."""
    found = sizes(files, loaded_bytes, dtype)
    return None if found is None else found.loaded


def _file_sizes(files: Files, name: str, loaded_bytes: float) -> Sizes | None:
    """Bytes of one safetensors file's tensors, from its header alone."""
    start = files.read(name, 0, 8)
    if start is None or len(start) < 8:
        return None
    size = struct.unpack("<Q", start)[0]
    if size > MOST_HEADER_BYTES:
        raise SourceError(f"{name} of {files.where} is no safetensors file.")
    header = _object(files.read(name, 8, size) or b"", f"the header of {name} of {files.where}")
    tensors = [one for key, one in header.items() if key != "__metadata__"]
    return Sizes(math.ceil(_sum(tensors, loaded_bytes)), math.ceil(_sum(tensors, 8.0)))


def _sum(tensors: Iterable[Mapping[str, Any]], loaded_bytes: float) -> float:
    total = 0.0
    for one in tensors:
        kind = str(one["dtype"])
        each = DTYPE_BYTES.get(kind, 2.0)
        if kind in {"F64", "F32"}:
            each = min(each, loaded_bytes)
        total += math.prod(one["shape"]) * each
    return total


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise SourceError(f"{what} is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise SourceError(f"{what} is no JSON object.")
    return found
