# SPDX-License-Identifier: Apache-2.0
"""Which of the files that a place offers make the model. Pure."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from .http import FetchError

INDEX = "model.safetensors.index.json"
# Loading them may run code that they carry.
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
PICKLED_ENDS = tuple(pattern.removeprefix("*") for pattern in PICKLED)
# What this collection writes or uses beside a model.
# The end of a file's name until it is whole.
PART = ".part"
_OURS = frozenset({"manifest.json", "SHA256SUMS", ".gitattributes"})


def wanted(
    names: Iterable[str], ignore: Iterable[str], allow_pickle: bool, where: str
) -> list[str]:
    """Choose the files to fetch.

    Pickled weights are left out, unless they are allowed and there are no safetensors. So is a
    second copy of the weights, as some publishers add one named consolidated.

    Raises:
        FetchError: no model is left, or a name leads out of the folder.
    """
    offered = sorted(set(names) - _OURS)
    left = [name for name in offered if not _matches(name, ignore)]
    for name in left:
        _safe(name, where)
    tensors = any(name.endswith(".safetensors") for name in left)
    pickled = [name for name in left if _matches(name, PICKLED)]
    if pickled and not tensors and not allow_pickle:
        raise FetchError(
            f"{where} has no safetensors, only pickled weights ({pickled[0]}), which may run "
            "code when they are "
            "loaded. Choose a revision with safetensors, or allow it "
            "(llm_model_allow_pickle: true)."
        )
    if tensors or not allow_pickle:
        left = [name for name in left if name not in pickled]
    if any(fnmatch.fnmatch(name, "model*.safetensors") for name in left):
        left = [name for name in left if not fnmatch.fnmatch(name, "consolidated*.safetensors")]
    if "config.json" not in left:
        raise FetchError(
            f"{where} has no config.json: it is no model in the transformers format, or the "
            "name is wrong."
        )
    return left


def check_index(text: bytes, names: Iterable[str], where: str) -> None:
    """Refuse a model whose index names weights that are not there.

    Raises:
        FetchError: it does, or is no index.
    """
    try:
        needed = set(json.loads(text)["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FetchError(f"{INDEX} of {where} is no index of weights.") from error
    missing = sorted(needed - set(names))
    if missing:
        raise FetchError(
            f"{where} lacks {len(missing)} of the {len(needed)} files that its {INDEX} names, "
            f"{missing[0]} first: upload them, or choose another revision."
        )


def manifest(text: bytes, where: str) -> dict[str, tuple[str, int | None]]:
    """File to SHA-256 and size, of a manifest.json of ours or of sha256sum's output.

    Raises:
        FetchError: it is neither.
    """
    try:
        return _ours(text) if text.lstrip().startswith(b"{") else _sums(text.decode())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FetchError(
            f"{where} is neither a manifest of this collection nor what sha256sum writes: {error}."
        ) from error


def _ours(text: bytes) -> dict[str, tuple[str, int | None]]:
    files: Mapping[str, Mapping[str, object]] = json.loads(text)["files"]
    return {
        name: (_checked(str(one["sha256"])), int(str(one["size"]))) for name, one in files.items()
    }


def _sums(text: str) -> dict[str, tuple[str, int | None]]:
    found: dict[str, tuple[str, int | None]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        digest, _, name = line.partition(" ")
        found[name.strip().removeprefix("*").removeprefix("./")] = (_checked(digest), None)
    if not found:
        raise ValueError("it is empty")
    return found


def _checked(digest: str) -> str:
    if len(digest) != 64 or int(digest, 16) < 0:
        raise ValueError(f"{digest!r} is no SHA-256")
    return digest.lower()


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _safe(name: str, where: str) -> None:
    path = PurePosixPath(name)
    odd = path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name
    # The folder itself is one too, spelt so.
    if odd or not path.parts or any(ord(letter) < 32 for letter in name):
        raise FetchError(f"{where} has a file named {name!r}, which is no path below a folder.")
    # What is kept beside the files while they come, and what says of them that they are whole.
    if name.endswith(PART) or any(part in _OURS for part in path.parts[:-1]):
        raise FetchError(
            f"{where} has a file named {name!r}, a name that this collection needs for its own: "
            "give it another one, or leave it out (llm_model_ignore_patterns)."
        )
