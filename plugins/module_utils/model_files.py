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
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

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
        remedy: what to do where access is refused.
    """

    def __init__(self, session: Any, template: str, where: str, remedy: str) -> None:
        self.session, self.template, self.where, self.remedy = session, template, where, remedy

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes | None:
        """See Files."""
        import requests  # noqa: PLC0415 - on the controller only

        url = self.template.format(name=quote(name, safe=""))
        span = {} if size is None else {"Range": f"bytes={start}-{start + size - 1}"}
        try:
            with self.session.get(url, headers=span, timeout=TIMEOUT_S, stream=True) as answer:
                if answer.status_code == 404:
                    return None
                if answer.status_code in {401, 403}:
                    raise SourceError(
                        f"{self.where} refuses access ({answer.status_code}). {self.remedy}"
                    )
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


def locate(
    model: str,
    *,
    revision: str = "main",
    token: str = "",
    hub: str = "https://huggingface.co",
    storage: str = "https://storage.googleapis.com",
    service_account_file: str = "",
) -> Files:
    """Where a model's files are.

    Raises:
        SourceError: `model` is none of these, or a folder that is not there.
    """
    if model.startswith("gs://"):
        bucket, _, prefix = model.removeprefix("gs://").strip("/").partition("/")
        folder = quote(f"{prefix}/" if prefix else "", safe="")
        template = f"{storage}/storage/v1/b/{quote(bucket)}/o/{folder}{{name}}?alt=media"
        remedy = "Give the account the role Storage Object Viewer on the bucket."
        return Remote(_storage_session(service_account_file), template, model, remedy)
    if model.startswith(("https://", "http://")):
        return Remote(
            _session(token), f"{model.rstrip('/')}/{{name}}", model, "Set llm_model_token."
        )
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
        "The name may be wrong, or the model gated: accept its terms on its page, and set "
        "llm_model_token to an access token."
    )
    return Remote(_session(token), template, f"{model} on {hub}", remedy)


def _session(token: str) -> Any:
    import requests  # noqa: PLC0415 - on the controller only

    session = requests.Session()
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    return session


def _storage_session(service_account_file: str) -> Any:
    import requests  # noqa: PLC0415 - on the controller only

    from .credentials import Login, authorized_session  # noqa: PLC0415
    from .errors import GceError  # noqa: PLC0415

    try:
        # Storage is asked through the same policy as Compute Engine, within a minute.
        return authorized_session(Login(service_account_file), time.monotonic() + 60)
    except GceError:
        return requests.Session()  # Public buckets need none.


def config(files: Files) -> dict[str, Any]:
    """config.json.

    Raises:
        SourceError: it can't be had, or is no JSON object.
    """
    text = files.read("config.json")
    if text is None:
        raise SourceError(
            f"{files.where} has no config.json: it is no model in the transformers format, or the "
            "name or revision is wrong."
        )
    return _object(text, f"config.json of {files.where}")


def tensor_bytes(files: Files, loaded_bytes: float, dtype: str) -> int | None:
    """Bytes of all tensors once they are loaded; None where no safetensors tell.

    Args:
        loaded_bytes: of one number in the dtype that the engine loads in; wider ones become that.
        dtype: of the checkpoint, as config.json says it.
    """
    index = files.read(INDEX)
    if index is not None:
        listed = _object(index, f"{INDEX} of {files.where}")
        total = (listed.get("metadata") or {}).get("total_size")
        if isinstance(files, Folder):
            names = set((listed.get("weight_map") or {}).values())
            there = [name for name in sorted(names) if (files.path / str(name)).is_file()]
            if names and len(there) == len(names):
                return sum(_file_bytes(files, str(name), loaded_bytes) or 0 for name in there)
        wide = dtype in {"float32", "float"} and loaded_bytes < 4
        return None if not total else int(float(total) * (loaded_bytes / 4 if wide else 1))
    return _file_bytes(files, SINGLE, loaded_bytes)


def _file_bytes(files: Files, name: str, loaded_bytes: float) -> int | None:
    """Bytes of one safetensors file's tensors, from its header alone."""
    start = files.read(name, 0, 8)
    if start is None or len(start) < 8:
        return None
    size = struct.unpack("<Q", start)[0]
    if size > MOST_HEADER_BYTES:
        raise SourceError(f"{name} of {files.where} is no safetensors file.")
    header = _object(files.read(name, 8, size) or b"", f"the header of {name} of {files.where}")
    tensors = [one for key, one in header.items() if key != "__metadata__"]
    return math.ceil(_sum(tensors, loaded_bytes))


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
